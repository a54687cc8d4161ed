package surreal

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestParseChecksAddresses(t *testing.T) {
	user := func(c Config, level Level) Config {
		c.Login = c.AsUser(level, "gotong", "p@ss/word")
		return c
	}
	base := Config{Address: "db.example:8000", Namespace: "gotong", Database: "chat"}
	secure := Config{Address: "[::1]:443", TLS: true, Namespace: "a-b", Database: "c_1", Sockets: 9}
	tests := map[string]struct {
		url  string
		want Config
		err  string // part of the error; "" for none
	}{
		"guest":             {"surreal://db.example/gotong/chat", base, ""},
		"user":              {"surreal://gotong:p%40ss%2Fword@db.example:8000/gotong/chat", user(base, LevelRoot), ""},
		"user of namespace": {"surreal://gotong:p%40ss%2Fword@db.example/gotong/chat?level=namespace", user(base, LevelNamespace), ""},
		"user of database":  {"surreal://gotong:p%40ss%2Fword@db.example/gotong/chat/?level=database", user(base, LevelDatabase), ""},
		"everything":        {"surreals://gotong:p%40ss%2Fword@[::1]:443/a-b/c_1?sockets=9&level=root", user(secure, LevelRoot), ""},
		"other scheme":      {"ws://u:SECRET@h/n/d", Config{}, "neither surreal://"},
		"no scheme":         {"h/n/d", Config{}, "neither surreal://"},
		"not a URL":         {"surreal://u:SECRET@h:port/n/d", Config{}, "malformed"},
		"bad escape":        {"surreal://u:SECRET%zz@h/n/d", Config{}, "malformed"},
		"no host":           {"surreal:///n/d", Config{}, "no host"},
		"fragment":          {"surreal://u:SECRET@h/n/d#x", Config{}, "a fragment"},
		"no database":       {"surreal://u:SECRET@h/n", Config{}, "namespace and a database"},
		"too much path":     {"surreal://u:SECRET@h/n/d/e", Config{}, "namespace and a database"},
		"odd name":          {"surreal://u:SECRET@h/n/d%3B", Config{}, "namespace and a database"},
		"odd level":         {"surreal://u:SECRET@h/n/d?level=owner", Config{}, "level is"},
		"no sockets":        {"surreal://u:SECRET@h/n/d?sockets=0", Config{}, "sockets is"},
		"too many sockets":  {"surreal://u:SECRET@h/n/d?sockets=65", Config{}, "sockets is"},
		"twice":             {"surreal://u:SECRET@h/n/d?sockets=1&sockets=2", Config{}, "twice"},
		"unknown option":    {"surreal://u:SECRET@h/n/d?pool=4", Config{}, `"pool" is unknown`},
		"broken option":     {"surreal://u:SECRET@h/n/d?%zz", Config{}, "query is malformed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.url)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("got %v, want %q in it", err, test.err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

func TestNoTextShowsThePassword(t *testing.T) {
	s := Secret("hunter2")
	cfg := Config{Address: "h:1", Namespace: "n", Database: "d"}
	cfg.Login = cfg.AsUser(LevelRoot, "u", s)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "login", cfg.Login, "token", Login{params: string(s)})
	shown := fmt.Sprintf("%v %s %+v %#v %q %v %#v %v %+v %#v %s", s, s, s, s, s, cfg, cfg, cfg.Login, cfg.Login, cfg.Login, Login{params: string(s)}) + log.String()
	if strings.Contains(shown, "hunter2") {
		t.Error(shown)
	}
}

// The sentences are those of 3.0.2 and 2.6.0.
func TestErrorsOfBothVersionsAreClassified(t *testing.T) {
	tests := map[string]struct {
		err                       *Error
		conflict, exists, expired bool
		thrown, shown             string
	}{
		"conflict 3": {
			err: &Error{Kind: "Internal", Text: "Query not executed: Transaction conflict: Resource busy: . This transaction can be retried"}, conflict: true,
			shown: "surreal: statement 0: Query not executed: Transaction conflict: Resource busy: . This transaction can be retried",
		},
		"conflict in a session of 3": {
			err: &Error{Text: "Transaction conflict: Write conflict, retry the transaction"}, conflict: true,
			shown: "surreal: statement 0: Transaction conflict: Write conflict, retry the transaction",
		},
		"conflict 2": {
			err:      &Error{Text: "The query was not executed due to a failed transaction. Failed to commit transaction due to a read or write conflict. This transaction can be retried"},
			conflict: true,
			shown:    "surreal: statement 0: The query was not executed due to a failed transaction. Failed to commit transaction due to a read or write conflict. This transaction can be retried",
		},
		"record exists 3": {err: &Error{Kind: "AlreadyExists", Text: "Database record `a:1` already exists"}, exists: true, shown: "surreal: statement 0: Database record … already exists"},
		"record exists 2": {err: &Error{Text: "Database record `a:1` already exists"}, exists: true, shown: "surreal: statement 0: Database record … already exists"},
		"unique index":    {err: &Error{Text: "Database index `u` already contains 'it', with record `a:1`"}, exists: true, shown: "surreal: statement 0: Database index …"},
		"thrown 3":        {err: &Error{Kind: "Thrown", Text: "An error occurred: head moved"}, thrown: "head moved", shown: "surreal: statement 0: An error occurred: head moved"},
		"thrown 2":        {err: &Error{Text: "An error occurred: it already exists"}, thrown: "it already exists", shown: "surreal: statement 0: An error occurred: it already exists"},
		"a value":         {err: &Error{Text: "Couldn't coerce value for field `x` of `a:1`: Expected `int` but found `'it's me'`"}, shown: "surreal: statement 0: Couldn't coerce value for field …"},
		"an open quote":   {err: &Error{Text: "Found 'this secr"}, shown: "surreal: statement 0: Found …"},
		"many lines":      {err: &Error{Text: "Parse error: no\n --> secret", Code: -32000, Statement: -1}, shown: "surreal: Parse error: no (code -32000)"},
		"long":            {err: &Error{Text: strings.Repeat("ä", 200)}, shown: "surreal: statement 0: " + strings.Repeat("ä", 150) + "…"},
		"expired":         {err: &Error{Text: "The session has expired", Statement: -1}, expired: true, shown: "surreal: The session has expired (code 0)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("wrapped: %w", test.err)
			if Conflict(err) != test.conflict || Exists(err) != test.exists || test.err.expired() != test.expired || Unknown(err) {
				t.Errorf("conflict %t, exists %t, expired %t, unknown %t", Conflict(err), Exists(err), test.err.expired(), Unknown(err))
			}
			if text, ok := Thrown(err); text != test.thrown || ok != (test.thrown != "") {
				t.Errorf("thrown: %q, %t", text, ok)
			}
			if got := test.err.Error(); got != test.shown {
				t.Errorf("shown:\n%s\nwant\n%s", got, test.shown)
			}
		})
	}
	other := errors.New("This transaction can be retried")
	if _, ok := Thrown(other); ok || Conflict(other) || Exists(other) || Unknown(other) {
		t.Error("an error that is not of the server was taken for one")
	}
}

func TestVersionsAreParsed(t *testing.T) {
	for text, want := range map[string]string{
		"surrealdb-3.0.2": "3.0.2", "surrealdb-2.6.0": "2.6.0", "surrealdb-2.6.0+20260324.abc": "2.6.0", "3.1.0-beta.1": "3.1.0", "what": "0.0.0",
	} {
		if v := parseVersion(text); v.String() != want || v.Text != text {
			t.Errorf("%q is %v", text, v)
		}
	}
}
