package main

import "testing"

// TestFresh: what is committed in dist is what the sources give.
func TestFresh(t *testing.T) {
	files, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(files); err != nil {
		t.Error(err)
	}
}
