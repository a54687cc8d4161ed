package surreal

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is the version of a server. The zero Version is one that it does not
// tell.
type Version struct {
	Major, Minor, Patch int
	Text                string // as the server said it
}

var versionForm = regexp.MustCompile(`(\d{1,4})\.(\d{1,4})\.(\d{1,4})`)

func parseVersion(text string) Version {
	v := Version{Text: text}
	if m := versionForm.FindStringSubmatch(text); m != nil {
		v.Major, _ = strconv.Atoi(m[1]) // digits, by the form
		v.Minor, _ = strconv.Atoi(m[2])
		v.Patch, _ = strconv.Atoi(m[3])
	}
	return v
}

// String is the three numbers.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }
