// Package text holds how each sort of text is written: the one step that
// normalises it, and what it must be afterwards. [Table] lists all sorts; so
// does the page on the API, and a test compares the two.
//
// A command that carries text offers [gotong.Cleaner]. The engine asks it once,
// before the rules see the command, so that no rule trims, folds or composes
// for itself, and all places agree which texts are the same.
//
// # Dependencies
//
// Package gotong; golang.org/x/text for Unicode normalisation (UAX #15); the
// list of emoji of Unicode (UTS #51), embedded.
package text
