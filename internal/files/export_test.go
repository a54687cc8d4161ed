package files

import (
	"bufio"
	"bytes"
)

// MayBeProgressive reports whether a JPEG counts as progressive, for tests.
func MayBeProgressive(data []byte) bool {
	_, progressive := jpegHead(bufio.NewReader(bytes.NewReader(data)))
	return progressive
}
