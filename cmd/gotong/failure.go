package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/internal/surreal"
)

// failure is an error with a hint and an exit code.
type failure struct {
	err  error
	hint string // a command line or a sentence; may be empty
	code int    // to exit with
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func misuse(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: 2}
}

func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	f = &failure{err: err, code: 1}
	var problem *client.Problem
	var ended *client.Ended
	var network *net.OpError
	var database *surreal.ConnError
	switch {
	case errors.Is(err, context.Canceled):
		f.err = errors.New("interrupted")
	case errors.Is(err, client.ErrTokenRefused):
		f.err = errors.New("the server rejects the token; it has expired or belongs to another server")
		f.hint = newToken
	case errors.As(err, &ended):
		explainEnded(f, ended)
	case errors.As(err, &problem):
		explainProblem(f, problem)
	case errors.Is(err, sqlite.ErrInUse):
		_, detail, _ := strings.Cut(err.Error(), sqlite.ErrInUse.Error()+": ")
		f.err = errors.New(detail)
	case errors.Is(err, audit.ErrMissing):
		f.hint = "--checkpoints, to name the directory that the server used; or, if there is none, once --checkpoints-new"
	case errors.Is(err, audit.ErrDamaged):
		f.hint = "a copy of the file; or, to begin with the log as it is, once --checkpoints-new, which keeps the damaged file"
	case errors.Is(err, audit.ErrRollback):
		f.hint = "the newest backup; or, to continue with this log under a new epoch, once --accept-rollback"
	case errors.Is(err, app.ErrNoStore):
		f.hint = "gotong serve, and gotong token --signup; or --data, to name the data directory"
	case errors.Is(err, app.ErrNoAccount):
		f.hint = "gotong token --signup, to make one"
	case errors.As(err, &database):
		f.hint = "to find out whether the database runs and can be reached from here"
	case errors.As(err, &network) && network.Op == "dial":
		f.hint = "gotong demo, to start a server; or --url, to name one"
	}
	return f
}

const newToken = "export GOTONG_TOKEN=$(gotong token --email YOU@EXAMPLE.ORG), and then again"

func explainEnded(f *failure, ended *client.Ended) {
	switch {
	case errors.Is(ended, client.ErrAccessRevoked):
		f.err = fmt.Errorf("%s does not exist, or you may not (or no longer) read it", ended.Stream)
		f.hint = "gotong tail with the id of a thread that you are a member of"
	case errors.Is(ended, client.ErrResyncRequired):
		reason := ended.Reason
		var problem *client.Problem
		if reason == "" && errors.As(ended, &problem) {
			reason = problem.Err.Detail
		}
		f.err = fmt.Errorf("the cursor is no longer usable: %s", reason)
		f.hint = "--from start"
	}
}

func explainProblem(f *failure, p *client.Problem) {
	text := []string{p.Err.Detail}
	for _, field := range p.Err.Fields {
		text = append(text, field.Field+" "+field.Detail)
	}
	if p.Status >= 500 && p.TraceID != "" {
		text = append(text, "To ask for help, quote trace "+p.TraceID+".")
	}
	f.err = errors.New(strings.Join(text, "\n  "))
	switch p.Err.Code {
	case gotong.CodeUnauthorized:
		f.hint = newToken
	case gotong.CodeForbidden:
		f.hint = "an account that owns the thread, or is an admin of it"
	case gotong.CodeExists:
		f.hint = "gotong token without --signup, or another e-mail address and user name"
	case gotong.CodeRateLimited:
		f.hint = "again in a while"
		if p.RetryAfter > 0 {
			f.hint = "again in " + p.RetryAfter.String()
		}
	default: // the sentence explains itself
	}
}
