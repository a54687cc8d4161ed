package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"path/filepath"

	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/config"
	kept "gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/files"
)

// openFiles opens the place of attachments.
func (a *App) openFiles() (err error) {
	o := kept.Options{Dir: filepath.Join(a.cfg.Data, "uploads"), Limits: kept.Limits{
		File: mib(a.cfg.FileSize), PerUser: mib(a.cfg.FilesPerUser), PerHome: mib(a.cfg.FilesPerGroup),
	}}
	if o.Bytes, err = OpenBytes(&a.cfg); err != nil {
		return err
	}
	a.files, err = kept.New(o)
	return err
}

func mib(n int) int64 { return int64(n) << 20 }

// OpenBytes opens the place of the bytes of attachments.
func OpenBytes(cfg *config.Config) (kept.Bytes, error) { return kept.NewDisk(cfg.FilesDir()) }

func fileRoutes(rules thread.Rules) func(*App) func(*httpapi.API) {
	return func(a *App) func(*httpapi.API) {
		return files.Routes(files.Options{
			Files: a.files, Engine: a.engine, Views: a.views, Store: a.store, Codec: a.codec, Threads: rules,
			Recheck: a.auth.Recheck, Key: a.linkKey, Now: a.now, Log: a.log,
		})
	}
}

// linkKeyOf derives the key of links from the signing key, so that all nodes have the
// same one and neither reveals the other.
func linkKeyOf(secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte("gotong attachment links v1"))
	return h.Sum(nil)
}
