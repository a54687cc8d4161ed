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
	"gotong.dev/gotong/internal/community/user"
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
	as := func(role gotong.Role, actor string, stream gotong.Stream, typ string, data any) {
		t.Helper()
		n++
		clock.Pass(time.Hour)
		_, err := e.Execute(t.Context(), gotong.Command{
			Stream: stream, Type: typ, Data: data, RequestID: fmt.Sprint("r", n), CorrelationID: "c",
			Actor: gotong.Actor{UserID: actor, Role: role},
		})
		if err != nil {
			t.Fatal(typ, err)
		}
	}
	do := func(actor string, stream gotong.Stream, typ string, data any) {
		t.Helper()
		as(gotong.RoleUser, actor, stream, typ, data)
	}
	const own, scoped, g = gotong.Stream("thread/own"), gotong.Stream("thread/scoped"), gotong.Stream("group/ent-1")
	const left = gotong.Stream("thread/left")
	for _, id := range []string{"ani", "fajar", "gita"} {
		do("anonymous", gotong.Stream("user/"+id), user.CmdRegister, user.Register{Email: id + "@example.org", Username: id, CommunityID: "rt05"})
	}
	as(gotong.RoleAdmin, "boss", "user/ani", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
	do("ani", own, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Public, History: thread.FromJoin})
	do("budi", own, thread.CmdJoin, thread.Join{})
	do("ani", own, thread.CmdPost, thread.Post{Body: "halo"})
	do("budi", own, thread.CmdLeave, thread.Leave{})
	do("ani", own, thread.CmdRemove, thread.Remove{UserID: "dewi", Ban: gotong.Ban{Ever: true}})
	do("citra", own, thread.CmdJoin, thread.Join{})
	do("hadi", own, thread.CmdJoin, thread.Join{})
	do("hadi", own, thread.CmdLeave, thread.Leave{})
	do("ani", own, thread.CmdPost, thread.Post{Body: "halo lagi"})
	do("hadi", own, thread.CmdJoin, thread.Join{})
	do("ani", g, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Terbuka})
	do("budi", g, group.CmdJoin, group.Join{})
	do("ani", scoped, thread.CmdCreate, thread.Create{ScopeID: "ent-1", Privacy: thread.Private, Members: thread.Home})
	do("fajar", left, thread.CmdCreate, thread.Create{ScopeID: "rt05", Privacy: thread.Private})
	as(gotong.RoleAdmin, "boss", "user/fajar", user.CmdDisable, user.Disable{})
	as(gotong.RoleAdmin, "boss", left, thread.CmdAppoint, thread.Appoint{UserID: "gita", Members: []string{"fajar"}})
	for _, c := range []struct {
		who    string
		stream gotong.Stream
		want   string
	}{
		{"ani", own, `The account ani has the platform role moderator, which alone gives nobody access to a stream.
thread/own has 10 events. Its home is scope/rt05.
They are a member of thread/own as owner since 2026-02-14T13:00:00.000000Z.
Therefore ani may read thread/own: the events from 1 on, with those for owner and reviewer.`},
		{"budi", own, `There is no account budi in this store; tokens of other issuers may name it.
thread/own has 10 events. Its home is scope/rt05.
They were a member of thread/own until 2026-02-14T16:00:00.000000Z.
Therefore budi may not read thread/own.`},
		{"citra", own, `
They are a member of thread/own as member since 2026-02-14T18:00:00.000000Z.
Therefore citra may read thread/own: the events from 6 on, with those for member.`},
		{"hadi", own, `
They are a member of thread/own as member since 2026-02-14T22:00:00.000000Z.
Therefore hadi may read thread/own: the events 7 to 7, from 10 on, with those for member.`},
		{"dewi", own, `
They are not a member of thread/own, and are banned.
Therefore dewi may not read thread/own.`},
		{"eka", own, `There is no account eka in this store; tokens of other issuers may name it.
thread/own has 10 events. Its home is scope/rt05.
They have never been a member of thread/own.
Therefore eka may not read thread/own.`},
		{"budi", scoped, `
thread/scoped has 1 events. Its home is group/ent-1.
They have never been a member of thread/scoped.
They are a member of group/ent-1 as anggota since 2026-02-15T00:00:00.000000Z.
Therefore budi may read thread/scoped: the events from 1 on, with those for member.`},
		{"citra", scoped, `
They have never been a member of group/ent-1.
Therefore citra may not read thread/scoped.`},
		{"fajar", left, `The account fajar has the platform role user and is disabled: it cannot sign in, so it reads nothing.
thread/left has 2 events. Its home is scope/rt05.
They are a member of thread/left as owner since 2026-02-15T02:00:00.000000Z.
Therefore fajar may not read thread/left.`},
		{"gita", left, `The account gita has the platform role user, which alone gives nobody access to a stream.
thread/left has 2 events. Its home is scope/rt05.
They are a member of thread/left as owner since 2026-02-15T04:00:00.000000Z, appointed from outside; they do not see earlier events.
Therefore gita may read thread/left: the events from 2 on, with those for owner and reviewer.`},
		{"citra", "thread/none", "thread/none does not exist"},
	} {
		lines, err := explain(t.Context(), db, c.who, c.stream, clock.Now())
		if text := strings.Join(lines, "\n"); err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: got\n%s\n%v, want\n%s", c.who, c.stream, text, err, c.want)
		}
	}
	if _, err := explain(t.Context(), db, "ani", "nonsense", 0); gotong.CodeOf(err) != gotong.CodeInvalid {
		t.Error(err)
	}
}
