package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gotong.dev/gotong"
)

// server answers an import without a network: it remembers what it took, in
// order, and how many commands were on their way at once.
type server struct {
	took   []string
	known  map[string]string // request id → data
	under  int
	most   int
	answer func(n int) (putOff bool, err error) // of the nth command, from 1
}

func (s *server) submit(_ context.Context, typ string, data any, requestID string) (Wait, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	n := len(s.took) + 1
	s.took = append(s.took, typ)
	s.under++
	s.most = max(s.most, s.under)
	before, replayed := s.known[requestID]
	s.known[requestID] = string(raw)
	return func(context.Context) (gotong.Receipt, bool, error) {
		s.under--
		putOff, err := false, error(nil)
		if s.answer != nil {
			putOff, err = s.answer(n)
		}
		if err == nil && replayed && before != string(raw) {
			err = gotong.NewError(gotong.CodeReused, "reused")
		}
		return gotong.Receipt{First: uint64(n), Last: uint64(n), Replayed: replayed}, putOff, err
	}, nil
}

func posts(n int) []Step {
	var list []Step
	for i := range n {
		list = append(list, Step{Op: Post, RequestID: fmt.Sprint("r", i), Name: "a", Text: "x", SentAt: 1e6, Line: i + 1})
	}
	return list
}

func seq(list []Step, last error) func(func(Step, error) bool) {
	return func(yield func(Step, error) bool) {
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
		if last != nil {
			yield(Step{}, last)
		}
	}
}

func TestRunCommands(t *testing.T) {
	for op, want := range map[Op]string{
		Add:    `member.add {"user_id":"import:1","sent_at_ms":1000,"sent_by":"Wati"}`,
		Remove: `member.remove {"user_id":"import:1","sent_at_ms":1000,"sent_by":"Wati"}`,
		Post:   `message.post {"body":"halo","sent_at_ms":1000,"sent_by":"Wati"}`,
	} {
		s := Step{Op: op, RequestID: "r", Name: "Wati", UserID: "import:1", Text: "halo", SentAt: 1e6}
		got := ""
		submit := func(_ context.Context, typ string, data any, _ string) (Wait, error) {
			raw, err := json.Marshal(data)
			got = typ + " " + string(raw)
			return func(context.Context) (gotong.Receipt, bool, error) {
				return gotong.Receipt{First: 1, Last: 1}, false, nil
			}, err
		}
		if _, err := Run(t.Context(), submit, seq([]Step{s}, nil), nil, nil); err != nil || got != want {
			t.Errorf("%s: %s, %v", op, got, err)
		}
	}
}

func TestRunCountsAnswers(t *testing.T) {
	s := &server{known: map[string]string{}}
	steps := posts(700)
	last := 0
	r, err := Run(t.Context(), s.submit, seq(steps, nil), nil, func(r Result) { last = r.Done })
	if err != nil || r.Added != 700 || r.Done != 700 || last != 700 {
		t.Fatalf("%+v, %v", r, err)
	}
	if s.most != Window {
		t.Errorf("%d on their way at once, want %d", s.most, Window)
	}
	steps[3].SentAt = 2e6
	r, err = Run(t.Context(), s.submit, seq(steps, nil), nil, nil)
	if err != nil || r.Added != 0 || r.Present != 699 || r.Moved != 1 || r.Done != 700 {
		t.Fatalf("again: %+v, %v", r, err)
	}
}

// One that puts commands off gets them one by one, so that none overtakes.
func TestRunSendsOneByOneUnderARateLimit(t *testing.T) {
	s := &server{known: map[string]string{}, answer: func(n int) (bool, error) { return n > 100, nil }}
	r, err := Run(t.Context(), s.submit, seq(posts(1000), nil), nil, nil)
	if err != nil || !r.PutOff || s.most != 1 {
		t.Errorf("%d at once, %+v, %v", s.most, r, err)
	}
}

func TestRunNotesRejectedStepsAndContinues(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		stop bool
	}{
		"invalid":   {gotong.Invalid("body", "is bad"), false},
		"conflict":  {gotong.NewError(gotong.CodeConflict, "no"), false},
		"too large": {gotong.NewError(gotong.CodeTooLarge, "no"), false},
		"forbidden": {gotong.NewError(gotong.CodeForbidden, "no"), true},
		"not found": {gotong.NotFound(), true},
		"network":   {errors.New("cut"), true},
	} {
		s := &server{known: map[string]string{}, answer: func(n int) (bool, error) {
			if n == 601 {
				return false, c.err
			}
			return false, nil
		}}
		r, err := Run(t.Context(), s.submit, seq(posts(900), nil), nil, nil)
		switch {
		case !c.stop:
			if err != nil || r.Refused != 1 || r.Done != 900 || r.Refusals[0].Line != 601 {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		case !errors.Is(err, c.err) || !strings.HasPrefix(err.Error(), "line 601: "):
			t.Errorf("%s: %v", name, err)
		case r.Added != 600+Window-1 || s.under != 0: // what was on its way was waited for
			t.Errorf("%s: %+v, %d not waited for", name, r, s.under)
		}
	}
}

func TestRunStopsAtTheStepsError(t *testing.T) {
	broken := errors.New("broken")
	s := &server{known: map[string]string{}}
	r, err := Run(t.Context(), s.submit, seq(posts(5), broken), nil, nil)
	if !errors.Is(err, broken) || r.Added != 5 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRunEndsWhenSubmitFails(t *testing.T) {
	closed := errors.New("closed")
	r, err := Run(t.Context(), func(context.Context, string, any, string) (Wait, error) { return nil, closed }, seq(posts(5), nil), nil, nil)
	if !errors.Is(err, closed) || r.Done != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestThreadRequestID(t *testing.T) {
	source := Source{Format: IRC, Name: "2026-08-17.txt"}
	short := entriesOf(t, source, "=== mode/#x [+o a] by b\n[10:00] <a> satu\n")
	long := entriesOf(t, source, "=== mode/#x [+o a] by b\n[10:00] <a> satu\n[10:01] <a> dua\n")
	other := entriesOf(t, source, "=== mode/#x [+o a] by b\n[10:00] <a> lain\n")
	id := ThreadRequestID("rt05", IRC, short)
	if !gotong.ValidRequestID(id) || id != ThreadRequestID("rt05", IRC, long) {
		t.Errorf("a longer export has another thread: %s", id)
	}
	for name, same := range map[string]bool{
		"another chat":  id == ThreadRequestID("rt05", IRC, other),
		"another scope": id == ThreadRequestID("rt06", IRC, short),
		"no message":    id == ThreadRequestID("rt05", IRC, short[:1]),
	} {
		if same {
			t.Errorf("%s has the same thread", name)
		}
	}
}
