package push_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/community/communitytest"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/inbox"
	"gotong.dev/gotong/internal/push"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/memory"
)

func TestAPushAnnouncesAndWithdraws(t *testing.T) {
	w := newWorld(t)
	phone, tablet := w.device("siti"), w.device("siti")
	tablet.subscribe("siti-2", false)
	own := w.device("wati")
	at := w.say(wati, "Rapat malam ini").At
	w.pass(delay - time.Second)
	phone.want()
	w.pass(time.Second)
	phone.want(1)
	want := push.Payload{V: 1, Type: "thread", Stream: talk, Kind: inbox.Message, N: 1, Unread: 1, Badge: 1, AtMS: at.Add(delay).Milli()}
	if phone.got[0] != want {
		t.Errorf("got %+v, want %+v", phone.got[0], want)
	}
	h := phone.sent[0]
	if len(h.Get("Topic")) != 32 || h.Get("Ttl") != "86400" || h.Get("Urgency") != "normal" || h.Get("Content-Encoding") != "aes128gcm" {
		t.Errorf("headers %v", h)
	}
	w.mark("siti", 1, "")
	w.marked("siti", talk)
	phone.want(1, 0)
	tablet.want(1)
	if phone.sent[1].Get("Topic") != h.Get("Topic") || phone.sent[1].Get("Urgency") != "low" {
		t.Errorf("headers of a withdrawal %v", phone.sent[1])
	}
	own.want()
	w.pass(10 * interval)
	phone.want(1, 0)
}

// TestWhatIsReadWithinTheDelayIsNotPushed: a message read on another device causes
// nothing; one that came later has a delay of its own.
func TestWhatIsReadWithinTheDelayIsNotPushed(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.say(wati, "satu")
	w.pass(delay - time.Second)
	w.say(wati, "dua")
	w.mark("siti", 1, "")
	w.pass(time.Second)
	phone.want()
	w.pass(delay - 2*time.Second)
	phone.want()
	w.pass(time.Second)
	phone.want(1)
	w.say(wati, "tiga")
	w.mark("siti", 3, "")
	w.pass(2 * interval)
	phone.want(1, 0)
}

func TestAStormIsOnePushPerInterval(t *testing.T) {
	w := newWorld(t)
	phone, other := w.device("siti"), w.device("joko")
	for range 1000 {
		w.say(wati, "hujan")
	}
	w.pass(interval)
	phone.want(999)
	other.want(999)
	for range 50 { // two intervals of them
		w.say(wati, "hujan")
		w.pass(2 * time.Second)
	}
	w.pass(interval)
	if n := len(phone.unread()); n != 4 {
		t.Errorf("%d pushes after the first minute and two more of talk, want 4", n)
	}
	for i := range phone.got[1:] {
		if phone.got[i+1].AtMS-phone.got[i].AtMS < interval.Milliseconds() {
			t.Errorf("push %d comes %d ms after the one before", i+1, phone.got[i+1].AtMS-phone.got[i].AtMS)
		}
	}
}

func TestOnlyLookingSilences(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.looks["siti"] = "thread/other"
	w.say(wati, "satu")
	w.pass(delay)
	phone.want(1) // a tab is open, but looks elsewhere
	w.pass(interval)
	w.looks["siti"] = talk
	w.say(wati, "dua")
	w.pass(interval)
	phone.want(1)
	delete(w.looks, "siti") // they left without reading it
	w.pass(30 * time.Second)
	phone.want(1, 2)
}

func TestWhoGetsNoPush(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(*world)
		want []int // after one message that was pushed
	}{
		"nothing":            {func(*world) {}, []int{1, 2}},
		"the login ended":    {func(w *world) { w.ended["siti-1"] = true }, []int{1}},
		"unsubscribed":       {func(w *world) { w.unsubscribe("siti") }, []int{1}},
		"removed":            {func(w *world) { w.do(wati, talk, thread.CmdRemove, thread.Remove{UserID: "siti"}) }, []int{1}},
		"muted the thread":   {func(w *world) { w.mark("siti", 0, fmt.Sprint(`,"mute":`, gotong.MaxTimeMS)) }, []int{1}},
		"level none":         {func(w *world) { w.prefer(user.Nothing) }, []int{1}},
		"level mentions":     {func(w *world) { w.prefer(user.MentionsOnly) }, []int{1}},
		"level all":          {func(w *world) { w.prefer(user.Everything) }, []int{1, 2}},
		"blocked the author": {func(w *world) { w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "wati"}) }, []int{1}},
		"blocked another":    {func(w *world) { w.do(siti, "user/siti", user.CmdBlock, user.Block{UserID: "joko"}) }, []int{1, 2}},
		"a day later":        {func(w *world) { w.clock.Pass(61 * 24 * time.Hour) }, []int{1}}, // the subscription has expired
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
			phone := w.device("siti")
			w.say(wati, "satu")
			w.pass(delay)
			w.clock.Pass(interval)
			c.act(w)
			w.say(wati, "dua")
			w.pass(delay)
			phone.want(c.want...)
		})
	}
}

// TestAnEmergencyIsPushedAnyway and the answer to an own message with the level
// mentions.
func TestWhatIsPushedInSpiteOfALevel(t *testing.T) {
	for _, level := range []user.Level{user.Nothing, user.MentionsOnly} {
		w := newWorld(t)
		w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
		phone := w.device("siti")
		w.prefer(level)
		first := w.say(siti, "Siapa ronda?")
		w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Joko", ReplyTo: first.EventIDs[0]})
		w.pass(delay)
		want := map[user.Level][]int{user.MentionsOnly: {1}}[level]
		phone.want(want...)
		w.clock.Pass(interval)
		w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Banjir", Siaga: true})
		w.pass(delay)
		phone.want(append(want, 2)...)
		last := len(phone.got) - 1
		if phone.got[last].Kind != inbox.Siaga || phone.sent[last].Get("Urgency") != "high" {
			t.Errorf("%+v %v", phone.got[last], phone.sent[last])
		}
	}
}

func TestADeletedMessageIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	id := w.say(wati, "salah").EventIDs[0]
	w.pass(delay)
	w.do(wati, talk, thread.CmdDelete, thread.Delete{MessageID: id})
	w.pass(time.Second)
	phone.want(1, 0)
}

// TestARejectedMessageIsWithdrawn: it does not count as unread any more.
func TestARejectedMessageIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	id := w.say(communitytest.User("joko"), "kasar").EventIDs[0]
	w.pass(delay)
	w.do(wati, talk, thread.CmdReview, thread.Review{MessageID: id, Decision: thread.Block})
	w.pass(time.Second)
	phone.want(1, 0)
}

// TestAMentionThatAnEditAddsIsPushed to a user whom only mentions alert.
func TestAMentionThatAnEditAddsIsPushed(t *testing.T) {
	w := newWorld(t)
	w.do(siti, "user/siti", user.CmdRegister, user.Register{Email: "siti@rt05.id", Username: "siti", CommunityID: "rt05"})
	phone := w.device("siti")
	w.prefer(user.MentionsOnly)
	id := w.say(wati, "rapat").EventIDs[0]
	w.pass(delay)
	phone.want()
	w.do(wati, talk, thread.CmdEdit, thread.Edit{MessageID: id, Body: "@here rapat"})
	w.pass(delay)
	phone.want(1)
	w.pass(2 * interval)
	phone.want(1)
}

// broken fails every read.
type broken struct{ *memory.Store }

func (broken) Load(context.Context, store.Need) (store.Snapshot, error) {
	return store.Snapshot{}, store.ErrFault
}

// TestAnInboxThatCannotBeReadWithdrawsNothing: what is unread is then unknown.
func TestAnInboxThatCannotBeReadWithdrawsNothing(t *testing.T) {
	w := newWorld(t)
	phone, rt := w.device("siti"), gotong.Stream("group/ent-rt")
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.do(wati, rt, group.CmdInvite, group.Invite{UserID: "siti"})
	w.pass(delay)
	n := len(phone.unread())
	w.box.Store = broken{w.store}
	if _, err := w.pusher.Handler().Run(t.Context(), store.Job{Queue: "push", ID: "user/siti"}); err == nil {
		t.Error("the job has no error")
	}
	if got := phone.unread(); n != 1 || len(got) != n {
		t.Errorf("pushes with the counts %v; %d were sent before", got, n)
	}
}

// TestNothingOfATextLeaves: what leaves the server names nothing that is not public.
func TestNothingOfATextLeaves(t *testing.T) {
	w := newWorld(t)
	secret, open, lane := gotong.Stream("group/ent-secret"), gotong.Stream("group/ent-open"), gotong.Stream("thread/lane")
	for _, g := range []struct {
		stream gotong.Stream
		name   string
		policy group.JoinPolicy
	}{{secret, "CANARY group", group.Undangan}, {open, "RT 05", group.Terbuka}} {
		w.do(wati, g.stream, group.CmdCreate, group.Create{Name: g.name, EntityType: group.Kelompok, JoinPolicy: g.policy})
		w.do(wati, g.stream, group.CmdInvite, group.Invite{UserID: "siti"})
		w.do(siti, g.stream, group.CmdAccept, group.Accept{})
	}
	phone := w.device("siti")
	for s, scope := range map[gotong.Stream]string{lane: "ent-secret", "thread/hall": "ent-open"} {
		w.do(wati, s, thread.CmdCreate, thread.Create{ScopeID: scope, Members: thread.Home, Privacy: thread.Private, Title: thread.Title{Name: "CANARY title"}})
		w.do(wati, s, thread.CmdPost, thread.Post{Body: "CANARY text"})
	}
	phone.status = http.StatusForbidden
	w.pass(delay)
	phone.status = 0
	for _, s := range []gotong.Stream{lane, "thread/hall"} {
		w.do(wati, s, thread.CmdPost, thread.Post{Body: "CANARY text"})
	}
	w.pass(interval)
	if got := phone.all(); strings.Count(got, `"unread":2`) != 2 || strings.Count(got, "RT 05") != 1 || strings.Contains(got, "CANARY") {
		t.Errorf("the pushes say %s", got)
	}
	for _, part := range []string{"CANARY", phone.url, "siti", b64.EncodeToString(phone.auth)} {
		if strings.Contains(w.log.String(), part) || w.log.Len() == 0 {
			t.Errorf("the log names %q:\n%s", part, w.log.String())
		}
	}
	for _, n := range phone.size {
		if n != phone.size[0] {
			t.Errorf("the sizes %v tell the texts apart", phone.size)
		}
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	phone, tablet := w.device("siti"), w.device("siti")
	phone.status, phone.header = http.StatusTooManyRequests, http.Header{"Retry-After": {"40"}}
	w.say(wati, "satu")
	w.pass(delay + 39*time.Second)
	tablet.want(1)
	if n := len(phone.sent); n != 1 {
		t.Errorf("%d requests before the time of Retry-After", n)
	}
	phone.status = 0
	w.pass(time.Second)
	phone.want(1)
	tablet.want(1) // not again
	phone.status, phone.header = http.StatusServiceUnavailable, nil
	w.say(wati, "dua")
	w.pass(30 * time.Minute)
	if n := len(phone.sent); n != 2+6 {
		t.Errorf("%d requests, want 6 tries of the second push", n)
	}
	tablet.want(1, 2)
	phone.status = http.StatusGone
	w.say(wati, "tiga")
	w.pass(interval)
	w.say(wati, "empat")
	w.pass(interval)
	if n := len(phone.sent); n != 2+6+1 {
		t.Errorf("%d requests, want one more until the subscription ended", n)
	}
	tablet.want(1, 2, 3, 4)
	if list := w.subscriptions("siti"); len(list) != 1 || list[0].Endpoint != tablet.url {
		t.Errorf("left: %v", list)
	}
}

// TestAFailedWithdrawalIsTriedAgain, when its time has come.
func TestAFailedWithdrawalIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.say(wati, "satu")
	w.pass(delay)
	phone.want(1)
	w.mark("siti", 1, "")
	phone.status = http.StatusServiceUnavailable
	w.pusher.Marked("siti", talk)
	w.pusher.Second(t.Context())
	phone.want(1)
	phone.status = 0
	w.pusher.Second(t.Context()) // too early
	w.clock.Pass(time.Minute)
	w.pusher.Second(t.Context())
	phone.want(1, 0)
	if n := len(phone.sent); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// TestASlowHostLeavesSlots: requests to one host are bounded, and others go on meanwhile.
func TestASlowHostLeavesSlots(t *testing.T) {
	w := newWorld(t)
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	var now, most atomic.Int32
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		arrived <- struct{}{}
		<-release
		now.Add(-1)
		rw.WriteHeader(http.StatusCreated)
	}))
	defer slow.Close()
	var served sync.WaitGroup
	var phone *device
	for _, id := range []string{"aan", "u15x", "zaki"} { // whose turn comes first is not known
		w.do(wati, talk, thread.CmdAdd, thread.Add{UserID: id})
		phone = w.device(id)
		served.Add(1)
		phone.during = served.Done
	}
	for i := range 2 * push.PerHost {
		d := &device{world: w, user: fmt.Sprint("u", i), key: phone.key, auth: phone.auth, url: fmt.Sprint(slow.URL, "/", i)}
		w.do(wati, talk, thread.CmdAdd, thread.Add{UserID: d.user})
		d.subscribe(d.user+"-1", false)
	}
	w.turn()
	w.say(wati, "satu")
	w.clock.Pass(delay)
	done := make(chan error, 1)
	go func() {
		_, err := w.pusher.Handler().Run(t.Context(), store.Job{Queue: "push", ID: string(talk)})
		done <- err
	}()
	for range push.PerHost {
		<-arrived
	}
	all := make(chan struct{})
	go func() { served.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Error("a slow host holds up another one")
	}
	close(release)
	w.check(<-done)
	if n := most.Load(); n != push.PerHost {
		t.Errorf("%d requests at once to one host", n)
	}
}

// TestTwoNodesSendOnce: another node runs the same job while the first one sends.
func TestTwoNodesSendOnce(t *testing.T) {
	w := newWorld(t)
	phones := []*device{w.device("siti"), w.device("joko")}
	job, second := store.Job{Queue: "push", ID: string(talk)}, make(chan error, 1)
	phones[0].during = func() {
		_, err := w.second.Handler().Run(t.Context(), job)
		second <- err
	}
	w.say(wati, "satu")
	w.clock.Pass(delay)
	_, err := w.pusher.Handler().Run(t.Context(), job)
	w.check(err)
	w.check(<-second)
	for _, phone := range phones {
		phone.want(1)
	}
}

// TestOwnMessagesArePushedToNobody: they are no news beside what is unread.
func TestOwnMessagesArePushedToNobody(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.say(wati, "satu")
	w.pass(delay)
	w.say(siti, "dua")
	w.pass(2 * interval)
	phone.want(1)
}

// TestASubscriptionExpires although the user put another one since.
func TestASubscriptionExpires(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.clock.Pass(30 * 24 * time.Hour)
	tablet := w.device("siti")
	w.clock.Pass(31 * 24 * time.Hour)
	w.say(wati, "satu")
	w.pass(delay)
	phone.want()
	tablet.want(1)
}

// TestACrashWhileSending: what was perhaps not sent is sent once more.
func TestACrashWhileSending(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	w.say(wati, "satu")
	key := gotong.Key{Collection: "push_states", Owner: string(talk), Name: "siti"}
	left := push.State{N: 1, Sent: w.clock.Now().Add(delay), Shown: 1, Tries: 1, Retry: w.clock.Now().Add(time.Minute)}
	for _, s := range w.subscriptions("siti") {
		left.Left = append(left.Left, s.ID)
	}
	body, err := json.Marshal(left)
	w.check(err)
	w.check(w.store.SetRegister(t.Context(), key, 0, body, 0))
	w.pass(time.Minute - time.Second)
	phone.want()
	w.pass(time.Second)
	phone.want(1)
	w.pass(2 * interval)
	phone.want(1)
}

func TestSubscriptionsAreBounded(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	base := phone.url
	for i := range 5 {
		phone.url = base + "/" + strconv.Itoa(i)
		phone.subscribe("siti-1", true)
	}
	if list := w.subscriptions("siti"); len(list) != 3 || list[2].Endpoint != base+"/4" || list[0].Endpoint != base+"/2" {
		t.Errorf("a login has %v", list)
	}
	for i := range 20 {
		phone.url = base + "/more/" + strconv.Itoa(i)
		phone.subscribe("login-"+strconv.Itoa(i), true)
	}
	all := 0
	for i := range 20 {
		all += len(w.subscriptionsOf("siti", "login-"+strconv.Itoa(i)))
	}
	if all += len(w.subscriptions("siti")); all != 16 {
		t.Errorf("a user has %d", all)
	}
	phone.subscribe("login-19", true)
	if list := w.subscriptionsOf("siti", "login-19"); len(list) != 1 {
		t.Errorf("put twice, it is %v", list)
	}
}

func TestEndpointsAreGuarded(t *testing.T) {
	w := newWorld(t)
	good := w.device("siti")
	for _, endpoint := range []string{
		"", "ftp://push.example.org/a", "http://push.example.org:80", "https://169.254.169.254/latest", "https://10.0.0.1/", "https://[::1]/",
		"https://0x7f.1/", "https://user@push.example.org/", "https://push.example.org/" + strings.Repeat("a", 1024), "http://192.168.1.1/",
	} {
		_, err := w.pusher.Subscribe(t.Context(), auth.Principal{UserID: "siti", LoginID: "x"}, endpoint,
			b64.EncodeToString(good.key.PublicKey().Bytes()), b64.EncodeToString(good.auth), false)
		if endpoint == "http://push.example.org:80" { // only the address decides, when it is dialled
			continue
		}
		if gotong.CodeOf(err) != gotong.CodeInvalid {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	for _, keys := range [][2]string{{"", ""}, {b64.EncodeToString(make([]byte, 65)), b64.EncodeToString(good.auth)}, {b64.EncodeToString(good.key.PublicKey().Bytes()), "AA"}} {
		if _, err := w.pusher.Subscribe(t.Context(), auth.Principal{UserID: "siti", LoginID: "x"}, good.url, keys[0], keys[1], false); gotong.CodeOf(err) != gotong.CodeInvalid {
			t.Errorf("%q: %v", keys, err)
		}
	}
	// A redirect is not followed, and an answer without an end is cut off.
	inside := w.device("joko")
	good.header, good.status = http.Header{"Location": {inside.url}}, http.StatusTemporaryRedirect
	w.say(wati, "satu")
	w.pass(delay)
	if len(good.sent) != 1 || len(inside.sent) != 1 {
		t.Errorf("%d and %d requests, want one each", len(good.sent), len(inside.sent))
	}
}

// TestTheInboxIsPushed: an invitation, which no thread announces.
func TestTheInboxIsPushed(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	me, rt := gotong.Viewer{UserID: "siti", Role: gotong.RoleUser}, gotong.Stream("group/ent-rt")
	w.check(w.box.ReadAll(t.Context(), me, inbox.ID{Number: uint64(w.clock.Now()), Partition: gotong.Partitions - 1}))
	w.do(wati, rt, group.CmdCreate, group.Create{Name: "CANARY", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
	w.do(wati, rt, group.CmdInvite, group.Invite{UserID: "siti"})
	w.pass(delay - time.Second)
	phone.want()
	w.pass(time.Second)
	phone.want(1)
	if got := phone.got[0]; got.Type != "inbox" || got.Kind != inbox.Invited || got.Stream != rt || got.Group != "" {
		t.Errorf("got %+v", got)
	}
	w.do(siti, rt, group.CmdAccept, group.Accept{}) // the invitation is over
	w.marked("siti", "user/siti")
	phone.want(1, 0)
	w.do(wati, talk, thread.CmdPost, thread.Post{Body: "Siti, sudah?"})
	w.pass(2 * interval)
	phone.want(1, 0, 1)
	if got := phone.got[2]; got.Type != "thread" {
		t.Errorf("a message is pushed as %+v", got)
	}
}

// TestALateItemIsPushed: the reader was behind in its partition, so it comes after a
// newer one of another partition was pushed.
func TestALateItemIsPushed(t *testing.T) {
	w := newWorld(t)
	phone := w.device("siti")
	me := gotong.Viewer{UserID: "siti", Role: gotong.RoleUser}
	w.check(w.box.ReadAll(t.Context(), me, inbox.ID{}))
	late, early := gotong.Stream("group/ent-late"), gotong.Stream("group/ent-0")
	for i := 1; gotong.PartitionOf(early) == gotong.PartitionOf(late); i++ {
		early = gotong.Stream("group/ent-" + strconv.Itoa(i))
	}
	for _, s := range []gotong.Stream{late, early} {
		w.do(wati, s, group.CmdCreate, group.Create{Name: "RT", EntityType: group.Kelompok, JoinPolicy: group.Undangan})
		w.do(wati, s, group.CmdInvite, group.Invite{UserID: "siti"})
	}
	p := gotong.PartitionOf(early)
	w.advance(push.Alerting(inbox.Reader(w.kinds), true, delay), p, &w.planned[1][p])
	w.clock.Pass(delay)
	w.run(w.pusher)
	phone.want(1)
	w.pass(2 * interval)
	phone.want(1, 2)
	w.pass(2 * interval)
	phone.want(1, 2)
}
