package reader

import (
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// A request id is the same for ever: a job that is run again, perhaps by a later
// version, must find the record of its command.
func TestRequestID(t *testing.T) {
	for _, c := range []struct {
		prefix string
		parts  []string
		want   string
	}{
		{"close", nil, "close-e3b0c44298fc1c149afbf4c8996fb92427ae41e4"},
		{"close", []string{"case/a", "7"}, "close-c42f109bc019f80629084bc4d040f7d9161168c9"},
		{"close", []string{"case/", "a7"}, "close-52ebe69b819f4a4433f3438a3eb98ac96877ab57"},
		{strings.Repeat("p", 23), []string{"x"}, "ppppppppppppppppppppppp-e742abc7c8651d42db9d6572cba14b1ce6b7d7f2"},
	} {
		got := RequestID(c.prefix, c.parts...)
		if got != c.want || len(got) > 64 || !gotong.ValidRequestID(got) {
			t.Errorf("%s %q: %s, want %s", c.prefix, c.parts, got, c.want)
		}
	}
	for _, prefix := range []string{"", "Close", "a:b", strings.Repeat("p", 24)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("prefix %q was accepted", prefix)
				}
			}()
			RequestID(prefix)
		}()
	}
}
