package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/alecthomas/kong"

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

	logged bool // the log has it
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func misuse(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: 2}
}

// fitting returns those parts of a hint that belong to a command: a part may name flags
// that the command has, and other commands with theirs. If none remains, the hint is the
// help of the command.
func fitting(hint string, command *kong.Node) string {
	if hint == "" || command == nil {
		return hint
	}
	has := map[string]bool{}
	for _, group := range command.AllFlags(false) {
		for _, flag := range group {
			has["--"+flag.Name] = true
		}
	}
	var parts []string
	for part := range strings.SplitSeq(hint, "; or ") {
		fits := !strings.Contains(part, "GOTONG_TOKEN") || has["--token"]
		for word := range strings.FieldsSeq(part) {
			word = strings.Trim(word, ",;.")
			fits = fits && (!strings.HasPrefix(word, "--") || has[word] || strings.Contains(part, "gotong "))
		}
		if fits {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return command.FullPath() + " --help"
	}
	return strings.Join(parts, "; or ")
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
		f.hint = "--checkpoints, to name the directory that the server used; or once --checkpoints-new, if there is none"
	case errors.Is(err, audit.ErrDamaged):
		f.hint = "a copy of the file; or once --checkpoints-new, which begins with the log as it is and keeps the damaged file"
	case errors.Is(err, audit.ErrRollback):
		f.hint = "the newest backup; or once --accept-rollback, which continues with this log under a new epoch"
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
		f.hint = "the id of a thread that you are a member of"
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
		f.hint = "with an account that may do this"
	case gotong.CodeExists:
		f.hint = "without --signup; or with another name"
	case gotong.CodeRateLimited:
		f.hint = "again in a while"
		if p.RetryAfter > 0 {
			f.hint = "again in " + p.RetryAfter.String()
		}
	default: // the sentence explains itself
	}
}
