// Package pushtest is the receiving end of Web Push, for tests.
package pushtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
)

// Open decrypts the body of a push as RFC 8291 has the receiver do it, with the private
// key and the secret of the subscription.
func Open(key *ecdh.PrivateKey, secret, body []byte) ([]byte, error) {
	salt, idlen := body[:16], int(body[20])
	public, sealed := body[21:21+idlen], body[21+idlen:]
	theirs, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	shared, err := key.ECDH(theirs)
	if err != nil {
		return nil, err
	}
	info := slices.Concat([]byte("WebPush: info\x00"), key.PublicKey().Bytes(), public)
	common, err := hkdf.Key(sha256.New, shared, secret, string(info), 32)
	if err != nil {
		return nil, err
	}
	content, err := hkdf.Key(sha256.New, common, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, common, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(content)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nonce, sealed, nil)
	return bytes.TrimSuffix(bytes.TrimRight(plain, "\x00"), []byte{2}), err
}
