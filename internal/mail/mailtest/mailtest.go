// Package mailtest runs a real SMTP server that keeps the mail that it gets.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Host is the name in the server's certificate.
const Host = "mail.example.org"

// User and Pass are what the server accepts, if it wants a login.
const (
	User = "gotong"
	Pass = "s/urat:@"
)

// Options configure a server.
type Options struct {
	TLS      bool // from the first byte
	StartTLS bool
	Login    bool // only over TLS

	// Answer, if not nil, returns the error for a recipient.
	Answer func(to string) error
}

// Server is a running SMTP server.
type Server struct {
	Addr  string         // where it listens
	Trust *x509.CertPool // what a client must trust
	Mail  chan *Mail     // what arrived; it has room for 16
	opts  Options
}

// Mail is what arrived.
type Mail struct {
	From, To string // of the envelope
	Message  *mail.Message
}

// Text returns the text of the mail, with line breaks as \n.
func (m *Mail) Text(tb testing.TB) string {
	tb.Helper()
	b, err := io.ReadAll(quotedprintable.NewReader(m.Message.Body))
	if err != nil || m.Message.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
		tb.Fatal(m.Message.Header, err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// Start runs a server until the test ends.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{Mail: make(chan *Mail, 16), opts: o}
	cert := s.certify(tb)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Addr = l.Addr().String()
	server := smtp.NewServer(s)
	server.Domain = Host
	server.ErrorLog = quiet{}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.StartTLS {
		server.TLSConfig = conf
	}
	if o.TLS {
		l = tls.NewListener(l, conf)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	tb.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			tb.Error(err)
		}
	})
	return s
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *Server) certify(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{Host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	s.Trust = x509.NewCertPool()
	s.Trust.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// NewSession implements [smtp.Backend].
func (s *Server) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &session{server: s, in: !s.opts.Login}, nil
}

type session struct {
	server   *Server
	in       bool
	from, to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if s.in = user == User && pass == Pass; !s.in {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	if s.server.opts.Answer == nil {
		return nil
	}
	return s.server.opts.Answer(to)
}

func (s *session) Data(r io.Reader) error {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(message.Body)
	if err != nil {
		return err
	}
	message.Body = bytes.NewReader(body)
	s.server.Mail <- &Mail{s.from, s.to, message}
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
