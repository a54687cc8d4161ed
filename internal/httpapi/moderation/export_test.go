package moderation

// Resume is where the next page of the queue begins, for tests.
var Resume = resume
