package push

import (
	"bytes"
	"crypto/ecdh"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gotong.dev/gotong"
)

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := b64.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTheVectorOfRFC8291 is Appendix A of the RFC.
func TestTheVectorOfRFC8291(t *testing.T) {
	own, err := ecdh.P256().NewPrivateKey(bytesOf(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := seal([]byte("When I grow up, I want to be a watermelon"),
		bytesOf(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
		bytesOf(t, "BTBZMqHH6r4Tts7J_aSIgg"), own, bytesOf(t, "DGv6ra1nlYgDCS1FRnbzlw"), 0)
	want := bytesOf(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"+
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"+
		"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x %v, want %x", got, err, want)
	}
}

// TestTheVectorOfRFC8188 is section 3.1 of the RFC.
func TestTheVectorOfRFC8188(t *testing.T) {
	got, err := encode([]byte("I am the walrus"), bytesOf(t, "yqdlZ-tYemfogSmv7Ws5PQ"), bytesOf(t, "I1BsxtFttlv3u_Oo94xnmw"), nil, 0)
	want := bytesOf(t, "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x %v, want %x", got, err, want)
	}
}

func TestTextsAreBoundedAndPadded(t *testing.T) {
	key, salt := make([]byte, 16), make([]byte, 16)
	for _, c := range []struct{ text, size int }{{0, 512}, {511, 512}, {512, 1024}, {3583, 3584}} {
		got, err := encode(make([]byte, c.text), key, salt, nil, 512)
		if err != nil || len(got) != 16+4+1+c.size+16 {
			t.Errorf("%d bytes become %d (%v), want %d", c.text, len(got), err, 37+c.size)
		}
	}
	if _, err := encode(make([]byte, 4096), key, salt, nil, 512); err == nil {
		t.Error("a text that does not fit into a record is encoded")
	}
}

func TestTokensAreOfOneOriginAndReused(t *testing.T) {
	keys, err := NewKeys([]byte("a secret of the server"), "mailto:ops@rt05.id")
	if err != nil {
		t.Fatal(err)
	}
	same, err := NewKeys([]byte("a secret of the server"), "mailto:ops@rt05.id")
	if err != nil || same.Public() != keys.Public() || len(bytesOf(t, keys.Public())) != 65 {
		t.Errorf("two nodes have %q and %q (%v)", keys.Public(), same.Public(), err)
	}
	begin := gotong.InstantOf(time.Date(2026, 11, 29, 22, 0, 0, 0, time.UTC))
	header := func(endpoint string, after time.Duration) string {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		h, err := keys.header(u, begin.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		signed, ok := strings.CutSuffix(strings.TrimPrefix(h, "vapid t="), ", k="+keys.Public())
		if !ok {
			t.Fatal(h)
		}
		claims := jwt.MapClaims{}
		_, err = jwt.ParseWithClaims(signed, claims, func(*jwt.Token) (any, error) { return &keys.private.PublicKey, nil },
			jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(begin.Add(after).Time))
		expires, err2 := claims.GetExpirationTime()
		if err != nil || err2 != nil || claims["sub"] != "mailto:ops@rt05.id" || claims["aud"] != u.Scheme+"://"+u.Host ||
			expires.Sub(begin.Add(after).Time()) > 24*time.Hour {
			t.Fatalf("%v %v: %v", err, err2, claims)
		}
		return h
	}
	first := header("https://push.example.org/a", 0)
	if header("https://push.example.org/b", 5*time.Hour) != first {
		t.Error("a second message has a token of its own")
	}
	if header("https://push.example.org/b", 7*time.Hour) == first {
		t.Error("a token is never renewed")
	}
	if header("https://push.example.net:444/a", 0) == first {
		t.Error("two origins share a token")
	}
	if header("https://push.example.org/a", -100*time.Hour); len(keys.tokens) != 2 {
		t.Errorf("%d tokens are kept, want 2", len(keys.tokens))
	}
}
