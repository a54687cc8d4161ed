package client

import (
	"context"
	"net/http"
	"net/url"
)

// NewPushSubscription describes where a device gets Web Push messages; the keys are in
// base64url.
type NewPushSubscription struct {
	Endpoint string `json:"endpoint"`
	P256dh   string `json:"p256dh"`
	Auth     string `json:"auth"`
	Withdraw bool   `json:"withdraw,omitempty"` // also send the count 0
}

// PushSubscription is where a device gets Web Push messages.
type PushSubscription struct {
	ID          string `json:"subscription_id"`
	Endpoint    string `json:"endpoint"`
	Withdraw    bool   `json:"withdraw"`
	ExpiresAtMS int64  `json:"expires_at_ms"`
}

// PushKey returns the public key with which the server sends Web Push messages, in
// base64url. Where push is off, the error has the status 404.
func (c *Client) PushKey(ctx context.Context) (string, error) {
	out, err := read[struct {
		Key string `json:"public_key"`
	}](ctx, c, "/v1/push/key", nil)
	return out.Key, err
}

// Subscribe keeps a subscription until the login of the Client's token ends.
func (c *Client) Subscribe(ctx context.Context, in NewPushSubscription, opts ...CallOption) (PushSubscription, error) {
	return write[PushSubscription](ctx, c, http.MethodPut, "/v1/push/subscriptions", in, opts)
}

// Subscriptions returns the subscriptions of the login, oldest first.
func (c *Client) Subscriptions(ctx context.Context) ([]PushSubscription, error) {
	return read[[]PushSubscription](ctx, c, "/v1/push/subscriptions", nil)
}

// Unsubscribe ends a subscription of the login.
func (c *Client) Unsubscribe(ctx context.Context, id string, opts ...CallOption) error {
	return c.do(ctx, op{method: http.MethodDelete, path: "/v1/push/subscriptions/" + url.PathEscape(id), opts: opts}, nil)
}
