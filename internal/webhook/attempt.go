package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	hooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/webhook"
	"gotong.dev/gotong/internal/outbound"
)

// message is what is sent: an id that never changes, and a body.
type message struct {
	id     string
	stream gotong.Stream
	seq    uint64
	replay string
	body   []byte
	header http.Header // beside those of the profile
}

// outcome is the result of an attempt.
type outcome int

const (
	accepted outcome = iota
	rejected         // this event
	failed           // the receiver as a whole
	gone
	stopped // the node ends
)

// answer is the result of one attempt.
type answer struct {
	outcome
	status int
	err    error
	after  time.Duration // of Retry-After
}

// maxAnswer is how much of a response is read, so that its connection can be used
// again.
const maxAnswer = 4 << 10

// attempt sends a message once.
func (s *Sender) attempt(ctx context.Context, cfg Config, profile webhook.Profile, m *message) answer {
	request, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	u, err := s.opt.Guard.URL(cfg.URL)
	if err != nil {
		return answer{outcome: failed, err: err}
	}
	r, err := http.NewRequestWithContext(request, http.MethodPost, u.String(), bytes.NewReader(m.body))
	if err == nil {
		r.Header = m.header.Clone()
		err = sign(r.Header, cfg, profile, m, s.opt.Clock.Now())
	}
	if err != nil {
		return answer{outcome: failed, err: err}
	}
	resp, err := s.client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return answer{outcome: stopped, err: err}
		}
		return answer{outcome: failed, err: err}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	_ = resp.Body.Close()
	return answer{
		outcome: outcomeOf(resp.StatusCode), status: resp.StatusCode,
		after: outbound.RetryAfter(resp.Header, s.opt.Clock.Now().Time()),
	}
}

// reason returns why there was no response, for the owner of the webhook: nothing of
// the URL, and nothing of the network of this server.
func reason(err error) string {
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, outbound.ErrRefused):
		return "the address is not allowed"
	case errors.As(err, &certificate):
		return "the certificate is not valid"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no response in time"
	default:
		return "the connection failed"
	}
}

// outcomeOf: a status of 4xx is about the event, unless it is about time. Redirects
// are not followed, so they are failures of the receiver.
func outcomeOf(status int) outcome {
	switch {
	case status >= 200 && status < 300:
		return accepted
	case status == http.StatusGone:
		return gone
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return failed
	case status >= 400 && status < 500:
		return rejected
	default:
		return failed
	}
}

// sign sets the headers of a profile. With several secrets, each signs.
func sign(h http.Header, cfg Config, profile webhook.Profile, m *message, now gotong.Instant) error {
	if len(cfg.Secrets) == 0 {
		return errors.New("the webhook has no secret")
	}
	seconds := now.Time().Unix()
	if profile == webhook.Markov {
		mac := hmac.New(sha256.New, []byte(cfg.Secrets[0].Key))
		_, _ = mac.Write(m.body)
		h.Set("X-GR-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		h.Set("X-GR-Timestamp", strconv.FormatInt(seconds, 10))
		h.Set("X-GR-Event-ID", m.id)
		return nil
	}
	var list []string
	for _, secret := range cfg.Secrets {
		if secret.Until > 0 && secret.Until <= now {
			continue
		}
		hook, err := hooks.NewWebhook(secret.Key)
		if err != nil {
			return errors.New("a secret is malformed")
		}
		signature, err := hook.Sign(m.id, time.Unix(seconds, 0), m.body)
		if err != nil {
			return err
		}
		list = append(list, signature)
	}
	h.Set(hooks.HeaderWebhookID, m.id)
	h.Set(hooks.HeaderWebhookTimestamp, strconv.FormatInt(seconds, 10))
	h.Set(hooks.HeaderWebhookSignature, strings.Join(list, " "))
	return nil
}
