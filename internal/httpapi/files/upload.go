package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	kept "gotong.dev/gotong/internal/files"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/store"
)

// around is how much larger than its file a form may be.
const around = 16 << 10

// finishing bounds the time that it takes to store a file after its last byte arrived.
const finishing = time.Minute

type uploadIn struct {
	httpapi.Raw
	ThreadID string `query:"thread_id" required:"true" doc:"The thread that the file is for."`
}

func (f *routes) upload(ctx context.Context, in *uploadIn) (*httpapi.Out[View], error) {
	w, r := in.HTTP()
	size := f.Files.File
	if r.ContentLength > size+around {
		return nil, f.tooLarge()
	}
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength)
	}
	in.Allow(size)
	r.Body = http.MaxBytesReader(w, r.Body, f.Files.File+around)
	part, err := filePart(r)
	if err != nil {
		return nil, err
	}
	call := httpapi.CallOf(ctx)
	begin := upload.Start{Thread: gotong.NewStream(thread.Name, in.ThreadID), Name: part.FileName(), Size: size}
	id := upload.StreamOf(call.Principal.UserID, call.RequestID).ID()
	done, err := f.run(ctx, id)
	if err != nil {
		return nil, err
	}
	defer done()
	leave, err := f.take(ctx, id, false, func() {}) // from requests for an upload in parts with the same key
	if err != nil {
		return nil, err
	}
	defer leave()
	u, err := read[upload.Upload](ctx, f, upload.Key(id))
	if begin.Home = u.Home; gotong.CodeOf(err) == gotong.CodeNotFound { // else it was admitted, and counts
		begin.Home, err = f.admit(ctx, begin)
	}
	if err != nil {
		return nil, err
	}
	sum, err := f.Files.Receive(id, part)
	if err != nil {
		return nil, f.bodyError(err)
	}
	ctx = context.WithoutCancel(ctx) // a client that leaves now must not leave an unfinished upload, which counts for a day
	if err := f.start(ctx, id, begin, sum); err != nil {
		return nil, errors.Join(err, f.Files.Discard(id))
	}
	p, err := f.finish(ctx, id)
	if err != nil {
		return nil, err
	}
	return f.view(ctx, p), nil
}

func (f *routes) tooLarge() error {
	return gotong.NewError(gotong.CodeTooLarge, fmt.Sprintf("A file may have %d bytes.", f.Files.File))
}

// filePart returns the part file of a form.
func filePart(r *http.Request) (*multipart.Part, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, gotong.NewError(httpapi.CodeMediaType, "The body must be multipart/form-data with the part file.")
	}
	for range 4 {
		part, err := form.NextPart()
		if err != nil {
			break
		}
		if part.FormName() == "file" {
			return part, nil
		}
	}
	return nil, gotong.Invalid("file", "must be among the first parts of the form")
}

// bodyError returns the error of a body that ended early, and other errors as they are.
// Errors of a disk are among those, although [net.Error] fits them.
func (f *routes) bodyError(err error) error {
	var large *http.MaxBytesError
	var netErr *net.OpError
	switch {
	case errors.As(err, &large):
		return f.tooLarge()
	case errors.As(err, &netErr) && netErr.Timeout():
		return gotong.NewError(httpapi.CodeTimeout, "The file did not arrive in time.")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &netErr):
		return gotong.NewError(httpapi.CodeBadRequest, "The body ended early.")
	default:
		return err
	}
}

// slot is the place of an upload among those of its owner that are not finished.
type slot struct {
	owner string
	until gotong.Instant // by then the counts include the upload; 0: it is not committed yet
}

// settle is how long an upload has a slot beside its place in the counts, which follow.
const settle = time.Minute

// run takes a slot for an upload, until done is called.
func (f *routes) run(ctx context.Context, id string) (done func(), err error) {
	user, n := httpapi.CallOf(ctx).Principal.UserID, 0
	f.mu.Lock()
	defer f.mu.Unlock()
	for other, s := range f.running {
		switch {
		case s.until > 0 && s.until <= f.Now():
			delete(f.running, other)
		case s.owner == user:
			n++
		}
	}
	switch {
	case f.running[id].owner != "":
		return nil, gotong.NewError(gotong.CodeInProgress, "The file is being received.")
	case n >= kept.MaxOpen:
		return nil, f.tooMany()
	}
	f.running[id] = slot{owner: user}
	return func() { f.release(id) }, nil
}

// release frees the slot of an upload that ended, or never began.
func (f *routes) release(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
}

// counted frees the slot of a committed upload once the counts include it.
func (f *routes) counted(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.running[id]; ok {
		f.running[id] = slot{s.owner, f.Now().Add(settle)}
	}
}

func (f *routes) tooMany() error {
	return gotong.NewError(gotong.CodeRateLimited, "Too many of your uploads are not finished; finish or discard one.")
}

// mayPost returns the home of a thread to which the caller may post.
func (f *routes) mayPost(ctx context.Context, in gotong.Stream) (home gotong.Stream, err error) {
	me := httpapi.CallOf(ctx).Principal
	if _, err := gotong.ParseStream(string(in)); err != nil {
		return "", gotong.NotFound()
	}
	looks, _, err := f.Views.Look(ctx, me.Viewer(), []gotong.Stream{in}, f.Threads.KnowNeeds, nil)
	if err != nil {
		return "", err
	}
	if err := f.Threads.MayPost(looks[0].State, gotong.Command{Actor: me.Actor(), Now: f.Now()}); err != nil {
		return "", err
	}
	doc, _ := gotong.Doc[thread.Thread](looks[0].State, thread.ThreadKey(in.ID()))
	return doc.Home, nil
}

// admit returns the home of the thread if the caller may upload a file to it. The
// rules decide again when the upload starts.
func (f *routes) admit(ctx context.Context, begin upload.Start) (home gotong.Stream, err error) {
	if home, err = f.mayPost(ctx, begin.Thread); err != nil {
		return "", err
	}
	mine, all, err := kept.Used(ctx, f.Store, viewer(ctx).UserID, home)
	switch {
	case err != nil:
		return "", err
	case mine.Open >= kept.MaxOpen:
		return "", f.tooMany()
	case mine.Bytes+begin.Size > f.Files.PerUser:
		return "", gotong.NewError(gotong.CodeTooLarge, "Your files would exceed the quota of a user.")
	case all.Bytes+begin.Size > f.Files.PerHome:
		return "", gotong.NewError(gotong.CodeTooLarge, "The files of the group would exceed its quota.")
	}
	return home, nil
}

// start begins an upload whose bytes have this hash. A request with the key of another
// one is rejected here.
func (f *routes) start(ctx context.Context, id string, begin upload.Start, sum string) error {
	cmd := httpapi.CallOf(ctx).Command(thread.UploadStream(id), upload.CmdStart, begin, nil, string(begin.Thread), begin.Name, sum)
	_, err := httpapi.Run(ctx, f.Engine, cmd)
	return err
}

// finish stores what was received of an upload, unless an earlier request did, and
// returns it as its owner sees it.
func (f *routes) finish(ctx context.Context, id string) (place, error) {
	call := httpapi.CallOf(ctx)
	if u, err := read[upload.Upload](ctx, f, upload.Key(id)); err == nil && u.State != upload.Open {
		p, err := f.find(ctx, call.Principal.Viewer(), id)
		return p, errors.Join(err, f.Files.Discard(id))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	file, err := f.Files.Finish(ctx, id)
	if err != nil {
		return place{}, err
	}
	_, err = f.Engine.Execute(ctx, gotong.Command{
		Stream: thread.UploadStream(id), Type: upload.CmdStore, Actor: kept.System(), RequestID: upload.CmdStore,
		CorrelationID: call.CorrelationID, Data: upload.Store(file),
	})
	if code := gotong.CodeOf(err); code == gotong.CodeConflict || code == gotong.CodeNotFound { // it was discarded meanwhile
		return place{}, errors.Join(err, f.Files.Remove(ctx, id))
	}
	if err != nil {
		return place{}, store.CodedWrite(err)
	}
	p, err := f.find(ctx, call.Principal.Viewer(), id)
	return p, errors.Join(err, f.Files.Discard(id))
}
