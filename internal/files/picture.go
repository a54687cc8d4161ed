package files

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/webp"
)

// The bounds of a picture that is decoded: its pixels, and the memory that decoding
// uses at once. One picture is decoded at a time; the collector may hold as much
// again until it frees what an earlier one used.
const (
	maxPixels = 24_000_000
	maxMemory = 256 << 20
	webpCodes = 144 << 20 // beside the pixels: 2,600 groups of codes, which a few bits each make large
	thumbSide = 320
	quality   = 85
)

// errNoPicture means that the bytes are kept as a file.
var errNoPicture = errors.New("files: not a picture that can be shown")

type picture struct {
	mime          string
	width, height int
}

var codecs = map[string]struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}{
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode},
	"image/png":  {png.DecodeConfig, png.Decode},
	"image/gif":  {gif.DecodeConfig, gif.Decode}, // the first frame
	"image/webp": {webp.DecodeConfig, webp.Decode},
}

// picture draws a picture anew, upright and without metadata, to path.picture, and
// a small one to path.thumb.
func (f *Files) picture(ctx context.Context, from io.ReadSeeker, mime, path string) (p picture, err error) {
	orientation, progressive := 1, false
	if mime == "image/jpeg" {
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			return p, err
		}
		orientation, progressive = jpegHead(bufio.NewReader(from))
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return p, err
	}
	cfg, err := codecs[mime].config(bufio.NewReader(from))
	if err != nil || !fits(mime, cfg, progressive) {
		return p, errNoPicture
	}
	select {
	case f.slot <- struct{}{}:
		defer func() { <-f.slot }()
	case <-ctx.Done():
		return p, ctx.Err()
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return p, err
	}
	img, err := decode(codecs[mime].decode, bufio.NewReader(from))
	if err != nil {
		return p, err
	}
	img = upright(img, orientation)
	if p.mime, err = write(path+".picture", img, f.File); err != nil {
		return p, err
	}
	p.width, p.height = img.Bounds().Dx(), img.Bounds().Dy()
	_, err = write(path+".thumb", small(img), f.File)
	return p, err
}

// fits reports whether a picture can be decoded within the bounds.
func fits(mime string, cfg image.Config, progressive bool) bool {
	pixels, memory, beside := int64(cfg.Width)*int64(cfg.Height), int64(8), int64(0)
	if progressive {
		memory = 19 // it keeps the coefficients of every block
	}
	if m := cfg.ColorModel; m == color.NRGBA64Model || m == color.RGBA64Model || m == color.CMYKModel {
		memory *= 2
	}
	if mime == "image/webp" {
		beside = webpCodes
	}
	return pixels > 0 && pixels <= maxPixels && pixels*memory+beside <= maxMemory
}

// decode returns errNoPicture also where a decoder panics.
func decode(by func(io.Reader) (image.Image, error), from io.Reader) (img image.Image, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errNoPicture
		}
	}()
	if img, err = by(from); err != nil || img.Bounds().Empty() {
		err = errNoPicture
	}
	return img, err
}

// write encodes a picture and returns its type: JPEG if it is opaque and not drawn
// with few colours, or if it would be larger than max as PNG.
func write(path string, img image.Image, maxSize int64) (mime string, err error) {
	o, ok := img.(interface{ Opaque() bool })
	_, few := img.(*image.Paletted)
	_, lossy := img.(*image.YCbCr)
	if !lossy && (few || !ok || !o.Opaque()) {
		if err = encode(path, func(w io.Writer) error { return png.Encode(&limited{w, maxSize}, img) }); !errors.Is(err, errLimit) {
			return "image/png", err
		}
	}
	return "image/jpeg", encode(path, func(w io.Writer) error { return jpeg.Encode(w, img, &jpeg.Options{Quality: quality}) })
}

func encode(path string, by func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // a path of this package
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = by(w)
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
}

var errLimit = errors.New("files: too large")

// limited fails once more than left bytes were written.
type limited struct {
	io.Writer
	left int64
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= int64(len(b)); l.left < 0 {
		return 0, fmt.Errorf("%w", errLimit)
	}
	return l.Writer.Write(b)
}

// upright applies an EXIF orientation.
func upright(img image.Image, orientation int) image.Image {
	b := img.Bounds()
	w, h := float64(b.Dx()), float64(b.Dy())
	m, ok := map[int]f64.Aff3{
		2: {-1, 0, w, 0, 1, 0}, 3: {-1, 0, w, 0, -1, h}, 4: {1, 0, 0, 0, -1, h},
		5: {0, 1, 0, 1, 0, 0}, 6: {0, -1, h, 1, 0, 0}, 7: {0, -1, h, -1, 0, w}, 8: {0, 1, 0, -1, 0, w},
	}[orientation]
	if !ok {
		return img
	}
	size := image.Rect(0, 0, b.Dx(), b.Dy())
	if orientation > 4 {
		size = image.Rect(0, 0, b.Dy(), b.Dx())
	}
	to := image.NewRGBA(size)
	draw.NearestNeighbor.Transform(to, m, img, b, draw.Src, nil)
	return to
}

// small returns the picture with sides of at most thumbSide.
func small(img image.Image) image.Image {
	b := img.Bounds()
	side := max(b.Dx(), b.Dy())
	if side <= thumbSide {
		return img
	}
	to := image.NewRGBA(image.Rect(0, 0, max(1, b.Dx()*thumbSide/side), max(1, b.Dy()*thumbSide/side)))
	draw.ApproxBiLinear.Scale(to, to.Bounds(), img, b, draw.Src, nil)
	return to
}

// jpegHead returns the orientation that the EXIF data of a JPEG asks for, 1 if there
// is none, and whether it is progressive, or may be: a decoder skips what is no
// segment, and might find another frame than a search that loses step with it.
func jpegHead(r *bufio.Reader) (orientation int, progressive bool) {
	orientation, progressive = 1, true
	if _, err := r.Discard(2); err != nil {
		return orientation, progressive
	}
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 0xff {
			return orientation, progressive
		}
		marker, size := head[1], int(binary.BigEndian.Uint16(head[2:]))-2
		switch {
		case size < 0:
			return orientation, progressive
		case marker == 0xc0 || marker == 0xc1: // a frame that is not progressive
			return orientation, false
		case marker != 0xc4 && marker != 0xdb && marker != 0xdd && marker != 0xfe && marker>>4 != 0xe: // tables, comments, applications
			return orientation, progressive
		case marker != 0xe1:
			if _, err := r.Discard(size); err != nil {
				return orientation, progressive
			}
			continue
		}
		exif := make([]byte, size) // at most 64 KiB
		if _, err := io.ReadFull(r, exif); err != nil {
			return orientation, progressive
		}
		if o := exifOrientation(exif); o != 0 {
			orientation = o
		}
	}
}

func exifOrientation(b []byte) int {
	const start = 6 // after "Exif", 0, 0
	if len(b) < start+8 || string(b[:start]) != "Exif\x00\x00" {
		return 0
	}
	b = b[start:]
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 0
	}
	for entry := b[at+2:]; len(entry) >= 12; entry = entry[12:] {
		if order.Uint16(entry) == 0x0112 {
			return int(order.Uint16(entry[8:]))
		}
	}
	return 0
}
