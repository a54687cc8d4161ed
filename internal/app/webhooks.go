package app

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/community/user"
	"gotong.dev/gotong/internal/httpapi"
	"gotong.dev/gotong/internal/httpapi/webhooks"
	"gotong.dev/gotong/internal/outbound"
	"gotong.dev/gotong/internal/reader"
	hooks "gotong.dev/gotong/internal/webhook"
)

// HookWaits are the waits between the attempts of a webhook, and the timeout of one;
// the zero HookWaits stands for those of the contract.
type HookWaits struct {
	Waits   []time.Duration
	Timeout time.Duration
}

// guard returns the address guard of what the server sends out.
func (a *App) guard() *outbound.Guard {
	allowed, err := a.cfg.Outbound()
	if err != nil { // cannot be: the configuration was checked
		allowed = nil
	}
	opt := outbound.Options{Allowed: allowed}
	for _, addr := range []string{a.cfg.Addr, a.cfg.AdminAddr} {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
				opt.OwnPorts = append(opt.OwnPorts, uint16(n))
			}
		}
	}
	return outbound.New(opt)
}

func (a *App) sender() *hooks.Sender {
	m := a.metrics.Webhooks
	return hooks.New(hooks.Options{
		Store: a.store, Codec: a.codec, Views: a.views, Engine: a.engine, Clock: a.clock, Guard: a.guard(), Accounts: accountsOf(&a.cfg),
		Names:    func(ctx context.Context, ids []string) map[string]string { return a.auth.Names(ctx, ids) },
		Log:      a.log,
		Observer: hooks.Observer{Attempted: m.Attempted, Warned: m.Warned, Disabled: m.Disabled},
		Waits:    a.hookWaits.Waits, Timeout: a.hookWaits.Timeout,
		Warn: a.warnOwner,
	})
}

// warnOwner writes a warning to the stream of a webhook's registrant.
func (a *App) warnOwner(ctx context.Context, userID, id string, since, disabledAt gotong.Instant) error {
	data := user.WarnOfWebhook{WebhookID: id, Since: since, DisabledAt: disabledAt}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	request := reader.RequestID("webhook", id, string(raw), a.clock.Now().String())
	_, err = a.engine.Execute(ctx, gotong.Command{
		Stream: gotong.NewStream(user.Name, userID), Type: user.CmdWarnOfWebhook, Actor: reader.System(), RequestID: request,
		CorrelationID: request, Data: data, Raw: raw,
	})
	return err
}

func webhookRoutes(a *App) func(*httpapi.API) {
	return webhooks.Routes(webhooks.Options{
		Options: a.membersOptions(), Registers: a.store, Guard: a.guard(), Now: a.now,
		Admits: map[string]string{thread.Name: "/v1/chat/threads", cases.Name: "/v1/cases"},
	})
}
