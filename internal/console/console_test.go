package console_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"gotong.dev/gotong/internal/console"
)

type answer struct {
	status int
	header http.Header
	body   string
}

func serve(t *testing.T, on bool) func(method, path string, header ...string) answer {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range console.Mounts(on) {
		mux.Handle(pattern, h)
	}
	return func(method, path string, header ...string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return answer{w.Code, w.Header(), w.Body.String()}
	}
}

// TestPage: the page, and everything that it names, is there under a strict
// policy; nothing in it is inline or from elsewhere.
func TestPage(t *testing.T) {
	get := serve(t, true)
	page := get("GET", "/").body
	if bad := regexp.MustCompile(`<script[^>]*>[^<]|<style|\sstyle=|\son\w+=|https?:|javascript:`).FindString(page); bad != "" {
		t.Errorf("the page contains %q", bad)
	}
	var manifest struct {
		Icons []struct {
			Src string `json:"src"`
		} `json:"icons"`
	}
	if err := json.Unmarshal([]byte(get("GET", "/manifest.webmanifest").body), &manifest); err != nil || len(manifest.Icons) != 3 {
		t.Errorf("%+v, %v", manifest, err)
	}
	paths := []string{"/", "/sw.js", "/manifest.webmanifest"}
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		paths = append(paths, m[1])
	}
	for _, icon := range manifest.Icons {
		paths = append(paths, icon.Src)
	}
	kinds := map[string]bool{}
	for _, path := range paths {
		r := get("GET", path)
		cache := "no-cache"
		if strings.HasPrefix(path, "/assets/") {
			cache = "public, max-age=31536000, immutable"
		}
		csp := r.header.Get("Content-Security-Policy")
		if r.status != http.StatusOK || r.header.Get("Cache-Control") != cache {
			t.Errorf("%s: %d, %s", path, r.status, r.header.Get("Cache-Control"))
		}
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types gotong"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
				t.Errorf("%s: the policy %q", path, csp)
			}
		}
		kinds[r.header.Get("Content-Type")] = true
	}
	if len(paths) != 10 || len(kinds) != 6 {
		t.Errorf("%d paths, %v", len(paths), kinds)
	}
}

// TestAnswers: what does not exist is no page, whatever a browser accepts, and
// what it has is not sent again.
func TestAnswers(t *testing.T) {
	get := serve(t, true)
	script := regexp.MustCompile(`/assets/main-\w+\.js`).FindString(get("GET", "/").body)
	for _, path := range []string{"/assets/main-OTHER.js", "/assets/", "/assets/index.html", "/index.html", "/assets/..%2findex.html"} {
		if r := get("GET", path, "Accept", "text/html"); r.status != http.StatusNotFound || strings.Contains(r.body, "<!doctype") {
			t.Errorf("%s: %d", path, r.status)
		}
	}
	if r := get("GET", "/", "Accept", "application/json"); r.status != http.StatusOK || !strings.HasPrefix(r.body, "<!doctype") {
		t.Errorf("/ as JSON: %d", r.status)
	}
	plain := get("GET", script).body
	for header, want := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "gzip;q=0": false, "gzip;q=0.0": false, "br": false, "": false} {
		r := get("GET", script, "Accept-Encoding", header)
		body := io.Reader(strings.NewReader(r.body))
		zipped := r.header.Get("Content-Encoding") == "gzip"
		if zipped {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		b, err := io.ReadAll(body)
		if zipped != want || string(b) != plain || err != nil {
			t.Errorf("%q: compressed %v, %d of %d bytes, %v", header, zipped, len(b), len(plain), err)
		}
	}
	tag := get("GET", "/").header.Get("ETag")
	if r := get("GET", "/", "If-None-Match", tag); r.status != http.StatusNotModified || len(tag) < 16 {
		t.Errorf("%s: %d", tag, r.status)
	}
	if r := get("HEAD", script); r.status != http.StatusOK || r.body != "" {
		t.Errorf("HEAD: %d", r.status)
	}
}

// TestOff: without the console, / has the links, and a browser that had the
// console loses its service worker.
func TestOff(t *testing.T) {
	get := serve(t, false)
	page := get("GET", "/").body
	for _, link := range []string{`href="/docs"`, `href="/openapi.json"`, `href="/asyncapi.json"`} {
		if !strings.Contains(page, link) {
			t.Errorf("no %s in %s", link, page)
		}
	}
	if worker := get("GET", "/sw.js").body; !strings.Contains(worker, "unregister()") || strings.Contains(worker, "'fetch'") {
		t.Errorf("the worker: %s", worker)
	}
	if strings.Contains(page, "<script") {
		t.Error("the page has a script")
	}
	for _, path := range []string{"/manifest.webmanifest", "/assets/x.js"} {
		if r := get("GET", path); r.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}

// TestOperatorsPage: the page of the operators' listener has the same policy and no
// service worker, and is not there if the console is off.
func TestOperatorsPage(t *testing.T) {
	mounts := console.OperatorMounts(true)
	mux := http.NewServeMux()
	for pattern, h := range mounts {
		mux.Handle(pattern, h)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w
	}
	page := get("/").Body.String()
	links := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if bad := regexp.MustCompile(`<script[^>]*>[^<]|<style|\sstyle=|\son\w+=|https?:|javascript:`).FindString(page); bad != "" || len(links) != 3 {
		t.Errorf("the page contains %q and %d links", bad, len(links))
	}
	for _, path := range []string{"/", links[0][1], links[1][1], links[2][1]} {
		if w := get(path); w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
	}
	if w := get("/sw.js"); w.Code != http.StatusNotFound {
		t.Errorf("a service worker: %d", w.Code)
	}
	if off := console.OperatorMounts(false); len(off) > 0 {
		t.Errorf("while the console is off: %v", off)
	}
}
