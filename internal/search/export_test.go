package search

// Hashed is how the index has a word.
var Hashed = hashed
