package app

import (
	"net/netip"
	"strings"
	"time"

	"gotong.dev/gotong/internal/config"
	"gotong.dev/gotong/internal/edgepod"
	"gotong.dev/gotong/internal/outbound"
)

func (a *App) newPod() *edgepod.Boundary {
	return edgepod.New(edgepod.Options{
		Provider: provider(&a.cfg), Clock: a.clock,
		Called: func(c *edgepod.Contract, provider, version, outcome string, took time.Duration) {
			reason := ""
			if outcome != "ok" {
				reason = outcome
			}
			a.metrics.Pod.Called(c.Endpoint(), provider, version, strings.ToLower(outcome), reason, took)
		},
	})
}

// provider returns the provider of the configuration; nil for none.
func provider(cfg *config.Config) edgepod.Provider {
	// The operator names the one address, which may be on this machine.
	client := outbound.New(outbound.Options{
		Allowed: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}).Client()
	switch cfg.EdgePod {
	case "rules":
		return edgepod.Rules{}
	case "http":
		return edgepod.HTTP{Base: cfg.EdgePodURL, Token: cfg.EdgePodToken, Client: client}
	case "openai":
		return edgepod.OpenAI{Base: cfg.EdgePodURL, Model: cfg.EdgePodModel, Token: cfg.EdgePodToken, Client: client}
	default:
		return nil
	}
}
