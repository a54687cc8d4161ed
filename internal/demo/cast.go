package demo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// name is a neighbour's user name, which others see.
type name string

// The neighbours.
const (
	joko  name = "Pak.Joko" // ketua RT
	endah name = "Bu.Endah" // treasurer
	wati  name = "Bu.Wati"  // the kitchen
	rudi  name = "Rudi"     // the young people
	sari  name = "Sari"     // nurse
	guest name = "Tamu"     // the user who watches the demo
)

// cast is all neighbours and the guest, the founder first.
var cast = []name{joko, endah, wati, rudi, sari, guest}

const host = wati

func (n name) email() string { return strings.ToLower(string(n)) + "@rt05.example" }

// Scope is the scope of the neighbourhood's public thread.
const Scope = "rt05"

type secret string

// derive returns 130 bits as 26 characters that fit into a request id.
func (s secret) derive(what string) string {
	mac := hmac.New(sha256.New, []byte(s))
	_, _ = mac.Write([]byte("gotong demo v1 " + what))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))[:26]
}

// request returns the request id of one thing that is seeded.
func (s secret) request(what string) string { return "demo:" + s.derive("request "+what) }

// password returns the password of all neighbours; they share one, so that it
// can be shown once.
func (s secret) password() string { return s.derive("password")[:16] }

// Host is the user name of the neighbour who answers guests.
const Host = string(host)

// Emails returns the addresses of the neighbours, the founder first.
func Emails() []string {
	var list []string
	for _, who := range cast {
		if who != guest {
			list = append(list, who.email())
		}
	}
	return list
}
