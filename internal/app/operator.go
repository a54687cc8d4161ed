package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
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
	s, _, err := openStore(ctx, cfg, rules, now, nil)
	if errors.Is(err, sqlite.ErrInUse) {
		err = errors.Join(ErrServing, err)
	}
	return s, err
}

// findAccount returns the id of the account with this user id, e-mail address or
// user name.
func findAccount(ctx context.Context, from store.Committer, who string) (string, error) {
	mail := gotong.Claim{Space: user.ClaimEmail, Name: user.Email(who)}
	name := gotong.Claim{Space: user.ClaimUsername, Name: user.Username(who)}
	need := store.Need{Claims: []gotong.Claim{mail, name}}
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
	for _, c := range need.Claims {
		if stream, ok := snap.Claims[c]; ok {
			return stream.ID(), nil
		}
	}
	return "", ErrNoAccount
}
