package files

import (
	"bufio"
	"bytes"
	"time"
)

// MayBeProgressive reports whether a JPEG counts as progressive, for tests.
func MayBeProgressive(data []byte) bool {
	_, progressive := jpegHead(bufio.NewReader(bytes.NewReader(data)))
	return progressive
}

// Hurry sets how long a bucket waits for its server, for tests.
func (s *S3) Hurry(wait time.Duration) { s.patience = wait }
