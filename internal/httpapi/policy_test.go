package httpapi_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gotong.dev/gotong"
	"gotong.dev/gotong/api"
)

// The policies of routes, by what an account gets that has no part in the object of
// the request.
const (
	open    = "open"    // no token is needed
	account = "account" // every account: what it reads or writes is its own, or known to all
	admin   = "admin"   // 403 unless a platform admin
	object  = "object"  // 404: the object is private
)

// policies is the policy of every operation. An operation that is missing here
// fails the test.
var policies = map[string]string{
	"sign-up": open, "sign-in": open, "refresh": open, "reset-password": open, "request-reset": open, "get-reset-offer": open,

	"me": account, "set-name": account, "set-password": account, "set-email": account, "delete-account": account, "list-logins": account, "end-login": account, "logout": account, "my-audit": account, "create-ticket": account, "list-unread": account, "total-unread": account, "read-all": account, "search": account,
	"list-cases": account, "create-case": account, "list-threads": account, "start-direct-thread": account, "create-thread": account,
	"list-groups": account, "create-group": account, "list-my-groups": account, "list-my-group-invitations": account,
	"ask-edge-pod": account, "ask-edge-pod-api": account, "list-edge-pod-contracts": account,

	"erase-content": admin, "appoint-admin": admin, "appoint-owner": admin, "list-ownerless": admin, "find-user": admin,
	"user-audit": admin, "disable-user": admin, "enable-user": admin, "set-user-role": admin,

	"get-case": object, "leave-case": object, "list-case-members": object, "remove-case-member": object, "set-case-member": object,
	"propose-transition": object, "get-transition": object, "get-active-stage": object, "approve-transition": object,
	"dispute": object, "get-gate": object, "object": object, "resolve-dispute": object, "get-timeline": object, "list-votes": object,
	"vote": object, "void-vote": object, "withdraw-transition": object,

	"get-thread": object, "get-thread-timeline": object, "set-history": object, "update-thread": object, "join-thread": object, "leave-thread": object,
	"list-members": object, "add-member": object, "remove-member": object, "unban-member": object, "ban-member": object,
	"mute-member": object, "mute-thread": object, "unmute-thread": object, "set-member-role": object, "list-messages": object, "poll-messages": object, "send-message": object,
	"delete-message": object, "get-message": object, "edit-message": object, "remove-reaction": object, "add-reaction": object,
	"list-replies": object, "list-pins": object, "pin-message": object, "unpin-message": object,
	"get-presence": object, "get-read-cursor": object, "set-read-cursor": object, "list-reviews": object, "review-message": object,

	"upload-attachment": object, "link-attachment": object, "discard-attachment": object, "download-attachment": open,
	"describe-uploads": open, "create-upload": object, "get-upload": object, "append-upload": object,

	"get-group": object, "get-group-timeline": object, "update-group": object, "join-group": object, "leave-group": object,
	"list-group-members": object, "add-group-member": object, "unban-group-member": object, "ban-group-member": object,
	"remove-group-member": object, "set-group-role": object, "list-group-requests": object, "request-to-join-group": object,
	"approve-group-request": object, "reject-group-request": object, "withdraw-group-request": object,
	"list-group-invitations": object, "withdraw-group-invitation": object, "invite-to-group": object,
	"accept-group-invitation": object, "decline-group-invitation": object,

	"review-queue": account, "report-content": object, "get-moderation": object, "open-content": object, "decide-content": object,
	"appeal-decision": object, "end-hold": object,

	"list-webhooks": account, "create-webhook": object, "get-webhook": object, "update-webhook": object, "remove-webhook": object,
	"disable-webhook": object, "enable-webhook": object, "rotate-webhook": object, "replay-webhook": object,
	"skip-webhook-event": object, "take-over-webhook": object, "list-webhook-deliveries": object, "list-webhook-dead-letters": object,
	"add-thread-webhook": object, "add-case-webhook": object,

	"list-notifications": account, "read-notification": object, "read-notifications": account, "count-notifications": account,
	"get-weekly-digest": account, "get-preferences": account, "set-preferences": account,
	"list-blocks": account, "block-user": object, "unblock-user": account,

	"get-push-key": account, "put-push-subscription": account, "list-push-subscriptions": account, "delete-push-subscription": object,
	"set-active": account,

	"get-event-proof": object,
}

// TestEveryRouteHasAPolicy: every published operation has a declared policy, and
// answers by it: without a token, and to an account that has no part in its object.
func TestEveryRouteHasAPolicy(t *testing.T) {
	w := newWorld(t)
	ani, stranger := w.signUp("ani"), w.signUp("stranger")
	th := ani.thread("private")
	message := ani.say(th, "Halo").str("message_id")
	rt := strings.TrimPrefix(ani.group("undangan"), "/v1/groups/")
	affair := ani.post("/v1/cases", map[string]any{
		"scope_id": "rt05", "track": "tuntaskan", "title": "Selokan", "privacy_level": "private",
	}).want(http.StatusCreated).str("case_id")
	step := map[string]any{"entity_id": affair, "from_stage": "keresahan", "to_stage": "bahas"}
	gate := ani.post("/v1/transitions", step).want(http.StatusCreated).str("transition_id")
	hook := map[string]any{"scope_id": rt, "url": "https://hooks.example.org/x"}
	hooked := ani.post("/v1/webhooks", hook).want(http.StatusCreated).str("webhook_id")
	content := strings.TrimPrefix(th, "/v1/chat/threads/") + ":" + message
	file := strings.TrimPrefix(ani.do(http.MethodPost, "/v1/chat/attachments?thread_id="+strings.TrimPrefix(th, "/v1/chat/threads/"), nil,
		header{"Tus-Resumable", "1.0.0"}, header{"Upload-Length", "9"}).want(http.StatusCreated).header.Get("Location"), "/v1/chat/attachments/")
	device := map[string]any{
		"endpoint": "https://push.example.org/ani", "auth": base64.RawURLEncoding.EncodeToString(make([]byte, 16)),
		"p256dh": "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8", // of RFC 8291
	}
	subscribed := ani.do(http.MethodPut, "/v1/push/subscriptions", device).want(http.StatusOK).str("subscription_id")
	device["endpoint"] = "https://push.example.org/stranger"
	who, why, role := map[string]any{"user_id": ani.id}, map[string]any{"reason": "x"}, map[string]any{"role": "admin"}
	bodies := map[string]map[string]any{
		"set-case-member": {"track_roles": []string{"saksi"}}, "propose-transition": step, "dispute": why, "object": why,
		"resolve-dispute": {"confirm": true, "reason": "x"}, "vote": {"choice": "yes"}, "void-vote": why,
		"set-history": {"policy": "all"}, "set-name": {"name": "x"}, "update-thread": {"name": "x"}, "add-member": who, "mute-member": {"until_ms": 0}, "set-member-role": role,
		"send-message": {"body": "x"}, "edit-message": {"body": "x"}, "set-read-cursor": {"message_id": message},
		"update-group": {"name": "x"}, "add-group-member": who, "invite-to-group": who, "set-group-role": role,
		"request-to-join-group": {}, "ban-member": {}, "ban-group-member": {},
		"erase-content": {"stream": "case/" + affair, "seqs": []int{1}, "reason": "x"}, "set-user-role": {"role": "user"},
		"appoint-admin": who, "appoint-owner": who, "review-message": {"decision": "hold"},
		"create-webhook": hook, "update-webhook": {"description": "x"}, "skip-webhook-event": {"stream": "case/" + affair},
		"replay-webhook":        {"dead": true},
		"put-push-subscription": device, "set-active": {"stream": "thread/" + strings.TrimPrefix(th, "/v1/chat/threads/")}, "set-preferences": {},
		"report-content": {"content_id": content, "reason": "spam"}, "appeal-decision": {"reason": "x"},
		"decide-content": {
			"content_id": content, "moderation_status": "rejected", "moderation_action": "block", "reason_code": "spam", "confidence": 1,
		},
	}
	for path, operations := range newSpec(t, api.OpenAPI).paths {
		for method := range operations {
			if w.spec.paths[path][method] == nil {
				t.Errorf("%s %s is published, and missing from the world of this test", method, path)
			}
		}
	}
	// The order matters: the stranger may block ani once the two have a direct thread.
	for _, path := range slices.Sorted(maps.Keys(w.spec.paths)) {
		operations := w.spec.paths[path]
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			op := operations[method]
			id, _ := op.(map[string]any)["operationId"].(string)
			policy, declared := policies[id]
			if !declared {
				t.Errorf("%s %s (%s) has no policy", method, path, id)
				continue
			}
			of := strings.TrimPrefix(th, "/v1/chat/threads/")
			switch {
			case slices.Contains([]string{"get-timeline", "get-active-stage"}, id), strings.HasPrefix(path, "/v1/cases"):
				of = affair
			case strings.HasPrefix(path, "/v1/transitions"):
				of = gate
			case strings.HasPrefix(path, "/v1/webhooks"):
				of = hooked
			case strings.HasPrefix(path, "/v1/chat/attachments"):
				of = file
			case strings.HasPrefix(path, "/v1/push"):
				of = subscribed
			case strings.HasPrefix(path, "/v1/notifications"):
				of = "1-1"
			case strings.Contains(path, "/groups"):
				of = rt
			case strings.Contains(path, "/users"):
				of = ani.id
			}
			at := strings.NewReplacer("{id}", of, "{uid}", ani.id, "{user_id}", ani.id, "{kind}", "thread", "{seq}", "1",
				"{mid}", message, "{rid}", "req-1", "{emoji}", "%F0%9F%91%8D",
				"{wid}", hooked, "{content_id}", content, "{contract}", "x", "{name}", "x").Replace(path)
			switch id {
			case "find-user":
				at += "?user=ani"
			case "create-upload", "upload-attachment":
				at += "?thread_id=" + strings.TrimPrefix(th, "/v1/chat/threads/")
			case "download-attachment":
				at += "?link=x"
			}
			var body any
			if b, ok := bodies[id]; ok {
				body = b
			}
			if a := w.do(strings.ToUpper(method), at, body); (a.code == http.StatusUnauthorized) == (policy == open) {
				t.Errorf("%s %s (%s), which is %s: %d without a token", method, path, id, policy, a.code)
			}
			if id == "logout" || policy == open {
				continue
			}
			headers := []header{{"Authorization", "Bearer " + stranger.token}, ifMatch(`"0"`)}
			switch id {
			case "upload-attachment":
				headers = append(headers, header{"Content-Type", "multipart/form-data; boundary=b"})
				body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n"
			case "create-upload", "get-upload", "append-upload":
				headers = append(headers, header{"Tus-Resumable", "1.0.0"}, header{"Upload-Length", "9"}, header{"Upload-Offset", "0"},
					header{"Content-Type", "application/offset+octet-stream"})
			}
			a := w.send(strings.ToUpper(method), at, body, headers)
			switch {
			case policy == object && (a.code != http.StatusNotFound || a.str("code") != string(gotong.CodeNotFound)),
				policy == admin && a.code != http.StatusForbidden,
				policy == account && (a.code == http.StatusForbidden || a.code == http.StatusUnauthorized):
				t.Errorf("%s %s (%s), which is %s: %d %s", method, path, id, policy, a.code, a.body)
			}
		}
	}
}
