package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/engine"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
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
	rules := Kinds()
	opened, err := openExisting(ctx, cfg, rules, clock.System().Now)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	id, err := findAccount(ctx, opened, who)
	if err != nil {
		return g, err
	}
	e := engine.New(engine.Options{
		Store: opened, Codec: store.NewCodec(rules), Committed: func(context.Context, []store.Event) {},
	})
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	receipt, err := e.Execute(ctx, gotong.Command{
		Stream: gotong.NewStream(user.Name, id), Type: user.CmdSetRole, Actor: auth.Operator(),
		RequestID: "grant-" + strings.ToLower(string(store.NewEpoch())+string(store.NewEpoch())),
		Data:      user.SetRole{Role: role}, Raw: []byte(`{"role":"` + string(role) + `"}`),
	})
	return Granted{UserID: id, Role: role, Changed: receipt.First > 0}, err
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
