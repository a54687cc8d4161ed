package httpapi_test

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/httpapi/notifications"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/reader"
)

// TestWeeklyDigest: a window begins with its first millisecond and ends before its last; a group
// is of one kind and one stream; what a user has muted, blocked, switched off or lost is in none.
func TestWeeklyDigest(t *testing.T) {
	w := newWorld(t)
	run, err := reader.New(reader.Options{Store: w.store, Clock: w.clock, Log: discard()}, []reader.Reader{inbox.Reader(kinds())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ani, budi, citra := w.signUp("ani"), w.signUp("budi"), w.signUp("citra")
	loud, muted, lost := ani.thread("private"), ani.thread("private"), ani.thread("private")
	for _, thread := range []string{loud, muted, lost} {
		w.withMember(path.Base(thread), ani, budi)
	}
	w.withMember(path.Base(loud), ani, citra)
	say := func(p *person, thread string) int64 {
		w.clock.Pass(time.Second)
		return p.say(thread, "Rapat, @budi").num("created_at_ms")
	}
	first, _, second := say(ani, loud), say(ani, muted), say(ani, loud)
	say(ani, lost)
	say(citra, loud)
	digest := func(query string, want ...string) (d notifications.Digest) {
		t.Helper()
		if err := run.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Pass(time.Millisecond) // the end of a window is not in it
		budi.get("/v1/notifications/weekly-digest" + query).want(http.StatusOK).into(&d)
		var got []string
		for _, e := range d.Events {
			got = append(got, fmt.Sprint(e.Newest.Kind, " /v1/chat/threads/", e.Newest.Stream.ID(), " ", e.Count))
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%q has %q, want %q", query, got, want)
		}
		return d
	}
	window := func(from, to int64) string { return fmt.Sprintf("?window_start_ms=%d&window_end_ms=%d", from, to) }
	item := func(kind, thread string, count int) string { return fmt.Sprint(kind, " ", thread, " ", count) }
	d := digest("", item("mention", loud, 3), item("mention", muted, 1), item("mention", lost, 1),
		item("added", loud, 1), item("added", muted, 1), item("added", lost, 1))
	if week := (7 * 24 * time.Hour).Milliseconds(); d.WindowEndMS != d.GeneratedAtMS || d.WindowStartMS != d.WindowEndMS-week || d.UnreadCount != 8 {
		t.Errorf("%+v", d)
	}
	digest(window(first, second), item("mention", loud, 1), item("mention", muted, 1))
	digest(window(second, second+1), item("mention", loud, 1))
	digest(window(first+1, second), item("mention", muted, 1))
	digest(fmt.Sprint("?window_end_ms=", first), item("added", loud, 1), item("added", muted, 1), item("added", lost, 1))
	digest(fmt.Sprint("?window_end_ms=", first+7*24*3_600_000+1), item("mention", loud, 2), item("mention", muted, 1), item("mention", lost, 1))
	for _, query := range []string{
		window(first, first), window(second, first), window(-1, second), window(first, -1), window(first, 1<<62), "?window_start_ms=9999999999999",
		"?window_start_ms=yesterday",
	} {
		budi.get("/v1/notifications/weekly-digest"+query).problem(http.StatusUnprocessableEntity, gotong.CodeInvalid)
	}
	budi.do(http.MethodPatch, "/v1/notifications/preferences", map[string]any{
		"kinds": map[string]bool{"added": false}, "threads": map[string]string{path.Base(muted): "none"},
	}).want(http.StatusOK)
	budi.do(http.MethodPut, "/v1/blocks/"+citra.id, nil).want(http.StatusOK)
	ani.do(http.MethodDelete, "/v1/chat/threads/"+path.Base(lost)+"/members/"+budi.id, nil).want(http.StatusOK)
	if d := digest("", item("mention", loud, 2), "removed /v1/chat/threads/ 1"); d.UnreadCount != 3 {
		t.Errorf("%d are unread", d.UnreadCount)
	}
}
