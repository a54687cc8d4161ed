package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/reader"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/text"
	"gotong.dev/gotong/internal/view"
)

// The errors of [GrantRole], apart from those of the store.
var (
	ErrServing   = errors.New("a running server has this store open")
	ErrNoStore   = errors.New("there is no database yet; start the server and sign up first")
	ErrNoAccount = errors.New("there is no such account; give its user id, e-mail address or user name")
)

// Granted is the result of [GrantRole].
type Granted struct {
	UserID  string
	Role    gotong.Role
	Changed bool // false: the account already had the role
}

// GrantRole gives an account a platform role, by an ordinary command of
// [auth.Operator] with its event in the log. who is a user id, an e-mail address
// or a user name. It returns [ErrServing] if a running server has the only
// access to the store.
func GrantRole(ctx context.Context, cfg *config.Config, who string, role gotong.Role) (g Granted, err error) {
	g.Role = role
	receipt, err := ordered(ctx, cfg, func(opened store.Whole, _ *store.Codec) (gotong.Command, error) {
		g.UserID, err = findAccount(ctx, opened, who)
		return gotong.Command{
			Stream: gotong.NewStream(user.Name, g.UserID), Type: user.CmdSetRole, Data: user.SetRole{Role: role},
			Raw: []byte(`{"role":"` + string(role) + `"}`),
		}, err
	})
	g.Changed = receipt.First > 0
	return g, err
}

// Erase erases the content of events of a stream, and of later events about them,
// by an ordinary command of [auth.Operator]. It returns how many events lost
// content, and [ErrServing] if a running server has the only access to the store.
func Erase(ctx context.Context, cfg *config.Config, stream gotong.Stream, seqs []uint64, reason string) (int, error) {
	receipt, err := ordered(ctx, cfg, func(opened store.Whole, codec *store.Codec) (gotong.Command, error) {
		ids, err := store.ErasePlan(ctx, opened, codec, stream, seqs)
		data := gotong.Erase{Events: ids, Reason: text.Grounds.Clean(reason)}
		return gotong.Command{Stream: stream, Type: gotong.CmdErase, Data: data}, err
	})
	if err != nil || receipt.First == 0 {
		return 0, err
	}
	return int(receipt.Last - receipt.First + 1), nil //nolint:gosec // at most 100
}

// ordered executes a command of the operator on a store that no server has open.
func ordered(
	ctx context.Context, cfg *config.Config, order func(store.Whole, *store.Codec) (gotong.Command, error),
) (receipt gotong.Receipt, err error) {
	rules := Kinds()
	opened, err := openExisting(ctx, cfg, rules, clock.System().Now)
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	codec := store.NewCodec(rules)
	cmd, err := order(opened, codec)
	if err != nil {
		return receipt, err
	}
	cmd.Actor = auth.Operator()
	cmd.RequestID = "operator-" + strings.ToLower(string(store.NewEpoch())+string(store.NewEpoch()))
	e := engine.New(engine.Options{Store: opened, Codec: codec, Committed: func(context.Context, []store.Event) {}})
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	if receipt, err = e.Execute(ctx, cmd); err == nil && cmd.Type == gotong.CmdErase {
		var run *reader.Runner // documents of readers hold content too
		run, err = reader.New(reader.Options{Store: opened, Clock: clock.System(), Log: slog.New(slog.DiscardHandler)}, Readers(), nil)
		if err == nil {
			err = run.CatchUp(ctx)
		}
	}
	return receipt, err
}

// openExisting opens a store, but creates none.
func openExisting(
	ctx context.Context, cfg *config.Config, rules []gotong.Kind, now func() gotong.Instant,
) (store.Whole, error) {
	if p, ok := StoreProperties(cfg.StoreURL()); ok && !p.Durable.Holds {
		return nil, ErrServing
	}
	if path, ok := sqlitePath(cfg); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", path, ErrNoStore)
		}
	}
	s, _, err := openStore(ctx, cfg, rules, now, now, nil, nil)
	if errors.Is(err, sqlite.ErrInUse) {
		err = errors.Join(ErrServing, err)
	}
	return s, err
}

// findAccount returns the id of the account with this user id, e-mail address or
// user name.
func findAccount(ctx context.Context, from store.Committer, who string) (string, error) {
	name := user.NameClaim(who)
	need := store.Need{Claims: []gotong.Claim{name}}
	if gotong.ValidID(who) {
		need.Documents = []gotong.Key{user.UserKey(who)}
	}
	snap, err := from.Load(ctx, need)
	if err != nil {
		return "", err
	}
	if len(snap.Documents) > 0 {
		return who, nil
	}
	if stream, ok := snap.Claims[name]; ok {
		return stream.ID(), nil
	}
	id, _, err := auth.Holder(ctx, from, users().EmailClaim(who))
	if err == nil && id == "" {
		err = ErrNoAccount
	}
	return id, err
}

// OrderPath is where the listener for operators accepts an [Order], with a token
// of [auth.Operator].
const OrderPath = "/v1/operator/orders"

// Order is what an operator asks about the readers, the jobs or the access to the
// streams of a store. Do is readers, skip, rebuild, jobs, retry or explain or, of a
// running server alone, streams, event, webhooks, replay, gates, nodes, storage or reset; the
// other fields are those that it needs.
type Order struct {
	Do        string           `json:"do"`
	Reader    string           `json:"reader,omitempty"`
	Partition gotong.Partition `json:"partition,omitempty"`
	Queue     string           `json:"queue,omitempty"`
	Job       string           `json:"job,omitempty"`
	Dead      bool             `json:"dead,omitempty"`
	User      string           `json:"user,omitempty"`
	Stream    gotong.Stream    `json:"stream,omitempty"`
	Seq       uint64           `json:"seq,omitempty"`
	Webhook   string           `json:"webhook,omitempty"` // whose dead letters to send again
	Most      int              `json:"most,omitempty"`    // of the jobs to read; 0: all
}

// Reply is the answer to an [Order]. Error is the reason for which nothing was
// done.
type Reply struct {
	Readers []reader.Status `json:"readers,omitempty"`
	Skipped *reader.Stop    `json:"skipped,omitempty"`
	Jobs    []Job           `json:"jobs,omitempty"`
	Lines   []string        `json:"lines,omitempty"`
	Reset   *Reset          `json:"reset,omitempty"`
	Error   string          `json:"error,omitempty"`

	Look
}

// Reset is a token with which its holder can set an account's password once.
type Reset struct {
	UserID  string         `json:"user_id"`
	Token   string         `json:"token"`
	Expires gotong.Instant `json:"expires"`
}

// Job is a job as operators see it, without its body.
type Job struct {
	Queue    string         `json:"queue"`
	ID       string         `json:"id"`
	Due      gotong.Instant `json:"due"`
	Failures int            `json:"failures"`
	Crashes  int            `json:"crashes"`
	Running  bool           `json:"running"`
	Dead     bool           `json:"dead"`
	Error    string         `json:"error,omitempty"`
}

// Execute carries out an order on a store that no server has open. It returns
// [ErrServing] if one has.
func (o *Order) Execute(ctx context.Context, cfg *config.Config) (reply Reply, err error) {
	now := clock.System().Now
	opened, err := openExisting(ctx, cfg, Kinds(), now)
	if err != nil {
		return reply, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return o.on(ctx, opened, now())
}

func (o *Order) on(ctx context.Context, s store.Whole, now gotong.Instant) (reply Reply, err error) {
	switch o.Do {
	case "readers":
		reply.Readers, err = reader.List(ctx, s, Readers())
	case "skip":
		var stop reader.Stop
		if stop, err = reader.Skip(ctx, s, Readers(), o.Reader, o.Partition, now); err == nil {
			reply.Skipped = &stop
		}
	case "rebuild":
		err = reader.Rebuild(ctx, s, Readers(), o.Reader)
	case "jobs":
		var jobs []store.Job
		jobs, err = reader.Jobs(ctx, s, o.Dead, o.Most)
		for i := range jobs {
			j := &jobs[i]
			reply.Jobs = append(reply.Jobs, Job{j.Queue, j.ID, j.Due, j.Attempt, j.Crashes, j.Lease > now, j.Dead, j.Error})
		}
	case "retry":
		err = reader.Retry(ctx, s, o.Queue, o.Job, now)
	case "explain":
		reply.Lines, err = explain(ctx, s, o.User, o.Stream, now)
	case "reset":
		err = errors.New("a link to reset a password needs the running server: start it first")
	default:
		err = fmt.Errorf("there is no order %q", o.Do)
	}
	return reply, err
}

// serveOrder carries out an order on the store of the server. Only the operator
// is admitted, who proves to have the signing key.
func (a *App) serveOrder(w http.ResponseWriter, r *http.Request) {
	if !a.byOperator(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var o Order
	var reply Reply
	status := http.StatusOK
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	body.DisallowUnknownFields()
	err := body.Decode(&o)
	if err == nil {
		reply, err = a.order(r.Context(), &o)
	}
	if err != nil {
		reply, status = Reply{Error: err.Error()}, http.StatusConflict
	} else if slices.Contains([]string{"skip", "rebuild", "retry", "replay", "reset"}, o.Do) {
		var account string // not as the operator named it: that may be an address
		if reply.Reset != nil {
			account = reply.Reset.UserID
		}
		a.log.WarnContext(r.Context(), "an operator gave an order",
			"order", o.Do, "reader", o.Reader, "partition", o.Partition, "queue", o.Queue, "job", o.Job, "webhook", o.Webhook,
			"user_id", account)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply) // an error means that the caller left
}

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
