// Package text defines each sort of text: the one step that normalises it, and what
// is valid afterwards. [Table] lists all sorts; so does the page on the API, and a
// test compares the two.
//
// A command that carries text implements [gotong.Cleaner]. The engine calls it once,
// before the rules see the command, so that no rule trims, folds or composes text
// itself, and all of them agree on which texts are the same.
package text
