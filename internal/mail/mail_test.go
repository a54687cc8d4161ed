package mail

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gotong.dev/gotong/internal/clock"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/mail/mailtest"
	"gotong.dev/gotong/internal/trouble"
)

const link = "https://rt05.example/#reset=p1.1790000000000.0123456789abcdef0123456789abcdef.0192f000-0000-7000-8000-000000000000.abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"

// bench is a mailer at work, and what it counted and logged.
type bench struct {
	*Mailer
	outcomes chan string
	log      *logtest.Lines
}

// work runs a mailer that writes to the address it is asked for.
func work(t *testing.T, server string, to *mailtest.Server) *bench {
	t.Helper()
	b := &bench{outcomes: make(chan string, 16), log: &logtest.Lines{}}
	m, err := New(Options{
		Server: server, From: "Gotong <no-reply@rt05.example>", Trouble: &trouble.State{
			Log: slog.New(slog.NewJSONHandler(b.log, nil)), Clock: clock.System(),
			Level: slog.LevelWarn, Begins: "mail cannot be sent", Ends: "mail is sent again",
		},
		Count: func(outcome string) { b.outcomes <- outcome },
		Letter: func(_ context.Context, asked string) (Letter, error) {
			if asked == "nobody@example.org" {
				return Letter{}, nil
			}
			return Reset(asked, link), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Mailer, m.trusts, m.pauses = m, to.Trust, []time.Duration{0, 0}
	m.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", to.Addr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) want(t *testing.T, outcome string) {
	t.Helper()
	if got := <-b.outcomes; got != outcome {
		t.Fatalf("%s, not %s; log:\n%s", got, outcome, b.log)
	}
}

// TestALetterArrives as it was written, in a message that names neither this machine nor
// the program.
func TestALetterArrives(t *testing.T) {
	s := mailtest.Start(t, mailtest.Options{TLS: true, Login: true})
	b := work(t, "smtps://gotong:s%2Furat%3A%40@"+mailtest.Host, s)
	b.Ask("nobody@example.org")
	b.Ask("siti@example.org")
	b.want(t, "sent")
	m := <-s.Mail
	h := m.Message.Header
	if m.From != "no-reply@rt05.example" || m.To != "siti@example.org" || h.Get("To") != "<siti@example.org>" || h.Get("From") != `"Gotong" <no-reply@rt05.example>` {
		t.Error(m.From, m.To, h)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if want := Reset("", link); err != nil || subject != want.Subject || strings.TrimSuffix(m.Text(t), "\n") != strings.TrimSuffix(want.Text, "\n") {
		t.Error(subject, m.Text(t), err)
	}
	if strings.Count(Reset("", link).Text, link+"\n") != 2 {
		t.Error("the link is not on a line of its own in both languages")
	}
	if !strings.HasSuffix(h.Get("Message-ID"), "@rt05.example>") || h.Get("Auto-Submitted") != "auto-generated" || h.Get("User-Agent")+h.Get("X-Mailer") != "" {
		t.Error(h)
	}
	if len(s.Mail) > 0 || b.log.String() != "" {
		t.Error(len(s.Mail), b.log)
	}
}

// TestOnlyThisMachineIsSpokenToWithoutTLS: a server elsewhere must offer STARTTLS, with a
// certificate that is trusted.
func TestOnlyThisMachineIsSpokenToWithoutTLS(t *testing.T) {
	plain, starting := mailtest.Options{}, mailtest.Options{StartTLS: true, Login: true}
	for name, tc := range map[string]struct {
		url     string
		options mailtest.Options
		outcome string
	}{
		"here, without":            {"smtp://127.0.0.1:25", plain, "sent"},
		"here, by name":            {"smtp://localhost", plain, "sent"},
		"here, with":               {"smtp://[::1]:587", mailtest.Options{StartTLS: true}, "sent"},
		"elsewhere, without":       {"smtp://" + mailtest.Host, plain, "failed"},
		"elsewhere, with":          {"smtp://gotong:s%2Furat%3A%40@" + mailtest.Host + ":587", starting, "sent"},
		"elsewhere, wrong name":    {"smtp://gotong:s%2Furat%3A%40@smtp.example.org", starting, "failed"},
		"elsewhere, wrong secret":  {"smtp://gotong:x@" + mailtest.Host, starting, "failed"},
		"elsewhere, without login": {"smtp://" + mailtest.Host, starting, "failed"},
		"TLS, wrong name":          {"smtps://127.0.0.1", mailtest.Options{TLS: true}, "failed"},
		"TLS, but the server not":  {"smtps://" + mailtest.Host, plain, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t, tc.options)
			b := work(t, tc.url, s)
			if err := b.Probe(t.Context()); (err == nil) != (tc.outcome == "sent") && tc.options.Login == strings.Contains(tc.url, "@") {
				t.Errorf("probed: %v", err)
			}
			b.Ask("siti@example.org")
			b.want(t, tc.outcome)
			if n := len(s.Mail); n != map[string]int{"sent": 1, "failed": 0}[tc.outcome] {
				t.Errorf("%d letters arrived", n)
			}
			for _, secret := range []string{"siti", "urat", "p1."} {
				if strings.Contains(b.log.String(), secret) {
					t.Errorf("the log has %s: %s", secret, b.log)
				}
			}
			if n := b.log.Count("mail cannot be sent"); n != map[string]int{"sent": 0, "failed": 1}[tc.outcome] {
				t.Errorf("logged %d times:\n%s", n, b.log)
			}
		})
	}
}

// TestAttempts: what a server puts off is sent again, what it rejects is not; its answer
// is logged without the address.
func TestAttempts(t *testing.T) {
	later := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 0}, Message: "siti@example.org is busy"}
	never := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<siti@example.org> is unknown"}
	for name, tc := range map[string]struct {
		answers []error
		outcome string
	}{
		"put off twice":   {[]error{later, later, nil}, "sent"},
		"put off forever": {[]error{later, later, later}, "failed"},
		"rejected":        {[]error{never}, "failed"},
		"then rejected":   {[]error{later, never}, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			var answered atomic.Int32
			s := mailtest.Start(t, mailtest.Options{Answer: func(string) error {
				n := int(answered.Add(1))
				if n > len(tc.answers) {
					return errors.New("one attempt too many")
				}
				return tc.answers[n-1]
			}})
			b := work(t, "smtp://127.0.0.1", s)
			b.Ask("siti@example.org")
			b.want(t, tc.outcome)
			if n := int(answered.Load()); n != len(tc.answers) {
				t.Errorf("%d attempts", n)
			}
			if b.log.Count("mail cannot be sent") != 1 || strings.Contains(b.log.String(), "siti") || !strings.Contains(b.log.String(), "[address]") {
				t.Error(b.log)
			}
			again := map[string]int{"sent": 1, "failed": 0}[tc.outcome]
			if b.log.Count("mail is sent again") != again || b.log.Count("took_ms") != again {
				t.Error(b.log)
			}
		})
	}
}

// TestNoAddressBecomesAHeader: what is more than an address is not sent to, and the server
// hears nothing of it.
func TestNoAddressBecomesAHeader(t *testing.T) {
	s := mailtest.Start(t, mailtest.Options{})
	for _, to := range []string{
		"siti@example.org\r\nBcc: joko@example.org", "siti@example.org\nX: y", "siti@example.org, joko@example.org",
		"Siti <siti@example.org>", "siti@example.org>\r\nRCPT TO:<joko@example.org", "\"a\r\nb\"@example.org", "<siti@example.org>", " siti@example.org",
	} {
		b := work(t, "smtp://127.0.0.1", s)
		b.dial = func(context.Context, string, string) (net.Conn, error) {
			t.Errorf("%q is sent to", to)
			return nil, errors.New("no")
		}
		b.Ask(to)
		b.want(t, "failed")
	}
	for _, from := range []string{"", "Gotong", "a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org"} {
		if _, err := New(Options{Server: "smtp://127.0.0.1", From: from}); err == nil {
			t.Errorf("%q may send", from)
		}
	}
}

// TestAFullQueueDropsAndCounts: nobody waits for a mail server.
func TestAFullQueueDropsAndCounts(t *testing.T) {
	dropped := 0
	m, err := New(Options{Server: "smtp://127.0.0.1", From: "a@example.org", Count: func(string) { dropped++ }})
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting + 2 {
		m.Ask("siti@example.org")
	}
	if dropped != 2 || len(m.waiting) != maxWaiting {
		t.Error(dropped, len(m.waiting))
	}
}
