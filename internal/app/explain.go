package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/view"
)

// explain returns sentences that explain why a user may or may not read a stream. The answer is
// that of the function that authorises reads; the other lines are its input.
func explain(ctx context.Context, from store.Whole, who string, name gotong.Stream, now gotong.Instant) ([]string, error) {
	stream, err := gotong.ParseStream(string(name))
	if err != nil {
		return nil, err
	}
	codec := store.NewCodec(Kinds())
	account, err := findAccount(ctx, from, who)
	var lines []string
	enabled := true
	switch {
	case err == nil:
		var line string
		if line, enabled, err = accountLine(ctx, from, account); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	case gotong.ValidID(who): // of another issuer, or imported
		account = who
		lines = append(lines, "There is no account "+who+" in this store; tokens of other issuers may name it.")
	default:
		return nil, err
	}
	viewer := gotong.Viewer{UserID: account, Role: gotong.RoleUser}
	views := view.New(view.Options{Store: from, Codec: codec})
	s, err := views.Load(ctx, stream, []gotong.Viewer{viewer}, view.Span{}, store.Need{}, nil)
	if err != nil {
		return nil, err
	}
	if !s.State.Head.Exists() {
		return append(lines, string(stream)+" does not exist. A user gets the same answer as for a stream that they may not read."), nil
	}
	kind, err := codec.Kind(stream)
	if err != nil {
		return nil, err
	}
	lines = append(lines, fmt.Sprintf("%s has %d events. Its home is %s.", stream, s.State.Head.Seq, s.State.Head.Home))
	for _, ref := range kind.AccessNeeds(s.State, viewer) {
		if ref.Key == gotong.MemberKey(ref.Stream, account) {
			lines = append(lines, membershipLine(gotong.MembershipOf(s.State, ref.Stream, account), ref.Stream, now))
		}
	}
	access := s.Grants[0].Access
	access.Readable = access.Readable && enabled
	return append(lines, accessLine(account, stream, access)), nil
}

func accountLine(ctx context.Context, from store.Loader, id string) (line string, enabled bool, err error) {
	snap, err := from.Load(ctx, store.Need{Documents: []gotong.Key{user.UserKey(id)}})
	if err != nil {
		return "", false, err
	}
	var u user.User
	if err := json.Unmarshal(snap.Documents[user.UserKey(id)], &u); err != nil {
		return "", false, err
	}
	line = fmt.Sprintf("The account %s has the platform role %s", id, u.Role)
	if !u.Enabled {
		return line + " and is disabled: it cannot sign in, so it reads nothing.", false, nil
	}
	return line + ", which alone gives nobody access to a stream.", true, nil
}

func membershipLine(m gotong.Membership, of gotong.Stream, now gotong.Instant) string {
	switch {
	case m.Active() && m.Appointed:
		return fmt.Sprintf("They are a member of %s as %s since %s, appointed from outside; they do not see earlier events.",
			of, m.Role, m.JoinedAt)
	case m.Active():
		return fmt.Sprintf("They are a member of %s as %s since %s.", of, m.Role, m.JoinedAt)
	case m.Holds(now):
		return fmt.Sprintf("They are not a member of %s, and are banned.", of)
	case m.LeftAt != 0:
		return fmt.Sprintf("They were a member of %s until %s.", of, m.LeftAt)
	default:
		return fmt.Sprintf("They have never been a member of %s.", of)
	}
}

func accessLine(account string, stream gotong.Stream, a gotong.Access) string {
	if !a.Readable {
		return fmt.Sprintf("Therefore %s may not read %s.", account, stream)
	}
	var parts []string
	for _, v := range a.Visible {
		part := fmt.Sprintf("from %d on", max(v.From, 1))
		if v.To != 0 {
			part = fmt.Sprintf("%d to %d", max(v.From, 1), v.To-1)
		}
		parts = append(parts, part)
	}
	what := "none of its events yet"
	if len(parts) > 0 {
		what = "the events " + strings.Join(parts, ", ")
	}
	line := fmt.Sprintf("Therefore %s may read %s: %s", account, stream, what)
	if len(a.Roles) > 0 {
		line += ", with those for " + strings.Join(a.Roles, " and ")
	}
	return line + "."
}
