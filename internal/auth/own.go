package auth

import (
	"cmp"
	"context"
	"encoding/json"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/text"
)

// Change is what users do to their own accounts; a closed set.
type Change string

// The changes.
const (
	PasswordChanged Change = "password_changed"
	EmailChanged    Change = "email_changed"
	Deleted         Change = "deleted"
)

// Own is a request of users to change their own account, with their password.
type Own struct {
	RequestID     string
	CorrelationID string
	Principal     Principal
	Pass          string // the present password
}

// ChangePassword sets the password of the caller's account and ends its other logins. A
// retry changes nothing. The error is [gotong.CodeForbidden] if o.Pass is wrong,
// [gotong.CodeRateLimited] after many wrong ones, and [gotong.CodeNotFound] if this
// server has no account of the caller.
func (s *Service) ChangePassword(ctx context.Context, o Own, next string) (err error) {
	defer func() { s.attempted("password", err) }()
	next, err = newPassword(next)
	if err != nil {
		return err
	}
	was, set, err := s.prove(ctx, o, next)
	if err != nil || set {
		return err
	}
	return s.setPassword(ctx, o, was, next)
}

func newPassword(pass string) (string, error) { return typed("pass", text.Password, pass) }

func newEmail(email string) (string, error) { return typed("email", text.Email, email) }

// typed returns what somebody typed into a field, in its normal form.
func typed(field string, as text.Sort, what string) (string, error) {
	var check gotong.Check
	if len(what) > maxTyped {
		return "", gotong.Invalid(field, as.Says)
	}
	what = as.Clean(what)
	as.Check(&check, field, what)
	return what, check.Err()
}

// setPassword replaces the password of an account, and ends all its logins but that of
// the request, if it has one.
func (s *Service) setPassword(ctx context.Context, o Own, was account, pass string) error {
	userID := o.Principal.UserID
	hash, err := s.passwords.Hash(ctx, pass)
	if err != nil {
		return err
	}
	err = s.amend(ctx, o, was, PasswordChanged, func(a account, version, seq uint64) ([]gotong.RegisterChange, error) {
		a.Hash = hash
		account, err := change(accountKey(userID), version, a, 0)
		if err != nil || o.Principal.LoginID == "" {
			return []gotong.RegisterChange{account}, err
		}
		l, version, err := s.login(ctx, userID, o.Principal.LoginID)
		if err != nil || version == 0 {
			return nil, cmp.Or(err, loginOver())
		}
		l.Standing = seq
		stays, err := change(loginKey(userID, o.Principal.LoginID), version, l, l.RotatedAt.Add(s.opts.RefreshLife))
		return []gotong.RegisterChange{account, stays}, err
	})
	if err != nil {
		return err
	}
	s.accounts.clear(ctx, s.opts.Users.EmailClaim(was.Email).Name)
	return s.endOthers(ctx, userID, o.Principal.LoginID)
}

// ChangeEmail gives the caller's account another e-mail address. Its errors are those of
// ChangePassword, and [gotong.CodeExists] if another account has the address.
func (s *Service) ChangeEmail(ctx context.Context, o Own, email string) (err error) {
	defer func() { s.attempted("email", err) }()
	email, err = newEmail(email)
	if err != nil {
		return err
	}
	was, _, err := s.prove(ctx, o, "")
	if err != nil {
		return err
	}
	userID := o.Principal.UserID
	return s.amend(ctx, o, was, EmailChanged, func(a account, version, _ uint64) ([]gotong.RegisterChange, error) {
		if a.Email == email {
			return nil, nil
		}
		took, err := s.takes(ctx, userID, email)
		if err != nil {
			return nil, err
		}
		changes := []gotong.RegisterChange{took}
		if s.opts.Users.EmailClaim(a.Email) != s.opts.Users.EmailClaim(email) {
			left, err := s.leaves(ctx, a.Email)
			if err != nil {
				return nil, err
			}
			changes = append(changes, left...)
		}
		a.Email = email
		account, err := change(accountKey(userID), version, a, 0)
		return append(changes, account), err
	})
}

// Delete deletes the caller's account for good: its address, password, names and record.
// The user name stays taken, so that nobody can pose as its user; what the user wrote
// stays, without their name. The errors are those of ChangePassword, and
// [gotong.CodeForbidden] for an admin.
func (s *Service) Delete(ctx context.Context, o Own) (err error) {
	defer func() { s.attempted("delete", err) }()
	userID := o.Principal.UserID
	was, _, err := s.prove(ctx, o, "")
	if err != nil {
		return err
	}
	err = s.amend(ctx, o, was, Deleted, func(a account, version, _ uint64) ([]gotong.RegisterChange, error) {
		left, err := s.leaves(ctx, a.Email)
		return append(left, gotong.RegisterChange{Key: accountKey(userID), Expect: version}), err
	})
	if err != nil {
		return err
	}
	s.names.put(userID, named{at: s.mono()})
	return s.forget(ctx, userID)
}

// forget deletes what the server keeps of an account outside the log and [account].
// What remains if it fails expires, and no longer belongs to an account.
func (s *Service) forget(ctx context.Context, userID string) error {
	if err := s.endOthers(ctx, userID, ""); err != nil {
		return err
	}
	for _, collection := range append([]string{auditName, begunName, devicesName}, s.opts.Personal...) {
		err := s.each(ctx, collection, userID, "", func(reg store.Register) error {
			return s.opts.Store.SetRegister(ctx, reg.Key, reg.Version, nil, 0)
		})
		if err != nil {
			return store.CodedWrite(err)
		}
	}
	return nil
}

// each calls do with the registers of an owner in a collection, from a name on.
func (s *Service) each(ctx context.Context, collection, owner, from string, do func(store.Register) error) error {
	for {
		list, err := s.opts.Store.FindRegisters(ctx, store.KeyRange{
			Collection: collection, Owner: owner, From: from, To: "~", Limit: store.MaxRead,
		})
		if err != nil {
			return err
		}
		for _, reg := range list {
			if err := do(reg); err != nil {
				return err
			}
		}
		if len(list) < store.MaxRead {
			return nil
		}
		from = list[len(list)-1].Key.Name + "0"
	}
}

// prove checks the caller's password; each wrong one counts as a failed sign-in. A request
// that is sent again may come with the new password: set reports that it is in force.
func (s *Service) prove(ctx context.Context, o Own, next string) (a account, set bool, err error) {
	if len(o.Pass) > maxTyped {
		return a, false, gotong.Invalid("pass", text.Password.Says)
	}
	a, version, err := s.account(ctx, o.Principal.UserID)
	if err != nil || version == 0 || o.Principal.Foreign {
		return a, false, cmp.Or(err, noAccount())
	}
	counted := s.opts.Users.EmailClaim(a.Email).Name
	if err := slowed(s.accounts.count(ctx, counted)); err != nil {
		return a, false, err
	}
	pass := text.Password.Clean(o.Pass)
	same, err := s.passwords.Check(ctx, pass, a.Hash)
	set = same && pass == next
	if err == nil && !same && next != "" {
		set, err = s.passwords.Check(ctx, next, a.Hash)
		same = set
	}
	switch {
	case err != nil:
		s.accounts.undo(ctx, counted)
	case same:
		s.accounts.clear(ctx, counted)
	default:
		err = passwordWrong()
	}
	return a, set, err
}

func passwordWrong() error { return gotong.NewError(gotong.CodeForbidden, "The password is wrong.") }

// amend commits a change of an account with the registers that changes returns for the
// account, its version and the seq of the event; for none, it does nothing. The error is
// [gotong.CodeForbidden] if the account no longer has the password that was proved.
func (s *Service) amend(
	ctx context.Context, o Own, was account, what Change, changes func(a account, version, seq uint64) ([]gotong.RegisterChange, error),
) (err error) {
	for range maxTries {
		if err = s.amendOnce(ctx, o, was, what, changes); gotong.CodeOf(err) != gotong.CodeConflict {
			return err
		}
	}
	return err
}

func (s *Service) amendOnce(
	ctx context.Context, o Own, was account, what Change, changes func(a account, version, seq uint64) ([]gotong.RegisterChange, error),
) error {
	stream := userStream(o.Principal.UserID)
	snap, err := s.opts.Store.Load(ctx, store.Need{Heads: []gotong.Stream{stream}})
	if err != nil {
		return store.CodedWrite(err)
	}
	a, version, err := s.account(ctx, o.Principal.UserID)
	if err != nil || version == 0 {
		return cmp.Or(err, noAccount())
	}
	if a.Hash != was.Hash {
		return passwordWrong()
	}
	seq := snap.Heads[stream].Seq + 1
	registers, err := changes(a, version, seq)
	if err != nil || len(registers) == 0 {
		return err
	}
	name, data := s.opts.Users.Change(what, seq)
	_, err = s.opts.Executor.Execute(ctx, gotong.Command{
		Stream: stream, Type: name, Actor: gotong.Actor{UserID: o.Principal.UserID, Role: gotong.RoleUser},
		RequestID: o.RequestID, CorrelationID: o.CorrelationID, Data: data, Raw: []byte(name), Registers: registers,
	})
	return err
}

// change returns the change of a register to v.
func change(key gotong.Key, version uint64, v any, expires gotong.Instant) (gotong.RegisterChange, error) {
	body, err := json.Marshal(v)
	return gotong.RegisterChange{Key: key, Expect: version, Body: body, Expires: expires}, err
}

// Login is one of a user's logins.
type Login struct {
	ID       string
	Agent    string // what the client called itself at the sign-in; may be empty
	Created  gotong.Instant
	LastUsed gotong.Instant // of its tokens, to within the life of an access token
	Expires  gotong.Instant // if it is not used again
	Current  bool           // the request came with it
}

// Logins returns the caller's logins, the oldest first.
func (s *Service) Logins(ctx context.Context, p Principal) (list []Login, err error) {
	st, known, err := s.standing(ctx, p.UserID)
	if err != nil || !known {
		return nil, err
	}
	err = s.each(ctx, loginsName, p.UserID, "0", func(reg store.Register) error {
		var l login
		if err := decode(reg, &l); err != nil || l.Standing != st.Version {
			return err // one with another standing has ended
		}
		id, err := gotong.ParseEventID(reg.Key.Name)
		if err != nil {
			return err
		}
		list = append(list, Login{
			ID: reg.Key.Name, Agent: l.Agent, Created: id.At(), LastUsed: l.lastUse(),
			Expires: l.RotatedAt.Add(s.opts.RefreshLife), Current: reg.Key.Name == p.LoginID,
		})
		return nil
	})
	return list, store.CodedWrite(err)
}

// EndLogin ends a login of the caller. It does nothing if the login has ended or never
// existed.
func (s *Service) EndLogin(ctx context.Context, p Principal, id string) error {
	if _, err := gotong.ParseEventID(id); err != nil {
		return gotong.NotFound()
	}
	ended, err := s.endLogin(ctx, p.UserID, id)
	if ended {
		s.note(ctx, p.UserID, ActLoggedOut, id)
	}
	return err
}

// endOthers ends the logins of an account, except one.
func (s *Service) endOthers(ctx context.Context, userID, except string) error {
	s.verified.forget(userID)
	ctx = context.WithoutCancel(ctx)
	err := s.each(ctx, loginsName, userID, "0", func(reg store.Register) error {
		if reg.Key.Name == except {
			return nil
		}
		_, err := s.endLogin(ctx, userID, reg.Key.Name)
		return err
	})
	return store.CodedWrite(err)
}

func noAccount() error { return gotong.NotFound() }
