package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gotong.dev/gotong/client"
	logcopy "gotong.dev/gotong/internal/copy"
)

type sendCmd struct {
	login
	Thread string   `arg:"" name:"thread" help:"The id of the thread."`
	Text   []string `arg:"" optional:"" help:"The text; it may be left out if there are files."`
	File   []string `name:"file" sep:"none" help:"A file to attach; may be repeated." placeholder:"PATH"`
}

func (*sendCmd) Help() string {
	return `Posts a message, and prints its id. An upload continues after a lost connection, until you interrupt it.

Examples:

    gotong send 0192… Rapat jam delapan
    gotong send 0192… --file notulen.pdf --file foto.jpg`
}

func (c *sendCmd) Run(ctx context.Context, std *stdio) error {
	if len(c.Text)+len(c.File) == 0 {
		return misuse("gotong send --help", "neither a text nor a file")
	}
	files := make([]client.NewFile, 0, len(c.File))
	defer func() {
		for _, f := range files {
			_ = f.From.(io.Closer).Close() //nolint:forcetypeassert // was only read
		}
	}()
	for _, path := range c.File {
		f, size, err := openFile(path)
		if err != nil {
			return err
		}
		files = append(files, client.NewFile{Name: filepath.Base(path), Size: size, From: f})
	}
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	m := client.NewMessage{Body: strings.Join(c.Text, " ")}
	for _, f := range files {
		bar := &stages{std: std}
		f.Progress = func(n int64) { bar.show(progressOf(f.Name, n, f.Size)) }
		kept, err := remote.Upload(ctx, c.Thread, f)
		if bar.clear(); err != nil {
			why := explain(err)
			why.err = fmt.Errorf("%s was not uploaded: %w", printable(f.Name), why.err)
			return why
		}
		m.Attachments = append(m.Attachments, kept.ID)
	}
	sent, err := remote.Send(ctx, c.Thread, m)
	if err == nil {
		_, err = fmt.Fprintln(std.out, sent.MessageID)
	}
	return err
}

// openFile opens a file that can be attached.
func openFile(path string) (*os.File, int64, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, 0, &failure{err: err, code: 2}
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		err = fmt.Errorf("%s is empty", path)
	default:
		return f, info.Size(), nil
	}
	return nil, 0, errors.Join(&failure{err: err, code: 2}, f.Close())
}

func progressOf(name string, done, total int64) logcopy.Progress {
	return logcopy.Progress{Stage: printable(name), Done: uint64(max(done, 0)), Total: uint64(max(total, 0))}
}

type fetchCmd struct {
	login
	Attachment string `arg:"" name:"attachment" help:"The id of the file, as gotong tail shows it."`
	Path       string `arg:"" name:"path" help:"Where to write it; - is the standard output. An existing file is not replaced."`
}

func (*fetchCmd) Help() string {
	return `Examples:

    gotong fetch 0192… notulen.pdf
    gotong fetch 0192… - | sha256sum`
}

func (c *fetchCmd) Run(ctx context.Context, std *stdio) error {
	remote, err := c.client(ctx)
	if err != nil {
		return err
	}
	if c.Path == "-" {
		_, err = remote.Download(ctx, c.Attachment, std.out)
		return err
	}
	known, err := remote.File(ctx, c.Attachment)
	if err != nil {
		return err
	}
	path := filepath.Clean(c.Path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &failure{err: err, code: 2}
	}
	bar := &stages{std: std}
	show := func(n int64) { bar.show(progressOf(known.Name, n, known.Size)) }
	_, err = remote.Download(ctx, c.Attachment, &counted{Writer: f, show: show})
	bar.clear()
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// counted shows how many bytes were written.
type counted struct {
	io.Writer
	n    int64
	show func(n int64)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	c.show(c.n)
	return n, err
}
