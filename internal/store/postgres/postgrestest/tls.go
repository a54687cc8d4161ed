package postgrestest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// CA is a certificate authority of a test.
type CA struct {
	File string // its certificate

	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{tb: tb}
	ca.File, _ = ca.Issue("an authority of a test")
	return ca
}

// Issue returns the files of a new certificate and of its key. The name is that of a role,
// or the IP address of a server.
func (ca *CA) Issue(name string) (certFile, keyFile string) {
	ca.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.tb.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	if at := net.ParseIP(name); at != nil {
		about.IPAddresses = []net.IP{at}
	}
	if ca.cert == nil {
		about.IsCA, about.BasicConstraintsValid, about.KeyUsage = true, true, x509.KeyUsageCertSign
		ca.cert, ca.key = about, key
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		ca.tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.tb.Fatal(err)
	}
	dir := ca.tb.TempDir()
	file := func(name, kind string, body []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}), 0o600); err != nil {
			ca.tb.Fatal(err)
		}
		return path
	}
	return file("crt", "CERTIFICATE", cert), file("key", "PRIVATE KEY", secret)
}

// Secure lets a server accept connections with TLS too, with a certificate for 127.0.0.1,
// and puts these lines before the one of pg_hba.conf that trusts the owner. It trusts nobody else.
func (s *Server) Secure(ca *CA, rules ...string) {
	s.tb.Helper()
	cert, key := ca.Issue("127.0.0.1")
	texts := map[string]string{"pg_hba.conf": strings.Join(append(rules, "host all "+User+" 127.0.0.1/32 trust"), "\n")}
	for name, path := range map[string]string{"server.crt": cert, "server.key": key, "root.crt": ca.File} {
		text, err := os.ReadFile(path)
		if err != nil {
			s.tb.Fatal(err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts { // the server writes them, because it must own its key
		s.do("COPY (SELECT unnest(string_to_array('" + text + "', E'\\n'))) TO PROGRAM 'umask 077; cat > " + name + "'")
	}
	s.do("ALTER SYSTEM SET ssl = on")
	s.do("ALTER SYSTEM SET ssl_ca_file = 'root.crt'")
	s.do("SELECT pg_reload_conf()")
	if err := answers(strings.Replace(s.URL("postgres"), "disable", "require", 1)); err != nil { // TLS is what it reads last
		s.tb.Fatalf("%v\n%s", err, s.log)
	}
}
