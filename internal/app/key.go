package app

import (
	"errors"

	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/config"
)

// ErrSigningKey means that nodes share a store and no signing key is configured.
var ErrSigningKey = errors.New(
	"signing-key: a store that several nodes share needs the same one on each; make it once with: gotong admin key")

// signingKey returns the key of the configuration, or the one in the data
// directory, which the first start creates; created then says so. Nodes on one
// database would each create a key and reject each other's tokens, so there the
// key must be configured.
func signingKey(cfg *config.Config) (secret []byte, created string, err error) {
	secret, err = cfg.SigningSecret()
	switch {
	case err != nil || secret != nil:
		return secret, "", err
	case needsSigningKey(cfg):
		return nil, "", ErrSigningKey
	}
	secret, path, isNew, err := auth.SigningKey(cfg.Data)
	if isNew {
		created = "The signing key " + path + "; anybody who has it can sign in as any user"
	}
	return secret, created, err
}

// keysOf returns the keys of other issuers.
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

// AcceptKeys replaces the keys of other issuers by those of a configuration that was read
// again. On an error, the earlier ones remain.
func (a *App) AcceptKeys(cfg *config.Config) error {
	keys, err := keysOf(cfg)
	if err != nil {
		return err
	}
	return a.auth.AcceptKeys(keys)
}

func needsSigningKey(cfg *config.Config) bool { return cfg.SigningKey == "" && !ownStore(cfg) }

// ownStore reports whether no other node can open this store.
func ownStore(cfg *config.Config) bool {
	p, ok := StoreProperties(cfg.StoreURL())
	return ok && !p.Shared.Holds
}
