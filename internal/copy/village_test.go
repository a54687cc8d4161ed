package copy_test

import (
	"context"
	"encoding/json"
	"fmt"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
)

// village is a log made by the rules of every kind.
type village struct {
	t       tb
	s       *noted
	e       *engine.Engine
	pick    func(n int) int
	now     gotong.Instant
	serial  int
	groups  []gotong.Stream
	threads []gotong.Stream
	posts   map[gotong.Stream][]gotong.EventID
	edits   map[gotong.EventID]uint64
	unused  []gotong.Stream // uploads that are in no message
	decided map[string]int  // how often each command, after its kind, made an event
}

func newVillage(t tb, s store.Whole, pick func(n int) int) *village {
	v := &village{
		t: t, s: note(s), pick: pick, now: begin, posts: map[gotong.Stream][]gotong.EventID{},
		edits: map[gotong.EventID]uint64{}, decided: map[string]int{},
	}
	v.e = engine.New(engine.Options{
		Store: v.s, Codec: store.NewCodec(app.Kinds()),
		Clock: clocktest.Showing(func() gotong.Instant { v.now += 1000; return v.now }),
	})
	return v
}

func (v *village) close() { check(v.t, v.e.Close(context.Background())) }

var people = []string{"ani", "budi", "citra", "dewi"}

func (v *village) person() string { return people[v.pick(len(people))] }

// try runs one command and says what became of it; rules may refuse it.
func (v *village) try(on gotong.Stream, actor, typ string, data any) (gotong.Receipt, bool) {
	v.serial++
	role := gotong.RoleUser
	if v.pick(6) == 0 {
		role = gotong.RoleAdmin
	}
	r, err := v.e.Execute(context.Background(), gotong.Command{
		Stream: on, Type: typ, Data: data, RequestID: fmt.Sprint("r", v.serial), CorrelationID: "c",
		Actor: gotong.Actor{UserID: actor, Role: role}, Raw: fmt.Appendf(nil, "%v", data),
	})
	if code := gotong.CodeOf(err); code == gotong.CodeBusy || code == gotong.CodeInternal {
		v.t.Fatalf("%s: %v", typ, err)
	}
	ok := err == nil && r.First > 0
	if ok {
		v.decided[on.Kind()+" "+typ]++
	}
	return r, ok
}

// server runs one command of the server.
func (v *village) server(on gotong.Stream, typ string, data any) (gotong.Receipt, error) {
	v.serial++
	r, err := v.e.Execute(context.Background(), gotong.Command{
		Stream: on, Type: typ, Data: data, RequestID: fmt.Sprint("r", v.serial), CorrelationID: "c",
		Actor: gotong.Actor{UserID: "system", Role: gotong.RoleSystem},
	})
	if err == nil && r.First > 0 {
		v.decided[on.Kind()+" "+typ]++
	}
	return r, err
}

// live does n random things.
func (v *village) live(n int) {
	for range n {
		switch kind := v.pick(10); {
		case kind == 0:
			v.account()
		case kind <= 2 || len(v.threads) == 0:
			v.gather()
		default:
			v.talk(v.threads[v.pick(len(v.threads))])
		}
	}
	v.key()
	for range min(n/10, 300) { // at the end, because days pass, and a message can be edited for minutes
		v.affair()
	}
	v.collect()
	v.leave()
}

// key changes the key of checkpoints, a few times.
func (v *village) key() {
	sizes := make([]uint64, gotong.Partitions)
	for n := range 3 {
		for _, data := range []any{
			audit.AddKey{Key: fmt.Sprint("key ", n+1), Sizes: sizes}, audit.RetireKey{Key: fmt.Sprint("key ", n), Sizes: sizes},
		} {
			typ := "key.add"
			if _, retires := data.(audit.RetireKey); retires {
				typ = "key.retire"
			}
			_, err := v.e.Execute(context.Background(), gotong.Command{
				Stream: audit.KeysStream, Type: typ, Data: data, RequestID: fmt.Sprint(typ, n), Actor: reader.System(), Raw: fmt.Appendf(nil, "%v", data),
			})
			if err == nil {
				v.decided["audit "+typ]++
			}
		}
	}
}

func (v *village) account() {
	p := v.person()
	on := gotong.NewStream("user", p)
	_, err := v.server(on, user.CmdWarnOfWebhook, user.WarnOfWebhook{WebhookID: "whk-1"})
	if code := gotong.CodeOf(err); err != nil && code != gotong.CodeNotFound { // no account yet
		check(v.t, err)
	}
	if v.pick(4) == 0 {
		v.settle(on)
	}
	switch v.pick(4) {
	case 0:
		for range 4 { // it takes an admin of the platform
			v.try(on, "boss", user.CmdDisable, user.Disable{Reason: "spam"})
		}
	case 1:
		for range 4 {
			v.try(on, "boss", user.CmdEnable, user.Enable{})
		}
	case 2:
		v.try(on, "boss", user.CmdSetRole, user.SetRole{Role: gotong.RoleModerator})
	default:
		v.try(on, p, user.CmdRegister, registration(p))
	}
}

// leave is the life of an account that changes nothing for the others.
func (v *village) leave() {
	p := fmt.Sprint("leaver-", v.decided["user "+user.CmdAmend])
	on := gotong.NewStream("user", p)
	v.try(on, p, user.CmdRegister, registration(p))
	for i, event := range []string{user.EvPasswordChanged, user.EvEmailChanged, user.EvDeleted} {
		v.try(on, p, user.CmdAmend, user.Amend{Event: event, Seq: uint64(i) + 2})
	}
}

func registration(p string) user.Register {
	return user.Register{Email: p + "@example.org", Username: p, CommunityID: "c1"}
}

func (v *village) gather() {
	me, other := v.person(), v.person()
	if len(v.groups) == 0 || v.pick(8) == 0 {
		on := gotong.Stream(fmt.Sprintf("group/ent-%d", v.serial))
		if _, ok := v.try(on, me, group.CmdCreate, group.Create{Name: "RT 05", EntityType: group.Kelompok, JoinPolicy: v.policy()}); ok {
			v.groups = append(v.groups, on)
			v.knock(on, me)
		}
		return
	}
	on := v.groups[v.pick(len(v.groups))]
	if v.pick(8) == 0 {
		v.hook(on)
	}
	switch v.pick(11) {
	case 8, 10:
		v.knock(on, me)
	case 9:
		for range 24 { // it takes an admin of the platform
			v.try(on, me, group.CmdAppoint, group.Appoint{UserID: v.person()})
		}
	case 0:
		v.try(on, me, group.CmdJoin, group.Join{})
	case 1:
		v.try(on, me, group.CmdLeave, group.Leave{})
	case 2:
		v.try(on, me, group.CmdAdd, group.Add{UserID: other})
	case 3:
		v.try(on, me, group.CmdRemove, group.Remove{UserID: other, Ban: v.ban()})
		for _, p := range people[v.pick(len(people)):] {
			v.try(on, me, group.CmdUnban, group.Unban{UserID: p})
		}
	case 4:
		for _, p := range people {
			v.try(on, me, group.CmdRole, group.SetRole{UserID: p, Role: group.Moderator})
		}
	case 5:
		name := fmt.Sprint("RT ", v.serial)
		policy := v.policy()
		v.try(on, me, group.CmdUpdate, group.Update{Name: &name, JoinPolicy: &policy})
	default:
		scope, members := on.ID(), []thread.Source{thread.Own, thread.Home}[v.pick(2)]
		if v.pick(3) == 0 {
			scope, members = "rt05", thread.Own
		}
		privacy := []thread.Privacy{thread.Public, thread.Private}[v.pick(2)]
		at := gotong.Stream(fmt.Sprintf("thread/t%d", v.serial))
		if _, ok := v.try(at, me, thread.CmdCreate, thread.Create{ScopeID: scope, Privacy: privacy, Members: members}); ok {
			v.threads = append(v.threads, at)
		}
	}
}

// hook registers a webhook of a group, has a thread and a case admit it, and ends it.
func (v *village) hook(on gotong.Stream) {
	s, me := gotong.WebhookStream(fmt.Sprint("whk-", v.serial)), ""
	for _, p := range people { // those who lead the group
		if _, ok := v.try(s, p, webhook.CmdRegister, webhook.Register{ScopeID: on.ID()}); ok {
			me = p
		}
	}
	for _, cmd := range []struct {
		typ  string
		data any
	}{
		{webhook.CmdUpdate, webhook.Update{URL: true}}, {webhook.CmdRotate, webhook.Rotate{}},
		{webhook.CmdSkip, webhook.Skip{Stream: on, Seq: 1}}, {webhook.CmdReplay, webhook.Replay{ReplayID: "rpl-1"}},
		{webhook.CmdDisable, webhook.Disable{}}, {webhook.CmdEnable, webhook.Enable{}},
	} {
		v.try(s, me, cmd.typ, cmd.data)
	}
	if me == "" {
		return
	}
	id, other := s.ID(), v.person()
	talk, affair := gotong.Stream(fmt.Sprint("thread/h", v.serial)), gotong.Stream(fmt.Sprint("case/case-h", v.serial))
	v.try(talk, me, thread.CmdCreate, thread.Create{ScopeID: on.ID(), Privacy: thread.Private})
	v.try(affair, me, cases.CmdCreate, cases.Create{ScopeID: on.ID(), Track: "tuntaskan", Title: "Selokan", Privacy: cases.Private})
	for _, in := range []gotong.Stream{talk, affair} {
		v.try(in, me, gotong.CmdAddWebhook, gotong.AddWebhook{WebhookID: id})
		if v.pick(2) == 0 {
			v.try(in, me, "member.remove", map[gotong.Stream]any{talk: thread.Remove{UserID: id}, affair: cases.Remove{UserID: id}}[in])
		}
	}
	v.try(on, me, group.CmdAdd, group.Add{UserID: other})
	v.try(on, me, group.CmdRole, group.SetRole{UserID: other, Role: group.Admin})
	v.try(s, other, webhook.CmdTakeOver, webhook.TakeOver{})
	if v.pick(2) == 0 {
		v.try(s, me, webhook.CmdEnd, webhook.End{})
	}
}

func (v *village) policy() group.JoinPolicy {
	return []group.JoinPolicy{group.Terbuka, group.Persetujuan, group.Undangan}[v.pick(3)]
}

// knock makes a request and an invitation to a group, and ends half of them.
func (v *village) knock(on gotong.Stream, admin string) {
	asks, guest := v.person(), v.person()
	r, _ := v.try(on, asks, group.CmdAsk, group.Ask{Message: "boleh ikut?"})
	id := group.RequestID(r.First)
	switch v.pick(6) {
	case 0:
		v.try(on, admin, group.CmdApprove, group.Approve{RequestID: id})
	case 1:
		v.try(on, admin, group.CmdReject, group.Reject{RequestID: id})
	case 2:
		v.try(on, asks, group.CmdWithdraw, group.Withdraw{RequestID: id})
	}
	v.try(on, admin, group.CmdInvite, group.Invite{UserID: guest})
	switch v.pick(6) {
	case 0:
		v.try(on, guest, group.CmdAccept, group.Accept{})
	case 1:
		v.try(on, guest, group.CmdDecline, group.Decline{})
	case 2:
		v.try(on, admin, group.CmdWithdrawInvite, group.WithdrawInvite{UserID: guest})
	}
}

// affair makes a case and does something with a gate of it.
func (v *village) affair() {
	v.account() // so that it is not always the same who are disabled
	me, other := v.person(), v.person()
	on := gotong.Stream(fmt.Sprintf("case/case-%d", v.serial))
	v.try(on, me, cases.CmdCreate, cases.Create{ScopeID: "rt05", Track: "tuntaskan", Title: "Selokan", Privacy: cases.Public})
	v.try(on, me, cases.CmdSeat, cases.Seating{UserID: other, TrackRoles: []cases.Role{cases.Participant}})
	stage := "keresahan"
	step := func(to string, fast bool) uint64 {
		r, _ := v.try(on, me, cases.CmdPropose, cases.Propose{From: stage, To: to, FastTrack: fast})
		stage = to
		return r.First
	}
	over := func(gate uint64) {
		v.system(on, cases.CmdRemind, gate, 3, func(due gotong.Instant) any { return cases.Remind{Gate: gate, Due: due} })
		v.system(on, cases.CmdClose, gate, 4, func(due gotong.Instant) any { return cases.Close{Gate: gate, Due: due} })
	}
	gate := step("bahas", false)
	switch v.pick(4) {
	case 0:
		v.try(on, other, cases.CmdObject, cases.Object{Gate: gate, Reason: "belum"})
		v.try(on, other, cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.No})
		v.try(on, other, cases.CmdLeave, cases.Leave{})
		for range 12 { // it takes a moderator
			v.try(on, "dewi", cases.CmdVoid, cases.Void{Gate: gate, UserID: other, Reason: "pindah"})
		}
		over(gate)
	case 1:
		v.try(on, me, cases.CmdWithdraw, cases.Withdraw{Gate: gate})
		v.try(on, me, cases.CmdRemove, cases.Remove{UserID: other})
	default:
		over(gate)
		if v.pick(2) == 0 { // seldom: these are weeks
			v.finish(on, me, step, over)
		}
	}
}

// finish goes from bahas to tuntas by a fast track and a dispute.
func (v *village) finish(on gotong.Stream, me string, step func(string, bool) uint64, over func(uint64)) {
	fast := step("garap", true)
	for range 12 {
		v.try(on, "boss", cases.CmdApprove, cases.Approve{Gate: fast})
	}
	for _, to := range []string{"", "periksa", "tuntas"} {
		gate := fast
		if to != "" {
			gate = step(to, false)
		}
		v.try(on, me, cases.CmdVote, cases.Cast{Gate: gate, Choice: cases.Yes})
		over(gate)
		if to == "tuntas" {
			v.try(on, me, cases.CmdDispute, cases.Dispute{Gate: gate, Reason: "masih mampet"})
			for range 12 {
				v.try(on, "boss", cases.CmdResolve, cases.Resolve{Gate: gate, Confirm: true, Reason: "sudah"})
			}
		}
	}
}

// system runs a command of the server's timers after so many quarters of the
// gate's window.
func (v *village) system(on gotong.Stream, typ string, gate uint64, quarters gotong.Instant, data func(due gotong.Instant) any) {
	key := cases.GateKey(on.ID(), gate)
	snap, err := v.s.Load(context.Background(), store.Need{Documents: []gotong.Key{key}})
	check(v.t, err)
	var g cases.Gate
	if body := snap.Documents[key]; body == nil || json.Unmarshal(body, &g) != nil {
		return
	}
	v.now = max(v.now, g.Now+(g.ClosesAt-g.Now)*quarters/4)
	_, err = v.server(on, typ, data(g.ClosesAt))
	check(v.t, err)
}

// ban is how the removed are kept out: mostly not at all.
func (v *village) ban() gotong.Ban { return gotong.Ban{Ever: v.pick(2) == 0} }

func (v *village) talk(on gotong.Stream) {
	me, other := v.person(), v.person()
	posted := v.posts[on]
	if len(posted) > 0 && v.pick(2) == 0 {
		target := posted[v.pick(len(posted))]
		switch v.pick(5) {
		case 4:
			v.review(on, me)
		case 0:
			if _, ok := v.try(on, me, thread.CmdEdit, thread.Edit{MessageID: target, Revision: v.edits[target], Body: "changed"}); ok {
				v.edits[target]++
			}
		case 1:
			v.try(on, me, thread.CmdDelete, thread.Delete{MessageID: target, Revision: new(v.edits[target])})
		case 2:
			put := v.pick(3) > 0
			v.try(on, me, thread.CmdReact, thread.React{MessageID: target, Emoji: "👍", On: put})
			if put {
				v.try(on, me, thread.CmdPin, thread.Pin{MessageID: target})
			} else {
				v.try(on, me, thread.CmdUnpin, thread.Unpin{MessageID: target})
			}
		default:
			v.try(on, me, thread.CmdPost, thread.Post{Body: "answer", ReplyTo: target})
		}
		return
	}
	switch v.pick(13) {
	case 12:
		v.upload(on, me)
	case 10:
		for _, p := range people {
			v.try(on, me, thread.CmdUnban, thread.Unban{UserID: p})
		}
	case 11:
		for range 24 { // it takes an admin of the platform
			v.try(on, me, thread.CmdAppoint, thread.Appoint{UserID: v.person()})
		}
	case 0:
		v.try(on, me, thread.CmdAdd, thread.Add{UserID: other})
	case 1:
		v.try(on, me, thread.CmdRemove, thread.Remove{UserID: other, Ban: v.ban()})
	case 2:
		v.try(on, me, thread.CmdJoin, thread.Join{})
	case 3:
		v.try(on, me, thread.CmdLeave, thread.Leave{})
		v.try(thread.DirectOf(me, other), me, thread.CmdDirect, thread.Direct{UserID: other})
		v.try(thread.DirectOf(me, other), other, thread.CmdLeave, thread.Leave{})
	case 4:
		v.try(on, me, thread.CmdMute, thread.Mute{UserID: other, UntilMS: int64(v.pick(2)) * 4_000_000_000_000})
	case 5:
		v.try(on, me, thread.CmdRole, thread.SetRole{UserID: other, Role: thread.Admin})
	case 6:
		v.try(on, me, thread.CmdHistory, thread.SetHistory{Policy: []thread.Policy{thread.All, thread.FromJoin}[v.pick(2)]})
		v.try(on, me, thread.CmdUpdate, thread.Update{Name: new(fmt.Sprint("nama ", v.serial)), Archived: new(true)})
		for _, p := range people { // it takes an admin of the thread
			v.try(on, p, thread.CmdUpdate, thread.Update{Archived: new(false), SlowS: new(1)})
		}
		for _, p := range people {
			v.try(on, p, thread.CmdPost, thread.Post{Body: "pelan"})
		}
	default:
		if r, ok := v.try(on, me, thread.CmdPost, thread.Post{Body: fmt.Sprint("halo ", v.serial)}); ok {
			v.posts[on] = append(v.posts[on], r.EventIDs[0])
		}
	}
}

// review has a new message advised on and held, and half of the holds end.
func (v *village) review(on gotong.Stream, me string) {
	posted, ok := v.try(on, me, thread.CmdPost, thread.Post{Body: "kasar"})
	if !ok {
		return
	}
	server := func(typ string, data any) {
		_, err := v.server(on, typ, data)
		check(v.t, err)
	}
	id := posted.EventIDs[0]
	server(thread.CmdAdvise, thread.Advise{MessageID: id, Action: "review", Status: "hold", Reasoning: "kata kasar", Violations: []string{"harassment"}})
	reported := thread.Report{MessageID: id}
	for _, p := range people {
		v.try(report.StreamOf(p, on, id), p, report.CmdFile, report.File{
			Filed: report.Filed{Thread: on, Home: gotong.NewStream("scope", "rt05"), MessageID: id, Seq: posted.First, Reason: "spam"}, Details: report.Details{Text: "iklan"},
		})
		reported.Reporters = append(reported.Reporters, thread.Reporter{UserID: p, At: v.now, Context: []uint64{posted.First}})
	}
	server(thread.CmdReport, reported)
	var held gotong.Receipt
	for range 12 { // it takes a moderator
		v.try(on, v.person(), thread.CmdOpen, thread.Open{MessageID: id})
		if r, ok := v.try(on, v.person(), thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Hold, Minutes: 1, Auto: true}); ok {
			held = r
		}
	}
	if v.pick(2) == 0 {
		v.try(on, me, thread.CmdAppeal, thread.Appeal{MessageID: id, Plea: thread.Plea{Reason: "tidak kasar"}})
	} else if held.First > 0 {
		v.now += 2 * 60_000_000
		server(thread.CmdUnhold, thread.Unhold{Seq: posted.First, Held: held.Last})
	}
}

// side writes what is not in the log.
func (v *village) side() {
	v.serial++
	ctx := context.Background()
	key := gotong.Key{Collection: "session", Owner: v.person(), Name: fmt.Sprint(v.serial)}
	check(v.t, v.s.SetRegister(ctx, key, 0, []byte("secret"), 0))
	check(v.t, v.s.SetRegister(ctx, key, 1, []byte("secret two"), begin+gotong.Instant(v.pick(3))*3_600_000_000))
	p := gotong.Partition(v.pick(gotong.Partitions))
	ends, err := v.s.Positions(ctx)
	check(v.t, err)
	for i := 0; i < gotong.Partitions && ends[p] == 0; i++ {
		p = (p + 1) % gotong.Partitions
	}
	cursor := store.CursorKey{Reader: "feed", Partition: p}
	snap, err := v.s.Load(ctx, store.Need{Cursors: []store.CursorKey{cursor}})
	check(v.t, err)
	job := store.Job{Queue: "mail", ID: fmt.Sprint(v.serial), Due: begin + gotong.Instant(v.pick(5)), Attempt: v.pick(3), Body: []byte("b")}
	check(v.t, v.s.Advance(ctx, store.Step{Reader: "feed", Partition: p, From: snap.Cursors[cursor], To: ends[p], Jobs: []store.Job{job}}))
	claimed, err := v.s.ClaimJobs(ctx, "mail", begin+2, begin+99, 1)
	check(v.t, err)
	for _, j := range claimed {
		if v.pick(2) == 0 {
			check(v.t, v.s.SettleJob(ctx, j, &store.Job{Due: j.Due, Attempt: j.Attempt + 1, Crashes: 3, Dead: true, Error: "no such box"}))
		}
	}
}
