package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/importer"
)

// maxUploads is how often an upload may expire.
const maxUploads = 8

// write sends the steps over one connection, many at a time.
func (in importing) write(ctx context.Context, std *stdio, thread string) (importer.Result, error) {
	conn := in.remote.NewConn(client.ConnOptions{MaxPending: importer.Window})
	inner, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var lost error // why the connection ended
	running.Go(func() { lost = conn.Run(inner) })
	submit := func(ctx context.Context, typ string, data any, requestID string) (importer.Wait, error) {
		call, err := conn.Submit(ctx, gotong.NewStream("thread", thread), typ, data, client.RequestID(requestID))
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (gotong.Receipt, bool, error) {
			r, err := call.Wait(ctx)
			return r, call.PutOff(), err
		}, nil
	}
	bar := newProgress(std, in.survey.Steps, in.known.Bytes)
	steps := in.known.without(in.steps(thread), in.upload(thread, bar))
	result, err := importer.Run(ctx, submit, steps, in.known.ids, bar.show)
	bar.clear()
	cancel()
	running.Wait()
	if err != nil && !errors.Is(lost, context.Canceled) {
		err = lost
	}
	return result, err
}

// upload returns a function that uploads files for the thread. An upload that expired
// before its message was posted, because an import was interrupted for a day, cannot be
// continued; the next request id of the same series can.
func (in importing) upload(thread string, bar *progress) importer.Upload {
	return func(ctx context.Context, m importer.Medium) (id string, err error) {
		from := m.Open()
		defer from.Close() //nolint:errcheck // only read
		file := client.NewFile{Name: m.Name, Size: m.Size, From: from, Progress: bar.bytes}
		for n := range maxUploads {
			f, err := in.remote.Upload(ctx, thread, file, client.RequestID(m.RequestID+strings.Repeat(".", n)))
			if gotong.CodeOf(err) != gotong.CodeNotFound || n == maxUploads-1 {
				return f.ID, err
			}
		}
		return "", nil
	}
}
