package main

import (
	"strings"
	"testing"
)

// TestEraseOfWhatIsNotThere: the command says what is wrong, and creates nothing.
func TestEraseOfWhatIsNotThere(t *testing.T) {
	data := "--data=" + t.TempDir()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"thread/x", "1", data}, 2, "--reason"},
		{[]string{"thread/x", data, "--reason=x"}, 2, "seq"},
		{[]string{"thread", "1", data, "--reason=x"}, 2, "names no stream"},
		{[]string{"thread/x", "one", data, "--reason=x"}, 2, "one"},
		{[]string{"thread/x", "1", data, "--reason=x"}, 1, "no database yet"},
	} {
		r := command(t, nil, append([]string{"erase"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.err, tt.says) {
			t.Errorf("%v: %+v", tt.args, r)
		}
	}
}
