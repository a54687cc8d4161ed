package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"gotong.dev/gotong/internal/community/thread"
	kept "gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/files"
	"gotong.dev/gotong/internal/httpapi/moderation"
)

// openFiles opens the place of attachments.
func (a *App) openFiles(ctx context.Context) (err error) {
	o := kept.Options{Dir: filepath.Join(a.cfg.Data, "uploads"), Limits: kept.Limits{
		File: mib(a.cfg.FileSize), PerUser: mib(a.cfg.FilesPerUser), PerHome: mib(a.cfg.FilesPerGroup),
	}}
	if o.Bytes, err = OpenBytes(ctx, a.cfg.FilesPlace(), true); err != nil {
		return err
	}
	a.files, err = kept.New(o)
	return err
}

func mib(n int) int64 { return int64(n) << 20 }

// OpenBytes opens the place of the bytes of attachments, a directory or a bucket. To
// write, it creates the directory, or tries whether the bucket can be written.
func OpenBytes(ctx context.Context, place string, write bool) (kept.Bytes, error) {
	if !kept.IsS3(place) {
		if write {
			return kept.NewDisk(place)
		}
		return kept.OpenDisk(place)
	}
	s, err := kept.NewS3(place)
	switch {
	case err != nil:
		return nil, fmt.Errorf("files: %w", err)
	case write:
		err = s.Probe(ctx)
	default:
		err = s.Find(ctx)
	}
	return s, err
}

// CheckFiles returns what is wrong with a place of attachments. It connects to nothing.
func CheckFiles(place string) (err error) {
	if kept.IsS3(place) || strings.Contains(place, "://") {
		_, err = kept.NewS3(place)
	}
	return err
}

func fileRoutes(rules thread.Rules) func(*App) func(*httpapi.API) {
	return func(a *App) func(*httpapi.API) {
		return files.Routes(a.fileOptions(rules))
	}
}

func (a *App) fileOptions(rules thread.Rules) files.Options {
	return files.Options{
		Files: a.files, Engine: a.engine, Views: a.views, Store: a.store, Codec: a.codec, Threads: rules,
		Recheck: a.auth.Recheck, Key: a.linkKey, Now: a.now, Log: a.log,
		Opens: moderation.Options{Options: a.membersOptions(), Rules: rules}.Opens,
	}
}

// linkKeyOf derives the key of links from the signing key, so that all nodes have the
// same one and neither reveals the other.
func linkKeyOf(secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte("gotong attachment links v1"))
	return h.Sum(nil)
}
