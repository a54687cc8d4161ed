package surreal

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is the version of a server. The zero Version means that the server does
// not report one.
type Version struct {
	Major, Minor, Patch int
	Text                string // as the server reports it
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

// String returns the three numbers.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }
