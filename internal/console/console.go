// Package console is the pages at /: a chat for people in a browser and, on the
// listener for operators, what the server does. They are built from app/ into dist/,
// which is embedded.
//
// Everything that the page needs comes from this server. Its content security
// policy allows no other source, no inline script or style, and no frame around
// it. Everybody may load the page; its user signs in with the API, which decides what
// they see.
//
// # Caveats
//
// Files in assets/ have a hash in their names and are kept for ever by browsers;
// the other files are asked for again each time. An unknown asset is 404 and
// never the page, because a browser would keep the page as that asset.
//
// # Dependencies
//
// Package httpapi for problems; the standard library.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi"
)

//go:generate go -C dev run .

//go:embed dist
var dist embed.FS

//go:embed off
var off embed.FS

// policy is the content security policy of the page. Its one policy of Trusted
// Types, gotong, creates the URL of the service worker.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types gotong"

// Mounts returns the handlers of the console by pattern. If the console is off,
// / has links to the documents of the API, and /sw.js a service worker that
// removes the console's from the browsers which have it.
func Mounts(on bool) map[string]http.Handler {
	if !on {
		return map[string]http.Handler{"GET /{$}": load(off, "off/index.html"), "GET /sw.js": load(off, "off/sw.js")}
	}
	assets := map[string]*file{}
	list, err := fs.ReadDir(dist, "dist/assets")
	if err != nil {
		panic("console: there are no assets: " + err.Error())
	}
	for _, e := range list {
		assets[e.Name()] = load(dist, "dist/assets/"+e.Name())
		assets[e.Name()].immutable = true
	}
	return map[string]http.Handler{
		"GET /{$}":                  load(dist, "dist/index.html"),
		"GET /sw.js":                load(dist, "dist/sw.js"),
		"GET /manifest.webmanifest": load(dist, "dist/manifest.webmanifest"),
		"GET /assets/{name}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if f := assets[r.PathValue("name")]; f != nil {
				f.ServeHTTP(w, r)
				return
			}
			httpapi.WriteProblem(w, r, gotong.NotFound())
		}),
	}
}

// OperatorMounts returns the handlers of the operators' page by pattern; none if
// the console is off.
func OperatorMounts(on bool) map[string]http.Handler {
	if !on {
		return map[string]http.Handler{}
	}
	assets := Mounts(true)["GET /assets/{name}"]
	return map[string]http.Handler{"GET /{$}": load(dist, "dist/operator.html"), "GET /assets/{name}": assets}
}

// file is one file of the page.
type file struct {
	plain     []byte
	gzipped   func() []byte // compressed when it is first asked for; nil if that is no shorter
	kind, tag string
	immutable bool
}

func load(from fs.FS, name string) *file {
	b, err := fs.ReadFile(from, name)
	if err != nil {
		panic("console: " + err.Error())
	}
	gzipped := sync.OnceValue(func() []byte { return compress(b) })
	return &file{plain: b, gzipped: gzipped, kind: kinds[path.Ext(name)], tag: fmt.Sprintf("%x", sha256.Sum256(b))[:16]}
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = z.Write(b)                                       // a buffer accepts everything
	_ = z.Close()
	if out.Len() >= len(b) {
		return nil
	}
	return out.Bytes()
}

// kinds are the media types, whatever the files of this machine say.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".webmanifest": "application/manifest+json", ".svg": "image/svg+xml", ".png": "image/png",
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, tag := f.plain, f.tag
	if zipped := f.gzipped(); zipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, tag = zipped, tag+"-gz"
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, q, _ := strings.Cut(part, ";")
		if strings.TrimSpace(coding) == "gzip" {
			return strings.Trim(q, " q=0.") != "" || q == ""
		}
	}
	return false
}
