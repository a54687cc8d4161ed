package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

func TestExplain(t *testing.T) {
	clock := clocktest.Stopped(gotong.InstantOf(time.Date(2026, 2, 14, 8, 0, 0, 0, time.UTC)))
	db := memory.New("", memory.Options{Now: clock.Now})
	t.Cleanup(func() { _ = db.Close() })
	e := engine.New(engine.Options{Store: db, Codec: store.NewCodec(Kinds()), Clock: clock})
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	n := 0
	do := func(actor string, stream gotong.Stream, typ string, data any) {
		t.Helper()
		n++
		_, err := e.Execute(t.Context(), gotong.Command{
			Stream: stream, Type: typ, Data: data, RequestID: fmt.Sprint("r", n), CorrelationID: "c",
			Actor: gotong.Actor{UserID: actor, Role: gotong.RoleUser},
		})
		if err != nil {
			t.Fatal(typ, err)
		}
	}
	const own, scoped, g = gotong.Stream("thread/own"), gotong.Stream("thread/scoped"), gotong.Stream("group/ent-1")
	do("ani", own, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public, History: thread.FromJoin})
	do("budi", own, thread.CmdJoin, thread.Join{})
	do("ani", own, thread.CmdPost, thread.Post{Body: "halo"})
	do("budi", own, thread.CmdLeave, thread.Leave{})
	do("ani", own, thread.CmdRemove, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	do("citra", own, thread.CmdJoin, thread.Join{})
	do("ani", g, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	do("budi", g, group.CmdJoin, group.Join{})
	do("ani", scoped, thread.CmdCreate, thread.Create{ScopeID: "ent-1", Privacy: thread.Private, Members: thread.Home})
	for _, c := range []struct {
		who    string
		stream gotong.Stream
		want   []string
	}{
		{"ani", own, []string{"member of thread/own as owner since 2026-02-14", "may read thread/own: the events", "owner and reviewer"}},
		{"budi", own, []string{"were a member of thread/own until", "budi may not read thread/own"}},
		{"citra", own, []string{"as member since", "the events from 6 on"}},
		{"dewi", own, []string{"not a member of thread/own, and are banned", "dewi may not read"}},
		{"eka", own, []string{"There is no account eka", "have never been a member of thread/own", "eka may not read"}},
		{"budi", scoped, []string{"Its home is group/ent-1", "member of group/ent-1 as anggota", "budi may read thread/scoped: the events from 1 on"}},
		{"citra", scoped, []string{"have never been a member of group/ent-1", "may not read"}},
		{"citra", "thread/none", []string{"does not exist"}},
	} {
		lines, err := explain(t.Context(), db, c.who, c.stream, clock.Now())
		text := strings.Join(lines, "\n")
		for _, want := range c.want {
			if err != nil || !strings.Contains(text, want) {
				t.Errorf("%s %s: %q is not in\n%s\n%v", c.who, c.stream, want, text, err)
			}
		}
	}
	if _, err := explain(t.Context(), db, "ani", "nonsense", 0); gotong.CodeOf(err) != gotong.CodeInvalid {
		t.Error(err)
	}
}
