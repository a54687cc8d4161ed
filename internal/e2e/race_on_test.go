//go:build race

package e2e_test

// raceDetector says that everything is slower, and SQLite, which is Go here,
// by far.
const raceDetector = true
