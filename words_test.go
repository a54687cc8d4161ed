package gotong_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
)

func TestErrors(t *testing.T) {
	wrapped := fmt.Errorf("more words: %w", gotong.NewError(gotong.CodeConflict, "One sentence."))
	for _, tt := range []struct {
		err  error
		want gotong.Code
	}{
		{nil, ""}, {errors.New("any"), gotong.CodeInternal}, {gotong.NotFound(), gotong.CodeNotFound},
		{wrapped, gotong.CodeConflict}, {gotong.Invalid("body", "is too long"), gotong.CodeInvalid},
	} {
		if got := gotong.CodeOf(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
	if !errors.Is(wrapped, &gotong.Error{Code: gotong.CodeConflict}) || errors.Is(wrapped, &gotong.Error{Code: gotong.CodeInvalid}) {
		t.Error("errors compare by something else than their code")
	}
	e := gotong.Invalid("body", "is too long")
	if e.Detail != "body is too long" || !reflect.DeepEqual(e.Fields, []gotong.FieldError{{Field: "body", Detail: "is too long"}}) {
		t.Errorf("%+v", e)
	}
}

func TestCheck(t *testing.T) {
	var c gotong.Check
	c.That(true, "a", "is bad")
	if err := c.Err(); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
	c.That(false, "a", "is bad")
	if err := c.Err(); err == nil || err.Error() != "invalid: a is bad" {
		t.Errorf("one field: %v", err)
	}
	c.That(false, "b", "is worse")
	var e *gotong.Error
	if !errors.As(c.Err(), &e) || e.Code != gotong.CodeInvalid || len(e.Fields) != 2 || e.Fields[1].Field != "b" {
		t.Errorf("two fields: %+v", e)
	}
}

func TestRoles(t *testing.T) {
	for role, want := range map[gotong.Role][3]bool{ // valid, moderates, is admin
		gotong.RoleAnonymous: {true, false, false}, gotong.RoleUser: {true, false, false}, gotong.RoleModerator: {true, true, false},
		gotong.RoleAdmin: {true, true, true}, gotong.RoleSystem: {true, true, true}, "": {}, "root": {}, "Admin": {},
	} {
		if got := [3]bool{role.Valid(), role.CanModerate(), role.IsAdmin()}; got != want {
			t.Errorf("%q: %v, want %v", role, got, want)
		}
	}
	if gotong.Anonymous() != (gotong.Actor{UserID: "anonymous", Role: gotong.RoleAnonymous}) {
		t.Errorf("anonymous is %+v", gotong.Anonymous())
	}
}

func TestInstants(t *testing.T) {
	at := gotong.InstantOf(time.Date(2026, 11, 23, 10, 0, 0, 1999, time.FixedZone("WIB", 7*3600)))
	if at.String() != "2026-11-23T03:00:00.000001Z" || at.Milli() != int64(at)/1000 || at.Add(time.Millisecond) != at+1000 {
		t.Errorf("%s, %d", at, at.Milli())
	}
	for _, tt := range []struct{ now, prev, want gotong.Instant }{{10, 5, 10}, {10, 9, 10}, {10, 10, 11}, {10, 20, 21}, {0, 0, 1}} {
		if got := gotong.NextInstant(tt.now, tt.prev); got != tt.want {
			t.Errorf("after %d at %d: %d, want %d", tt.prev, tt.now, got, tt.want)
		}
	}
	for _, before := range []gotong.Instant{-1, -999, -1000, -1001} {
		if before.Milli() > -1 || gotong.InstantOf(before.Time()) != before {
			t.Errorf("%d: %d ms", before, before.Milli())
		}
	}
	b, err := json.Marshal(map[string]any{"at": at, "hash": gotong.Hash{0xab}})
	want := `{"at":"2026-11-23T03:00:00.000001Z","hash":"ab` + strings.Repeat("0", 62) + `"}`
	if err != nil || string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	for _, bad := range []string{`"x"`, `"2026-11-23"`, `""`} {
		if json.Unmarshal([]byte(bad), &at) == nil {
			t.Errorf("%s was read as a time", bad)
		}
	}
	var h gotong.Hash
	for _, bad := range []string{"", "ab", strings.Repeat("x", 64), strings.Repeat("0", 66)} {
		if h.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q was read as a hash", bad)
		}
	}
}

// TestSeqName: names of numbers sort as the numbers do.
func TestSeqName(t *testing.T) {
	prev := ""
	for _, n := range []uint64{0, 1, 9, 10, 99, 100, 1 << 32, 1 << 40, 9_999_999_999_999_999} {
		if name := gotong.SeqName(n); name <= prev || len(name) != 16 {
			t.Errorf("%d is %q, after %q", n, name, prev)
		} else {
			prev = name
		}
	}
	if a, b := gotong.EntryName(999, "z"), gotong.EntryName(1_764_000_000_000_000, "a"); a >= b {
		t.Errorf("%q sorts after %q", a, b)
	}
}

// TestMembership follows one member in and out.
func TestMembership(t *testing.T) {
	var none gotong.Membership
	at := func(seq uint64) gotong.Event {
		return gotong.Event{Seq: seq, At: gotong.Instant(seq * 10), Count: seq / 2}
	}
	in := none.Join(at(2), "member")
	out := in.Leave(at(6))
	back := out.Join(at(9), "admin")
	for name, tt := range map[string]struct {
		m      gotong.Membership
		active bool
		spans  []gotong.Span
	}{
		"never": {none, false, []gotong.Span{}},
		"in":    {in, true, []gotong.Span{{Stream: "g/1", From: 2}}},
		"out":   {out, false, []gotong.Span{{Stream: "g/1", From: 2, To: 6}}},
		"back":  {back, true, []gotong.Span{{Stream: "g/1", From: 2, To: 6}, {Stream: "g/1", From: 9}}},
	} {
		if tt.m.Active() != tt.active || !reflect.DeepEqual(tt.m.Spans("g/1"), tt.spans) {
			t.Errorf("%s: active %v, spans %v", name, tt.m.Active(), tt.m.Spans("g/1"))
		}
	}
	if s := out.Stretches[0]; s.FromCount != 1 || s.ToCount != 3 || back.JoinedAt != 90 || back.Role != "admin" {
		t.Errorf("%+v", back)
	}
	m := none
	for i := range uint64(2 * gotong.MaxStretches) {
		before := m
		m = m.Join(at(2*i+1), "member")
		m = m.Leave(at(2*i + 2))
		if n := len(before.Stretches); n > 0 && before.Stretches[n-1].To == 0 {
			t.Fatal("an older membership was changed")
		}
	}
	if last := m.Stretches[len(m.Stretches)-1]; len(m.Stretches) != gotong.MaxStretches || last.To != 4*gotong.MaxStretches {
		t.Errorf("%d stretches, the last %+v", len(m.Stretches), last)
	}
	if gotong.MemberKey("thread/a", "u1") != (gotong.Key{Collection: "thread_members", Owner: "a", Name: "u1"}) {
		t.Errorf("key %+v", gotong.MemberKey("thread/a", "u1"))
	}
}

func TestRoster(t *testing.T) {
	var r gotong.Roster
	for _, tt := range []struct {
		user, from, to string
		want           gotong.Roster
	}{
		{"b", "", "owner", gotong.Roster{Leaders: []string{"b"}, Members: 1}},
		{"a", "", "member", gotong.Roster{Leaders: []string{"b"}, Members: 2}},
		{"a", "member", "owner", gotong.Roster{Leaders: []string{"a", "b"}, Members: 2}},
		{"a", "owner", "owner", gotong.Roster{Leaders: []string{"a", "b"}, Members: 2}},
		{"b", "owner", "", gotong.Roster{Leaders: []string{"a"}, Members: 1}},
		{"a", "owner", "member", gotong.Roster{Members: 1}},
		{"a", "member", "", gotong.Roster{}},
	} {
		before := slices.Clone(r.Leaders)
		old := r
		r = r.Move(tt.user, tt.from, tt.to, "owner")
		if r.Members != tt.want.Members || !slices.Equal(r.Leaders, tt.want.Leaders) || !slices.Equal(old.Leaders, before) {
			t.Fatalf("%s, %q to %q: %+v, want %+v", tt.user, tt.from, tt.to, r, tt.want)
		}
	}
}

type account bool

func (a account) Active() bool { return bool(a) }

// Whether a stream is led, and rests on one user, depends on who can act.
func TestLeaders(t *testing.T) {
	s := gotong.NewState("thread/t", gotong.Head{Seq: 1})
	s.SetDoc(gotong.AccountRef("on").Key, account(true))
	s.SetDoc(gotong.AccountRef("off").Key, account(false))
	for _, tt := range []struct {
		leaders   string
		accounts  gotong.Accounts
		led, rest bool // on "on"
	}{
		{"on", gotong.OwnAccounts, true, true}, {"off", gotong.OwnAccounts, false, false}, {"off on", gotong.OwnAccounts, true, true},
		{"foreign on", gotong.OwnAccounts, true, true}, {"foreign on", gotong.AnyIssuer, true, false},
		{"foreign", gotong.OwnAccounts, false, false}, {"foreign", gotong.AnyIssuer, true, false}, {"", gotong.AnyIssuer, false, false},
	} {
		r := gotong.Roster{Leaders: strings.Fields(tt.leaders)}
		if r.Led(s, tt.accounts) != tt.led || r.RestsOn(s, tt.accounts, "on") != tt.rest {
			t.Errorf("%q, %v: led %v, rests on one %v", tt.leaders, tt.accounts, r.Led(s, tt.accounts), r.RestsOn(s, tt.accounts, "on"))
		}
	}
}

// That nobody can act is proved by naming all members, each once, and none who can.
func TestNobody(t *testing.T) {
	s := gotong.NewState("thread/t", gotong.Head{Seq: 1})
	for id, active := range map[string]bool{"off1": false, "off2": false, "on": true, "left": false} {
		s.SetDoc(gotong.AccountRef(id).Key, account(active))
		role := "member"
		s.SetDoc(gotong.MemberKey("thread/t", id), gotong.Membership{Role: role, LeftAt: map[bool]gotong.Instant{true: 1}[id == "left"]})
	}
	for list, want := range map[string]bool{

		"off1 off2": true, "off1 off2 off1": true, "off1": false, "off2": false, "off1 left": false, "off1 stranger": false,
		"off1 on": false, "off1 off2 on": false, "": false,
	} {
		r := gotong.Roster{Members: 2}
		if got := r.Nobody(s, gotong.OwnAccounts, "thread/t", strings.Fields(list)); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// TestState: what a rule asked for is there, also when it is not.
func TestState(t *testing.T) {
	type doc struct{ N int }
	key, gone := gotong.Key{Collection: "c", Owner: "o", Name: "n"}, gotong.Key{Collection: "c", Owner: "o", Name: "gone"}
	id, none := gotong.NewEventID(5, 1), gotong.NewEventID(6, 1)
	s := gotong.NewState("thread/a", gotong.Head{Seq: 3})
	s.SetDoc(key, doc{7})
	s.SetDoc(gone, nil)
	s.SetEvent(id, gotong.Event{Seq: 2, ID: id})
	s.SetEvent(none, gotong.Event{})
	s.SetHead("group/g", gotong.Head{Seq: 9})
	if d, ok := gotong.Doc[doc](s, key); !ok || d.N != 7 {
		t.Errorf("document %+v %v", d, ok)
	}
	if _, ok := gotong.Doc[doc](s, gone); ok {
		t.Error("a document that does not exist was found")
	}
	if _, ok := gotong.Doc[string](s, key); ok {
		t.Error("a document was found as another type")
	}
	if e, ok := s.Event(id); !ok || e.Seq != 2 {
		t.Errorf("event %+v %v", e, ok)
	}
	if _, ok := s.Event(none); ok {
		t.Error("an event that does not exist was found")
	}
	if h, ok := s.HeadOf("group/g"); !ok || h.Seq != 9 {
		t.Errorf("head %+v %v", h, ok)
	}
	for ref, want := range map[gotong.Ref]bool{
		{Key: key}: true, {Key: gone}: true, {Event: id}: true, {Event: none}: true,
		{Key: gotong.Key{Collection: "c"}}: false, {Event: gotong.NewEventID(7, 1)}: false,
	} {
		if s.Has(ref) != want {
			t.Errorf("has %+v: %v", ref, !want)
		}
	}
	other := gotong.NewState("thread/a", gotong.Head{Seq: 3})
	other.SetHead("group/g", gotong.Head{Seq: 10})
	if s.Adopt(other) {
		t.Error("two states that disagree were joined")
	}
}
