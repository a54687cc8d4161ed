package app

import (
	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/group"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/accounts"
	"gotong.dev/gotong/internal/httpapi/chat"
	"gotong.dev/gotong/internal/httpapi/groups"
)

// kind is one row of the table: the rules, the routes, and, where clients may
// send its commands over a WebSocket, the stream that a creating one makes.
type kind struct {
	rules   gotong.Kind
	routes  func(*App) func(*httpapi.API)
	creates func(actor, requestID string) gotong.Stream
}

// kinds is every sort of stream that this server keeps.
func kinds() []kind {
	return []kind{
		{rules: user.Kind(), routes: accountRoutes},
		{rules: group.Kind(), routes: groupRoutes, creates: group.StreamOf},
		{rules: thread.Kind(), routes: chatRoutes, creates: thread.StreamOf},
	}
}

// Kinds is the rules of every sort of stream.
func Kinds() []gotong.Kind {
	var list []gotong.Kind
	for _, k := range kinds() {
		list = append(list, k.rules)
	}
	return list
}

func accountRoutes(a *App) func(*httpapi.API) {
	return accounts.Routes(accounts.Options{Door: a.auth, Engine: a.engine, Hub: a.hub, Store: a.store, Codec: a.codec})
}

func groupRoutes(a *App) func(*httpapi.API) {
	return groups.Routes(groups.Options{Engine: a.engine, Hub: a.hub, Store: a.store, Codec: a.codec})
}

func chatRoutes(a *App) func(*httpapi.API) {
	return chat.Routes(chat.Options{Engine: a.engine, Hub: a.hub, Store: a.store, Codec: a.codec, Now: a.now})
}
