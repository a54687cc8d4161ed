package files_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/files/filestest"
)

// fault answers a request in place of the server, or passes it on.
type fault = func(w http.ResponseWriter, r *http.Request, server http.Handler)

// once makes a fault of the first request with this method, and passes on all others.
func once(method string, f fault) fault {
	var done atomic.Bool
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method != method || done.Swap(true) {
			server.ServeHTTP(w, r)
			return
		}
		f(w, r, server)
	}
}

func answer(status int) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}
}

func cut(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// lost has the server answer, and loses the answer.
func lost(_ http.ResponseWriter, r *http.Request, server http.Handler) {
	server.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

func silent(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // then the end of the request is noticed
	<-r.Context().Done()
}

// flipped changes one bit of the body on its way to the server.
func flipped(w http.ResponseWriter, r *http.Request, server http.Handler) {
	body, _ := io.ReadAll(r.Body)
	if i := bytes.Index(body, []byte("abc")); i >= 0 {
		body[i] ^= 1
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	server.ServeHTTP(w, r)
}

func TestFaultsOfPuts(t *testing.T) {
	s := filestest.Start(t)
	for name, tc := range map[string]struct {
		fault fault
		want  gotong.Code // "": it is kept
	}{
		"failed once":                       {once(http.MethodPut, answer(http.StatusServiceUnavailable)), ""},
		"failed":                            {answer(http.StatusInternalServerError), gotong.CodeBusy},
		"cut off once":                      {once(http.MethodPut, cut), ""},
		"kept, and the answer is lost":      {once(http.MethodPut, lost), ""},
		"server down":                       {cut, gotong.CodeBusy},
		"rejected":                          {answer(http.StatusForbidden), gotong.CodeBusy},
		"bucket is gone":                    {answer(http.StatusNotFound), gotong.CodeBusy},
		"no answer":                         {silent, gotong.CodeBusy},
		"other bytes arrive":                {flipped, gotong.CodeBusy},
		"other bytes arrive the first time": {once(http.MethodPut, flipped), gotong.CodeBusy},
	} {
		t.Run(name, func(t *testing.T) {
			in := bucket(t, s.Bucket(t))
			if name == "no answer" {
				in.Hurry(100 * time.Millisecond)
			}
			s.Fault(tc.fault)
			err := put(t, in, id, "abc")
			s.Fault(nil)
			in.Hurry(time.Minute)
			if gotong.CodeOf(err) != tc.want || err != nil && strings.Contains(err.Error(), filestest.Secret) {
				t.Errorf("%v", err)
			}
			kept, err := get(t, in, id)
			if kept != "abc" && (tc.want == "" || !errors.Is(err, fs.ErrNotExist)) {
				t.Errorf("%q is kept: %v", kept, err)
			}
			if err := put(t, in, id, "abc"); err != nil {
				t.Errorf("repeated: %v", err)
			}
		})
	}
}

// short promises all bytes of the answer, and sends half of them.
func short(after func()) fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method != http.MethodGet {
			server.ServeHTTP(w, r)
			return
		}
		got := httptest.NewRecorder()
		server.ServeHTTP(got, r)
		w.Header().Set("Content-Length", strconv.Itoa(got.Body.Len()))
		w.Header().Set("Last-Modified", got.Header().Get("Last-Modified"))
		w.WriteHeader(got.Code)
		_, _ = w.Write(got.Body.Bytes()[:got.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		after()
		panic(http.ErrAbortHandler)
	}
}

// whole ignores that a part is wanted.
func whole(w http.ResponseWriter, r *http.Request, server http.Handler) {
	got := httptest.NewRecorder()
	server.ServeHTTP(got, r)
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Length", "6")
		w.Header().Set("Last-Modified", got.Header().Get("Last-Modified"))
		_, _ = io.WriteString(w, "abcdef")
		return
	}
	server.ServeHTTP(w, r)
}

func TestFaultsOfReads(t *testing.T) {
	s := filestest.Start(t)
	over := make(chan struct{})
	defer close(over)
	for name, tc := range map[string]struct {
		fault fault
		wait  time.Duration
	}{
		"down":                   {cut, time.Minute},
		"rejected":               {answer(http.StatusForbidden), time.Minute},
		"no answer":              {silent, 100 * time.Millisecond},
		"cut off":                {short(func() {}), time.Minute},
		"no end":                 {short(func() { <-over }), 100 * time.Millisecond},
		"all instead of a range": {whole, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			in := bucket(t, s.Bucket(t))
			if err := put(t, in, id, "abcdef"); err != nil {
				t.Fatal(err)
			}
			object, err := in.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := object.Seek(2, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			in.Hurry(tc.wait)
			s.Fault(tc.fault)
			got, err := io.ReadAll(object)
			s.Fault(nil)
			if gotong.CodeOf(err) != gotong.CodeBusy || string(got) != "cdef"[:min(len(got), 4)] {
				t.Errorf("%q, %v", got, err)
			}
			if err := object.Close(); err != nil {
				t.Error(err)
			}
			in.Hurry(time.Minute)
			if kept, err := get(t, in, id); kept != "abcdef" || err != nil {
				t.Errorf("afterwards: %q, %v", kept, err)
			}
		})
	}
}

func TestRemovalsAreReported(t *testing.T) {
	s := filestest.Start(t)
	in := bucket(t, s.Bucket(t))
	if err := put(t, in, id, "abc"); err != nil {
		t.Fatal(err)
	}
	s.Fault(cut)
	if err := in.Remove(t.Context(), id); gotong.CodeOf(err) != gotong.CodeBusy {
		t.Errorf("the server is down: %v", err)
	}
	if _, err := in.Open(t.Context(), id); gotong.CodeOf(err) != gotong.CodeBusy {
		t.Errorf("the server is down, and the file counts as missing: %v", err)
	}
	s.Fault(once(http.MethodDelete, lost))
	if err := in.Remove(t.Context(), id); err != nil {
		t.Errorf("the answer was lost once: %v", err)
	}
	s.Fault(nil)
	if _, err := in.Open(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestUnfitBucketsAreRejected: at the start of a server, with a sentence for operators.
func TestUnfitBucketsAreRejected(t *testing.T) {
	s := filestest.Start(t)
	good := s.Bucket(t)
	onPut := func(f fault) fault {
		return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
			if r.Method == http.MethodPut {
				f(w, r, server)
				return
			}
			server.ServeHTTP(w, r)
		}
	}
	for name, tc := range map[string]struct {
		address string
		fault   fault
		want    string
	}{
		"wrong secret":  {s.Address(filestest.Key, "other", "bucket-1"), nil, "signature"},
		"unknown key":   {s.Address("nobody", filestest.Secret, "bucket-1"), nil, "access key"},
		"no bucket":     {s.Address(filestest.Key, filestest.Secret, "none"), nil, "bucket does not exist"},
		"only readable": {good, onPut(answer(http.StatusForbidden)), "Access Denied"},
		"down":          {good, cut, ""},
		"replaces":      {good, onPut(answer(http.StatusOK)), "replaces objects"},
		"old versions": {good, onPut(func(w http.ResponseWriter, r *http.Request, server http.Handler) {
			w.Header().Set("X-Amz-Version-Id", "v1")
			server.ServeHTTP(w, r)
		}), "keeps old versions"},
		"other bytes": {good, func(w http.ResponseWriter, r *http.Request, server http.Handler) {
			if r.Method != http.MethodGet {
				server.ServeHTTP(w, r)
				return
			}
			got := httptest.NewRecorder()
			server.ServeHTTP(got, r)
			w.Header().Set("Last-Modified", got.Header().Get("Last-Modified"))
			_, _ = w.Write(bytes.ToUpper(got.Body.Bytes()))
		}, "other bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := files.NewS3(tc.address)
			if err != nil {
				t.Fatal(err)
			}
			s.Fault(tc.fault)
			err = in.Probe(t.Context())
			s.Fault(nil)
			if err == nil || !strings.Contains(err.Error(), "attachments cannot be kept in s3+http://127.0.0.1:") ||
				!strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tc.want)) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), filestest.Secret) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
	in := bucket(t, good)
	if in.String() != strings.Replace(good, filestest.Key+":not-really%2Fa%2Bsecret@", "", 1) {
		t.Errorf("%s, of %s", in, good)
	}
}

func TestAddressesOfBuckets(t *testing.T) {
	for address, want := range map[string]string{
		"s3://k:s@s3.example.org/b":                             "s3://s3.example.org/b",
		"s3://k:a%2Fb@s3.example.org:9000/b/":                   "s3://s3.example.org:9000/b",
		"s3+http://k:s@127.0.0.1:9000/b":                        "s3+http://127.0.0.1:9000/b",
		"s3://k:s@s3.example.org/b?region=ap-1&path-style=true": "s3://s3.example.org/b",
		"s3://k:s@s3.example.org/b?path-style=false":            "s3://s3.example.org/b",
		"s3://k:sekrit@s3.example.org/b?path-style=maybe":       "",
		"s3://k:sekrit@s3.example.org/b?endpoint=x":             "",
		"s3://k:sekrit@s3.example.org/b?region=%zz":             "",
		"s3://k:sek/rit@s3.example.org/b":                       "",
		"s3://k:sekrit@s3.example.org/":                         "",
		"s3://k:sekrit@s3.example.org/b/c":                      "",
		"s3://k:sekrit@/b":                                      "",
		"s3://k@s3.example.org/b":                               "",
		"s3://:sekrit@s3.example.org/b":                         "",
		"s3://s3.example.org/b":                                 "",
		"s3:b":                                                  "",
		"https://k:sekrit@s3.example.org/b":                     "",
		"s3://k:sekrit@s3.example.org/b#x":                      "",
		"s3://k:sekrit@s3 example/b":                            "",
	} {
		s, err := files.NewS3(address)
		switch {
		case (err == nil) != (want != ""), err == nil && s.String() != want:
			t.Errorf("%s: %v, %v", address, s, err)
		case err != nil && strings.Contains(err.Error(), "sek"):
			t.Errorf("%s: shows the secret: %v", address, err)
		}
	}
	for address, want := range map[string]bool{"s3:": true, "s3+http://x": true, "s3": false, "/var/lib/s3:": false, "./s3": false} {
		if files.IsS3(address) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}
