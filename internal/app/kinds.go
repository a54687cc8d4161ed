package app

import (
	"fmt"
	"slices"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/group"
	reporting "gotong.dev/gotong/internal/community/report"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/upload"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/accounts"
	caseapi "gotong.dev/gotong/internal/httpapi/cases"
	"gotong.dev/gotong/internal/httpapi/chat"
	"gotong.dev/gotong/internal/httpapi/groups"
	"gotong.dev/gotong/internal/httpapi/members"
	"gotong.dev/gotong/internal/httpapi/moderation"
	"gotong.dev/gotong/internal/regular"
)

// kind is one row of the table: the rules, the routes, and the stream that a
// command creates, if clients may send commands of the kind over a WebSocket.
type kind struct {
	rules   gotong.Kind
	routes  func(*App) func(*httpapi.API)
	creates func(actor, requestID string) gotong.Stream
	led     *members.Led // nil if its streams have no leaders
}

// kinds returns every kind of stream that this server keeps.
func kinds(accounts gotong.Accounts, tracks *cases.Tracks) []kind {
	rows := []kind{
		{rules: user.Kind(), routes: accountRoutes},
		{rules: audit.KeysKind()},
		{rules: group.KindFor(accounts), routes: groupRoutes, creates: group.StreamOf, led: &groups.Led},
	}
	affairs := cases.Rules{Accounts: accounts, Lenders: gotong.LendersOf(rulesOf(rows)), Tracks: tracks}
	rows = append(rows, kind{rules: affairs.Kind(), routes: caseRoutes(affairs), creates: cases.StreamOf})
	// Threads borrow the members of every kind above that lends them.
	threads := thread.Rules{Accounts: accounts, Lenders: gotong.LendersOf(rulesOf(rows)), Claim: user.NameClaim}
	rows = append(rows,
		kind{rules: threads.Kind(), routes: chatRoutes(threads), creates: thread.StreamOf, led: &chat.Led},
		kind{rules: reporting.Kind(), routes: moderationRoutes(threads)},
		kind{rules: upload.Rules{Threads: threads}.Kind(), routes: fileRoutes(threads)})
	hooks := webhook.Rules{Accounts: accounts, Lenders: gotong.LendersOf(rulesOf(rows))}
	rows = append(rows, kind{rules: hooks.Kind(), routes: webhookRoutes})
	for i := range rows {
		rows[i].rules = gotong.WithWebhooks(rows[i].rules, accounts)
	}
	return rows
}

// accountsOf returns OwnAccounts, or AnyIssuer if tokens of other issuers are
// accepted: then a user id may have no account here.
func accountsOf(cfg *config.Config) gotong.Accounts {
	if len(cfg.JWTKeys) > 0 {
		return gotong.AnyIssuer
	}
	return gotong.OwnAccounts
}

// tracksOf returns the tracks of cases, with those of the operator's files.
func tracksOf(cfg *config.Config) (*cases.Tracks, error) {
	files := map[string][]byte{}
	for _, name := range cfg.Tracks {
		body, err := regular.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("the tracks cannot be read: %w", err)
		}
		files[name] = body
	}
	return cases.Load(files)
}

// Kinds returns the rules of every kind, for reading a log. The issuers of
// accounts and the tracks of an operator matter to commands only, so they need
// no configuration.
func Kinds() []gotong.Kind { return rulesOf(kinds(gotong.AnyIssuer, cases.BuiltIn())) }

// rulesOf returns the rules of the rows. It panics if a kind lacks a function,
// so that the program fails at start.
func rulesOf(kinds []kind) []gotong.Kind {
	list := make([]gotong.Kind, len(kinds))
	for i, k := range kinds {
		if err := k.rules.Check(); err != nil {
			panic(err)
		}
		list[i] = k.rules
	}
	return list
}

func accountRoutes(a *App) func(*httpapi.API) {
	whose := accountsOf(&a.cfg)
	var led []members.Led
	for _, k := range slices.Backward(a.kinds) { // threads first
		if k.led != nil {
			led = append(led, *k.led)
		}
	}
	return accounts.Routes(accounts.Options{
		Door: a.auth, Engine: a.engine, Delivery: a.hub, Names: a.auth.Names, Users: a.auth.Usernames, Store: a.store,
		Codec: a.codec, Led: led, Accounts: whose, Mail: a.mailed(),
	})
}

func groupRoutes(a *App) func(*httpapi.API) {
	return groups.Routes(groups.Options{Options: a.membersOptions(), Now: a.now})
}

func (a *App) membersOptions() members.Options {
	return members.Options{
		Engine: a.engine, Delivery: a.hub, Names: a.auth.Names, Users: a.auth.Usernames, Store: a.store, Codec: a.codec, Views: a.views,
	}
}

func caseRoutes(rules cases.Rules) func(*App) func(*httpapi.API) {
	return func(a *App) func(*httpapi.API) {
		return caseapi.Routes(caseapi.Options{Options: a.membersOptions(), Rules: rules})
	}
}

func moderationRoutes(rules thread.Rules) func(*App) func(*httpapi.API) {
	return func(a *App) func(*httpapi.API) {
		return moderation.Routes(moderation.Options{Options: a.membersOptions(), Rules: rules, Links: a.fileOptions(rules).Opened})
	}
}

func chatRoutes(rules thread.Rules) func(*App) func(*httpapi.API) {
	return func(a *App) func(*httpapi.API) { return chat.Routes(a.chatOptions(rules)) }
}

func (a *App) chatOptions(rules thread.Rules) chat.Options {
	return chat.Options{
		Options: a.membersOptions(), Signals: whispers{a.hub.Signals(), a}, Marks: a.store, Now: a.now, Rules: rules, Texts: a.store,
	}
}
