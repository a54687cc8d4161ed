package files

import (
	"bufio"
	"bytes"
	"image"
	"time"
)

// MayBeProgressive reports whether a JPEG counts as progressive, for tests.
func MayBeProgressive(data []byte) bool {
	_, progressive := jpegHead(bufio.NewReader(bytes.NewReader(data)))
	return progressive
}

// Fits reports whether a picture of this size is decoded, for tests.
func Fits(mime string, width, height int) bool {
	return fits(mime, image.Config{Width: width, Height: height}, false)
}

// Hurry sets how long a bucket waits for its server, for tests.
func (s *S3) Hurry(wait time.Duration) { s.patience = wait }
