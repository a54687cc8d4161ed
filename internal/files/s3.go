package files

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
)

// The schemes of the addresses of S3-compatible servers.
const (
	schemeS3      = "s3"      // over TLS
	schemePlainS3 = "s3+http" // over plain HTTP
)

// IsS3 reports whether the address of a place is that of a bucket; if not, it is a
// directory.
func IsS3(address string) bool {
	return strings.HasPrefix(address, schemeS3+":") || strings.HasPrefix(address, schemePlainS3+":")
}

// S3 keeps bytes in a bucket of an S3-compatible server, each object under its name.
// All bytes pass through this process: no address of the bucket is given to anybody.
type S3 struct {
	core     minio.Core
	bucket   string
	name     string
	patience time.Duration
}

const (
	patience = 30 * time.Second // with a server that does not answer, or sends no more bytes
	attempts = 3                // of each request
	slowest  = 64 << 10         // bytes a second, of a server that stores an object
)

var errAddress = errors.New("must be a directory, or s3://KEY:SECRET@HOST/BUCKET, with region and path-style after a question mark " +
	"if they are needed; s3+http: is without TLS, and a slash in the secret is written %2F")

// NewS3 returns the bytes in the bucket of an address. It connects to nothing, and its
// errors do not contain the address, which holds a secret.
//
// The operator chooses the host, so it is connected to directly: the guard of package
// outbound is for addresses that others choose.
func NewS3(address string) (*S3, error) {
	u, err := url.Parse(address)
	if err != nil || !IsS3(address) || u.Host == "" || u.Fragment != "" {
		return nil, errAddress
	}
	secret, _ := u.User.Password()
	bucket := strings.Trim(u.Path, "/")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.User.Username() == "" || secret == "" || bucket == "" || strings.Contains(bucket, "/") {
		return nil, errAddress
	}
	o := minio.Options{
		Creds: credentials.NewStaticV4(u.User.Username(), secret, ""), Secure: u.Scheme == schemeS3,
		Region: "us-east-1", MaxRetries: attempts,
	}
	for key, values := range query {
		switch value := values[0]; key {
		case "region":
			o.Region = value
		case "path-style":
			path, err := strconv.ParseBool(value)
			if err != nil {
				return nil, errors.New("path-style must be true or false")
			}
			if o.BucketLookup = minio.BucketLookupDNS; path {
				o.BucketLookup = minio.BucketLookupPath
			}
		default:
			return nil, errors.New("accepts region and path-style after the question mark, nothing else")
		}
	}
	transport, err := minio.DefaultTransport(o.Secure)
	if err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = patience / attempts
	o.Transport = transport
	client, err := minio.New(u.Host, &o)
	if err != nil {
		return nil, errAddress
	}
	return &S3{minio.Core{Client: client}, bucket, u.Scheme + "://" + u.Host + "/" + bucket, patience}, nil
}

// String returns the address without key and secret.
func (s *S3) String() string { return s.name }

// Find returns an error if there is no such bucket for this key.
func (s *S3) Find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	found, err := s.core.BucketExists(ctx, s.bucket)
	if err == nil && !found {
		err = errors.New("there is no such bucket, or the key may not see it")
	}
	if err != nil {
		return fmt.Errorf("attachments cannot be read in %s: %w", s.name, err)
	}
	return nil
}

// Probe returns an error unless the bucket keeps what is written, does not replace it,
// and keeps nothing of what is removed.
func (s *S3) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	const text = "Written by gotong serve to see whether this bucket can be written."
	name := "gotong-probe-" + rand.Text()
	err := s.probe(ctx, name, text)
	if err = errors.Join(err, s.Remove(ctx, name)); err != nil {
		return fmt.Errorf("attachments cannot be kept in %s: %w", s.name, err)
	}
	return nil
}

func (s *S3) probe(ctx context.Context, name, text string) error {
	for again := range 2 {
		info, err := s.write(ctx, name, strings.NewReader(text), int64(len(text)), "")
		switch {
		case again == 0 && err != nil:
			return err
		case again == 0 && info.VersionID != "" && info.VersionID != "null":
			return errors.New("the bucket keeps old versions, so erased files would stay; switch its versioning off")
		case again == 1 && err == nil:
			return errors.New("its server replaces objects although it is asked not to (If-None-Match)")
		case again == 1 && minio.ToErrorResponse(err).StatusCode != http.StatusPreconditionFailed:
			return err
		}
	}
	o, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(io.LimitReader(o, o.Size()))
	if err == nil && string(got) != text {
		err = errors.New("its server returns other bytes than were written")
	}
	return errors.Join(err, o.Close())
}

// write writes an object unless there is one with its name.
func (s *S3) write(ctx context.Context, name string, from io.ReadSeeker, size int64, sum string) (minio.UploadInfo, error) {
	o := minio.PutObjectOptions{}
	o.SetMatchETagExcept("*")
	return s.core.PutObject(ctx, s.bucket, name, from, size, "", sum, o) // in one request: no parts are left behind
}

// Put implements [Bytes]. A write whose answer was lost is repeated, and then finds
// its own object.
func (s *S3) Put(ctx context.Context, name string, from io.ReadSeeker, size int64, sum string) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience+time.Duration(size/slowest)*time.Second)
	defer cancel()
	_, err := s.write(ctx, name, newExact(from, size, sum), size, sum)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return same(ctx, s, name, sum)
	}
	return failed(err)
}

// Remove implements [Bytes].
func (s *S3) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return absent(missing(s.core.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{})))
}

// Open implements [Bytes].
func (s *S3) Open(ctx context.Context, name string) (Object, error) {
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	info, err := s.core.StatObject(asking, s.bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return nil, missing(err)
	}
	o := &object{s: s, name: name, size: info.Size}
	o.ctx, o.cancel = context.WithCancel(ctx)
	return o, nil
}

var unreachable = gotong.NewError(gotong.CodeBusy, "The place where attachments are kept does not answer as it should; repeat later.")

// failed returns what an error of the server means to callers, and keeps the error for
// the log.
func failed(err error) error {
	switch answer := minio.ToErrorResponse(err); {
	case err == nil || errors.Is(err, ErrDiffers):
		return err
	case answer.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	default:
		return fmt.Errorf("%w: %w", unreachable, err)
	}
}

// missing is failed for a request about an object that may not exist.
func missing(err error) error {
	if answer := minio.ToErrorResponse(err); answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return failed(err)
}

// object reads on from where the last read ended, and asks anew after a seek.
type object struct {
	s        *S3
	name     string
	ctx      context.Context //nolint:containedctx // that of Open, for reads
	cancel   context.CancelFunc
	size, at int64
	body     io.ReadCloser // nil: none
	bodyAt   int64
}

func (o *object) Size() int64 { return o.size }

// Seek implements [io.Seeker].
func (o *object) Seek(offset int64, whence int) (int64, error) {
	to := offset + map[int]int64{io.SeekCurrent: o.at, io.SeekEnd: o.size}[whence]
	if to < 0 {
		return o.at, errors.New("files: a place before the beginning")
	}
	o.at = to
	return to, nil
}

// Read implements [io.Reader].
func (o *object) Read(b []byte) (n int, err error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	late := time.AfterFunc(o.s.patience, o.cancel)
	defer late.Stop()
	if o.body == nil || o.bodyAt != o.at {
		if err := o.reopen(); err != nil {
			return 0, failed(err)
		}
	}
	n, err = o.body.Read(b[:min(int64(len(b)), o.size-o.at)])
	o.at += int64(n)
	o.bodyAt = o.at
	if err != nil && (!errors.Is(err, io.EOF) || o.at < o.size) {
		return n, failed(err)
	}
	return n, nil
}

func (o *object) reopen() error {
	if err := o.end(); err != nil {
		return err
	}
	get := minio.GetObjectOptions{}
	if o.at > 0 {
		if err := get.SetRange(o.at, 0); err != nil {
			return err
		}
	}
	body, info, _, err := o.s.core.GetObject(o.ctx, o.s.bucket, o.name, get)
	if err != nil {
		return err
	}
	o.body, o.bodyAt = body, o.at
	if info.Size != o.size-o.at {
		return fmt.Errorf("files: the server sends %d bytes of %d from %d on", info.Size, o.size, o.at)
	}
	return nil
}

func (o *object) end() (err error) {
	if o.body != nil {
		err = o.body.Close()
	}
	o.body = nil
	return err
}

// Close implements [io.Closer].
func (o *object) Close() error {
	o.cancel()
	return o.end()
}
