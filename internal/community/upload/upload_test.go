package upload_test

import (
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
)

const (
	in   = gotong.Stream("thread/t-1")
	home = gotong.Stream("group/ent-1")
)

var (
	ani, budi, citra = communitytest.User("ani"), communitytest.User("budi"), communitytest.User("citra")
	boss             = communitytest.Admin("boss")
	server           = communitytest.System()

	picture = upload.Store{Size: 3, Hash: "h", Type: "image/png", Width: 2, Height: 1, Thumb: "t", ThumbSize: 4}
)

// world is a thread of a group with ani and budi; citra is in the group alone.
func world(t *testing.T) *communitytest.World {
	t.Helper()
	threads := thread.Rules{Lenders: gotong.Lenders{group.Kind()}}
	w := communitytest.Run(t, threads.Kind(), group.Kind(), upload.Rules{Threads: threads}.Kind())
	w.Do(ani, home, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	for _, id := range []string{"budi", "citra"} {
		w.Do(ani, home, group.Add{UserID: id})
	}
	w.Do(ani, in, thread.Create{ScopeID: home.ID(), Privacy: thread.Private})
	w.Do(ani, in, thread.Add{UserID: "budi"})
	return w
}

func start(w *communitytest.World, by gotong.Actor, id string) gotong.Stream {
	s := thread.UploadStream(id)
	w.Do(by, s, upload.Start{Thread: in, Home: home, Name: "foto.png", Size: 10})
	return s
}

func stored(w *communitytest.World, by gotong.Actor, id string) gotong.Stream {
	s := start(w, by, id)
	w.Do(server, s, picture)
	return s
}

func docOf(w *communitytest.World, s gotong.Stream) upload.Upload {
	u, _ := w.Doc(upload.Key(s.ID())).(upload.Upload)
	return u
}

func TestOnlyThoseWhoMayPostUpload(t *testing.T) {
	w := world(t)
	begin := upload.Start{Thread: in, Home: home, Name: "a", Size: 1}
	for _, by := range []gotong.Actor{citra, boss, communitytest.User("dewi"), gotong.Anonymous()} {
		w.Refuse(by, "upload/u", begin, gotong.CodeNotFound)
	}
	w.Do(ani, in, thread.Mute{UserID: "budi", UntilMS: w.Now().Milli() + 60_000})
	w.Refuse(budi, "upload/u", begin, gotong.CodeForbidden)
	elsewhere := begin
	elsewhere.Home = "scope/rt05"
	w.Refuse(ani, "upload/u", elsewhere, gotong.CodeNotFound)
	w.Do(ani, "upload/u", begin)
	w.Refuse(ani, "upload/u", begin, gotong.CodeNotFound)
	for _, c := range []any{picture, upload.Erase{}, upload.Collect{}} {
		w.Refuse(budi, "upload/u", c, gotong.CodeNotFound)
	}
	w.Refuse(ani, "upload/u", picture, gotong.CodeNotFound)
	w.Refuse(ani, "upload/u", upload.Erase{}, gotong.CodeNotFound)
	for _, v := range []string{"budi", "boss", "citra"} {
		if w.Access("upload/u", gotong.Viewer{UserID: v, Role: gotong.RoleAdmin}).Readable {
			t.Error(v, "reads the upload of another user")
		}
	}
}

func TestAMessageAttachesFinishedUploadsOfItsAuthor(t *testing.T) {
	w := world(t)
	open, done, others := start(w, ani, "u1"), stored(w, ani, "u2"), stored(w, budi, "u3")
	w.Do(ani, "thread/t-2", thread.Create{ScopeID: home.ID(), Privacy: thread.Private})
	for name, tc := range map[string]struct {
		to  gotong.Stream
		ids []string
	}{
		"not finished":      {in, []string{done.ID(), open.ID()}},
		"of another user":   {in, []string{others.ID()}},
		"absent":            {in, []string{"u9"}},
		"of another thread": {"thread/t-2", []string{done.ID()}},
		"twice":             {in, []string{done.ID(), done.ID()}},
		"too many":          {in, strings.Split(strings.Repeat("x", 21), "")},
	} {
		t.Run(name, func(*testing.T) {
			w.Refuse(ani, tc.to, thread.Post{Body: "x", Attachments: tc.ids}, gotong.CodeInvalid)
		})
	}
	e := w.Do(ani, in, thread.Post{Attachments: []string{done.ID()}})[0]
	want := thread.Attachment{ID: "u2", Name: "foto.png", Type: "image/png", Size: 3, Width: 2, Height: 1, Thumb: true}
	if c, _ := e.Content.(thread.Text); len(c.Files) != 1 || c.Files[0] != want {
		t.Errorf("%+v", e.Content)
	}
	w.Refuse(ani, in, thread.Post{Body: "again", Attachments: []string{done.ID()}}, gotong.CodeInvalid)
	w.Refuse(ani, in, thread.Post{}, gotong.CodeInvalid)
}

func TestAnUploadIsCollectedUnlessItIsInAMessage(t *testing.T) {
	w := world(t)
	open, done, used := start(w, ani, "u1"), stored(w, ani, "u2"), stored(w, ani, "u3")
	e := w.Do(ani, in, thread.Post{Attachments: []string{used.ID()}})[0]
	w.Refuse(server, open, upload.Collect{}, gotong.CodeNotYet)
	w.Refuse(ani, used, upload.Collect{}, gotong.CodeConflict)
	w.Refuse(server, used, upload.Erase{}, gotong.CodeConflict)
	w.Do(ani, done, upload.Collect{})
	w.Pass(upload.Lifetime + time.Second)
	for s, bytes := range map[gotong.Stream]int64{open: 10, done: 7} {
		if s == open {
			w.Do(server, s, upload.Collect{})
		}
		w.Idle(server, s, upload.Collect{})
		if u := docOf(w, s); u.State != upload.Collected || u.Name != "" || w.Event(s, 1).Content != nil {
			t.Errorf("%+v %+v", u, w.Event(s, 1).Content)
		}
		if d := w.Event(s, w.Head(s).Seq).Data.(upload.Ended); d.Bytes != bytes || d.Owner != "ani" || d.Open != (s == open) {
			t.Errorf("%+v", d)
		}
		w.Refuse(server, s, picture, gotong.CodeConflict)
	}
	w.Idle(server, used, upload.Collect{})
	w.Refuse(ani, in, thread.Post{Body: "x", Attachments: []string{done.ID()}}, gotong.CodeInvalid)
	w.Do(ani, in, thread.Delete{MessageID: e.ID})
	if d := w.Event(in, e.Seq).Data.(thread.Posted); d.Uploads != nil {
		t.Errorf("a deleted message names %q", d.Uploads)
	}
	w.Do(server, used, upload.Erase{})
	w.Idle(server, used, upload.Erase{})
	w.Refuse(ani, in, thread.Post{Body: "x", Attachments: []string{used.ID()}}, gotong.CodeInvalid)
}

func TestAnUploadEndsWithTheErasureOfItsMessage(t *testing.T) {
	w := world(t)
	s := stored(w, budi, "u1")
	e := w.Do(budi, in, thread.Post{Body: "Foto", Attachments: []string{s.ID()}})[0]
	w.Do(boss, in, gotong.Erase{Events: []gotong.EventID{e.ID}, Reason: "court order"})
	w.Do(server, s, upload.Erase{})
	if u := docOf(w, s); u.State != upload.Erased || u.Name != "" || w.Event(s, 1).Content != nil {
		t.Errorf("%+v %+v", u, w.Event(s, 1).Content)
	}
}

func TestNamesAreMadeHarmless(t *testing.T) {
	for given, want := range map[string]string{
		"foto.png": "foto.png", `C:\dir\foto.png`: "foto.png", "../../etc/passwd": "passwd", "a\x00b\u202egnp.exe": "abgnp.exe",
		"": "file", "..": "file", "x/": "file", "\xff\xfe.txt": ".txt", strings.Repeat("é", 300): strings.Repeat("é", 128),
		"a\r\nb: c": "ab: c", "sérénade\t.mp3": "sérénade.mp3", "\u200b": "file",
	} {
		if got := (upload.Start{Name: given}).Clean().(upload.Start).Name; got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
