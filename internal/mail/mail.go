// Package mail sends letters over SMTP: few, short, in plain text, each to one person.
//
// A [Mailer] puts what it is asked for into a bounded queue and works on one request
// after another, so that the time of an answer does not show whether a letter follows.
//
// # Caveats
//
// The queue is in memory: what waits when the process ends is lost, and the person who
// waits for it asks again. Addresses are never logged, not even in the texts of errors.
package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"gotong.dev/gotong/internal/trouble"
)

const (
	maxWaiting = 256
	patience   = 30 * time.Second // for one attempt
)

// Letter is a text for one person.
type Letter struct {
	To      string // an address without a name
	Subject string
	Text    string
}

// Options configure a [Mailer]. All are required.
type Options struct {
	Server string // smtp://[USER:PASSWORD@]HOST[:587], or smtps: for TLS from the first byte
	From   string // an address, with a name if you like

	// Letter returns the letter for a request; a zero one if there is nothing to send.
	Letter func(ctx context.Context, asked string) (Letter, error)
	Count  func(outcome string) // sent, failed, dropped

	Trouble *trouble.State // that no mail can be sent
}

// Mailer sends letters. It is safe for concurrent use.
type Mailer struct {
	opts    Options
	server  *url.URL
	from    *mail.Address
	trusts  *x509.CertPool // nil: what the system trusts
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	pauses  []time.Duration
	waiting chan string
}

// New returns a mailer that has not connected yet. The error is about the options.
func New(o Options) (*Mailer, error) {
	u, err := url.Parse(o.Server)
	if err != nil {
		return nil, errors.New("mail: the address of the server is malformed")
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, errors.New("mail: the address of the sender is malformed")
	}
	return &Mailer{
		opts: o, server: u, from: from, waiting: make(chan string, maxWaiting),
		dial: (&net.Dialer{}).DialContext, pauses: []time.Duration{5 * time.Second, 30 * time.Second},
	}, nil
}

// Ask puts a request into the queue. If the queue is full, it drops the request.
func (m *Mailer) Ask(what string) {
	select {
	case m.waiting <- what:
	default:
		m.opts.Count("dropped")
	}
}

// Run works on the queue until ctx ends.
func (m *Mailer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case asked := <-m.waiting:
			m.serve(ctx, asked)
		}
	}
}

// serve makes at most one attempt more than there are pauses.
func (m *Mailer) serve(ctx context.Context, asked string) {
	for i := 0; ; i++ {
		sent, err := m.attempt(ctx, asked)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.opts.Trouble.Met(ctx, "server", m.server.Host, "cause", withoutAddresses(err))
		} else if sent {
			m.opts.Trouble.Over(ctx)
		}
		var answer *gomail.SendError
		rejected := errors.Is(err, errAddress) || errors.As(err, &answer) && answer.ErrorCode() >= 500
		switch {
		case err == nil && sent:
			m.opts.Count("sent")
			return
		case err == nil:
			return
		case rejected || i == len(m.pauses):
			m.opts.Count("failed")
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(m.pauses[i]):
		}
	}
}

// Probe connects to the server and signs in. It sends nothing.
func (m *Mailer) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := m.client(ctx)
	if err == nil {
		err = client.DialWithContext(ctx)
	}
	if err == nil {
		err = client.Close()
	}
	return err
}

var address = regexp.MustCompile(`\S*@\S*`)

// withoutAddresses returns the text of an error without e-mail addresses, which servers
// repeat in their answers.
func withoutAddresses(err error) string { return address.ReplaceAllString(err.Error(), "[address]") }

func (m *Mailer) attempt(ctx context.Context, asked string) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l, err := m.opts.Letter(ctx, asked)
	if err != nil || l.To == "" {
		return false, err
	}
	message, err := m.compose(l)
	if err != nil {
		return false, err
	}
	client, err := m.client(ctx)
	if err != nil {
		return false, err
	}
	if err := client.DialAndSendWithContext(ctx, message); !message.IsDelivered() {
		return false, err
	}
	return true, nil
}

var errAddress = errors.New("the address of an account is not one to which mail can be sent")

// compose returns the message of a letter. The error is [errAddress] if its address is not
// a bare one: with a name, a list or a line break, it could become another header.
func (m *Mailer) compose(l Letter) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(l.To)
	if err != nil || to.Address != l.To {
		return nil, errAddress
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(m.from)
	message.ToMailAddress(to)
	message.Subject(l.Subject)
	message.SetMessageIDWithValue(strings.ToLower(rand.Text()) + "@" + m.domain()) // not with the name of this machine
	message.SetGenHeader("Auto-Submitted", "auto-generated")                       // RFC 3834: no absence note answers it
	message.SetBodyString(gomail.TypeTextPlain, l.Text)
	return message, nil
}

func (m *Mailer) domain() string {
	return m.from.Address[strings.LastIndexByte(m.from.Address, '@')+1:]
}

// client returns a client for one letter, whose connection ends with ctx. Without TLS, it
// speaks to this machine alone.
func (m *Mailer) client(ctx context.Context) (*gomail.Client, error) {
	host, policy := m.server.Hostname(), gomail.TLSMandatory
	port, implicit := 587, m.server.Scheme == "smtps"
	if ip, err := netip.ParseAddr(host); implicit || host == "localhost" || err == nil && ip.IsLoopback() {
		policy = gomail.NoTLS
	}
	if implicit {
		port = 465
	}
	if given := m.server.Port(); given != "" {
		port, _ = strconv.Atoi(given) // url.Parse accepts digits alone
	}
	trusts := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: m.trusts}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(trusts), gomail.WithHELO(m.domain()),
		gomail.WithoutNoop(), gomail.WithDialContextFunc(func(within context.Context, network, addr string) (net.Conn, error) {
			conn, err := m.dial(within, network, addr)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			if !implicit {
				return conn, nil
			}
			secure := tls.Client(conn, trusts)
			err = secure.HandshakeContext(within)
			return secure, err
		}),
	}
	if user := m.server.User; user != nil {
		pass, _ := user.Password()
		options = append(options, gomail.WithUsername(user.Username()), gomail.WithPassword(pass),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("the mail server cannot be used: %w", err)
	}
	return client, nil
}
