package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"gotong.dev/gotong"
)

var b64 = base64.RawURLEncoding

// recordSize is the size of the one record of a message: 4,096 bytes are what every
// push service accepts.
const recordSize = 4096

// seal encrypts a text for a browser with these keys (RFC 8291). own is a key made
// for this message alone, and salt has 16 random bytes. The text is padded to a
// multiple of pad bytes, so that its length reveals little.
func seal(text []byte, p256dh, secret []byte, own *ecdh.PrivateKey, salt []byte, pad int) ([]byte, error) {
	theirs, err := ecdh.P256().NewPublicKey(p256dh)
	if err != nil {
		return nil, fmt.Errorf("push: p256dh: %w", err)
	}
	shared, err := own.ECDH(theirs)
	if err != nil {
		return nil, fmt.Errorf("push: key agreement: %w", err)
	}
	public := own.PublicKey().Bytes()
	info := slices.Concat([]byte("WebPush: info\x00"), p256dh, public)
	key, err := hkdf.Key(sha256.New, shared, secret, string(info), 32)
	if err != nil {
		return nil, err
	}
	return encode(text, key, salt, public, pad)
}

// encode encrypts a text in one record of the content coding aes128gcm (RFC 8188).
func encode(text, key, salt, keyID []byte, pad int) ([]byte, error) {
	extracted, err := hkdf.Extract(sha256.New, key, salt)
	if err != nil {
		return nil, err
	}
	contentKey, err1 := hkdf.Expand(sha256.New, extracted, "Content-Encoding: aes128gcm\x00", 16)
	nonce, err2 := hkdf.Expand(sha256.New, extracted, "Content-Encoding: nonce\x00", 12)
	block, err3 := aes.NewCipher(contentKey)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain := append(slices.Clone(text), 2) // the delimiter of the last record
	if pad > 0 {
		plain = append(plain, make([]byte, (pad-len(plain)%pad)%pad)...)
	}
	if len(plain)+gcm.Overhead() > recordSize {
		return nil, errors.New("push: the text is too long")
	}
	out := binary.BigEndian.AppendUint32(slices.Clone(salt), recordSize)
	out = append(append(out, byte(len(keyID))), keyID...) //nolint:gosec // 65 bytes
	return gcm.Seal(out, nonce, plain, nil), nil
}

// Keys is the pair of keys with which a server identifies itself to push services
// (VAPID, RFC 8292). It is safe for concurrent use.
type Keys struct {
	private *ecdsa.PrivateKey
	public  string
	topics  []byte // begins what topics are derived from
	contact string

	mu     sync.Mutex
	tokens map[string]token // by origin of a push service
}

type token struct {
	header string
	renew  gotong.Instant
}

// Tokens are valid for less than the day that is allowed, and used for half of that:
// some push services object to a new one for each message.
const (
	tokenLife  = 12 * time.Hour
	maxOrigins = 1000
)

// NewKeys derives the keys from the server's secret, which all nodes share, so that
// nothing else must be kept. contact is how the operators of push services reach the
// operator of this server: a mailto: or https: URL.
func NewKeys(secret []byte, contact string) (*Keys, error) {
	k := &Keys{contact: contact, tokens: map[string]token{}}
	for try := 0; k.private == nil; try++ { // a number beyond the order of the curve is no key: once in 2^32
		b, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprint("gotong push ", try), 64)
		if err != nil {
			return nil, err
		}
		k.private, _ = ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:32])
		k.topics = b[32:]
	}
	public, err := k.private.PublicKey.Bytes()
	k.public = b64.EncodeToString(public)
	return k, err
}

// Public returns the public key: the applicationServerKey of a browser.
func (k *Keys) Public() string { return k.public }

// header returns the Authorization header for a push service.
func (k *Keys) header(to *url.URL, now gotong.Instant) (string, error) {
	origin := to.Scheme + "://" + to.Host
	k.mu.Lock()
	defer k.mu.Unlock()
	if t, ok := k.tokens[origin]; ok && now < t.renew && t.renew.Sub(now) <= tokenLife/2 {
		return t.header, nil
	}
	claims, err := json.Marshal(map[string]any{"aud": origin, "exp": now.Add(tokenLife).Time().Unix(), "sub": k.contact})
	if err != nil {
		return "", err
	}
	signed := b64.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + b64.EncodeToString(claims)
	sum, signature := sha256.Sum256([]byte(signed)), make([]byte, 64)
	x, y, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", err
	}
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	if len(k.tokens) >= maxOrigins { // endpoints are named by users
		clear(k.tokens)
	}
	t := token{"vapid t=" + signed + "." + b64.EncodeToString(signature) + ", k=" + k.public, now.Add(tokenLife / 2)}
	k.tokens[origin] = t
	return t.header, nil
}
