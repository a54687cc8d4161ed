package cases_test

import (
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
)

// A reason that shows nothing is none: who objects, disputes, decides or voids
// says why.
func TestReasonsSaySomething(t *testing.T) {
	for _, reason := range []string{"", "  \n", "\u200b", "\u2066\u2069"} {
		for _, c := range []interface{ Validate() error }{
			cases.Object{Reason: reason}, cases.Dispute{Reason: reason}, cases.Resolve{Reason: reason},
			cases.Void{UserID: "budi", Reason: reason},
			gotong.Erase{Events: make([]gotong.EventID, 1), Reason: reason},
		} {
			clean, _ := c.(gotong.Cleaner).Clean().(interface{ Validate() error })
			if err := clean.Validate(); gotong.CodeOf(err) != gotong.CodeInvalid {
				t.Errorf("%T with %q: %v", c, reason, err)
			}
		}
	}
}
