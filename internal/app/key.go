package app

import (
	"errors"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

// ErrSigningKey says that nodes that share a store must be given one key.
var ErrSigningKey = errors.New(
	"signing-key: a store that several nodes share needs the same one on each; make it once with: gotong admin key")

// signingKey is the key of the configuration, or the one in the data directory,
// which is made on first start. Nodes on one database would each make their
// own and refuse each other's tokens, so there it must be configured.
func signingKey(cfg *config.Config) (secret []byte, made string, err error) {
	secret, err = cfg.SigningSecret()
	switch {
	case err != nil || secret != nil:
		return secret, "", err
	case needsSigningKey(cfg):
		return nil, "", ErrSigningKey
	}
	secret, path, isNew, err := auth.SigningKey(cfg.Data)
	if isNew {
		made = "The signing key " + path + "; anybody who has it can sign in as any user"
	}
	return secret, made, err
}

// keysOf is the keys of others, as the door takes them.
func keysOf(cfg *config.Config) ([]auth.Key, error) {
	keys := make([]auth.Key, len(cfg.JWTKeys))
	for i, k := range cfg.JWTKeys {
		material, err := k.Material()
		if err != nil {
			return nil, err
		}
		keys[i] = auth.Key{ID: k.KID, Alg: k.Alg, Material: material, JWKS: k.JWKS, Issuer: k.Iss, Audience: k.Aud}
	}
	return keys, nil
}

// needsSigningKey reports that a key must be configured and is not.
func needsSigningKey(cfg *config.Config) bool { return cfg.SigningKey == "" && !ownStore(cfg) }

// ownStore reports that no other node can have this store open.
func ownStore(cfg *config.Config) bool {
	p, ok := StoreProperties(cfg.StoreURL())
	return ok && !p.Shared.Holds
}
