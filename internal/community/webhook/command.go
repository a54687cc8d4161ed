package webhook

import (
	"fmt"
	"regexp"

	"gotong.dev/gotong"
)

// The names of the commands.
const (
	CmdRegister = "webhook.register"
	CmdUpdate   = "webhook.update"
	CmdRotate   = "webhook.rotate"
	CmdTakeOver = "webhook.take_over"
	CmdEnable   = "webhook.enable"
	CmdDisable  = "webhook.disable"
	CmdEnd      = "webhook.end"
	CmdSkip     = "webhook.skip"
	CmdReplay   = "webhook.replay"
)

func commands() []gotong.Type {
	return []gotong.Type{
		gotong.TypeOf[Register](CmdRegister), gotong.TypeOf[Update](CmdUpdate), gotong.TypeOf[Rotate](CmdRotate),
		gotong.TypeOf[TakeOver](CmdTakeOver), gotong.TypeOf[Enable](CmdEnable), gotong.TypeOf[Disable](CmdDisable),
		gotong.TypeOf[End](CmdEnd), gotong.TypeOf[Skip](CmdSkip), gotong.TypeOf[Replay](CmdReplay),
	}
}

// Register registers a webhook in a group or scope.
type Register struct {
	ScopeID string          `json:"scope_id"`
	Profile Profile         `json:"profile,omitempty"`
	Types   []string        `json:"types,omitempty"`
	Streams []gotong.Stream `json:"streams,omitempty"`
}

// Update changes the filters of a webhook, or its URL. What is nil stays.
type Update struct {
	Types   *[]string        `json:"types,omitempty"`
	Streams *[]gotong.Stream `json:"streams,omitempty"`
	URL     bool             `json:"url,omitempty"` // the register changes with the commit
}

// Rotate gives a webhook a new secret, which the register holds.
type Rotate struct{}

// TakeOver makes the actor the registrant.
type TakeOver struct{}

// Enable makes a disabled webhook send again.
type Enable struct{}

// Disable stops a webhook; it stays registered, and what it misses stays due.
type Disable struct {
	Why Why `json:"why,omitempty"`
}

// End ends a webhook. Lapsed is accepted only while the registrant has no right to
// keep it.
type End struct {
	Why Why `json:"why,omitempty"`
}

// Skip makes a dead letter of the event for which a lane waits. The register of the
// lane changes with the commit.
type Skip struct {
	Stream gotong.Stream `json:"stream"`
	Seq    uint64        `json:"seq"`
}

// Replay sends events again. A register with what to send is created with the
// commit.
type Replay struct {
	ReplayID string `json:"replay_id"`
}

// The bounds of filters.
const (
	maxTypes   = 64
	maxStreams = 100
)

var eventType = regexp.MustCompile(`^[a-z_]{1,32}\.[a-z_]{1,32}$`)

func checkFilters(c *gotong.Check, types []string, streams []gotong.Stream) {
	c.That(len(types) <= maxTypes, "types", fmt.Sprint("must be at most ", maxTypes))
	for _, t := range types {
		c.That(eventType.MatchString(t), "types", "must be types of events, such as message.posted")
	}
	c.That(len(streams) <= maxStreams, "streams", fmt.Sprint("must be at most ", maxStreams))
	for _, s := range streams {
		_, err := gotong.ParseStream(string(s))
		c.That(err == nil, "streams", "must be names of streams, such as thread/0192…")
	}
}

func (c Register) Validate(check *gotong.Check) {
	check.That(gotong.ValidID(c.ScopeID), "scope_id", "must be the id of a group or scope")
	check.That(c.Profile == "" || c.Profile == Standard || c.Profile == Markov, "profile", "must be standard or markov")
	checkFilters(check, c.Types, c.Streams)
}

func (c Update) Validate(check *gotong.Check) {
	if c.Types != nil {
		checkFilters(check, *c.Types, nil)
	}
	if c.Streams != nil {
		checkFilters(check, nil, *c.Streams)
	}
}

func (c Disable) Validate(check *gotong.Check) {
	check.That(c.Why == "" || c.Why == Failing || c.Why == Gone, "why", "must be failing or gone")
}

func (c End) Validate(check *gotong.Check) {
	check.That(c.Why == "" || c.Why == Lapsed, "why", "must be lapsed")
}

func (c Skip) Validate(check *gotong.Check) {
	_, err := gotong.ParseStream(string(c.Stream))
	check.That(err == nil, "stream", "must be the name of a stream")
	check.That(c.Seq > 0, "seq", "must be the number of an event")
}

// The types of event.
const (
	EvRegistered = "webhook.registered"
	EvUpdated    = "webhook.updated"
	EvRotated    = "webhook.rotated"
	EvTakenOver  = "webhook.taken_over"
	EvEnabled    = "webhook.enabled"
	EvDisabled   = "webhook.disabled"
	EvEnded      = "webhook.ended"
	EvSkipped    = "webhook.skipped"
	EvReplayed   = "webhook.replay_requested"
)

func events() []gotong.EventType {
	return []gotong.EventType{
		gotong.EventOf[Created](EvRegistered), gotong.EventOf[Updated](EvUpdated), gotong.EventOf[Rotated](EvRotated),
		gotong.EventOf[TakenOver](EvTakenOver), gotong.EventOf[Enabled](EvEnabled), gotong.EventOf[Stopped](EvDisabled),
		gotong.EventOf[Stopped](EvEnded), gotong.EventOf[Skipped](EvSkipped), gotong.EventOf[Replayed](EvReplayed),
	}
}

// Created is the data of webhook.registered; the actor is the registrant.
type Created struct {
	ScopeID string          `json:"scope_id"`
	Home    gotong.Stream   `json:"home"`
	Profile Profile         `json:"profile"`
	Types   []string        `json:"types,omitempty"`
	Streams []gotong.Stream `json:"streams,omitempty"`
}

// Updated is the data of webhook.updated: what changed.
type Updated struct {
	Types   *[]string        `json:"types,omitempty"`
	Streams *[]gotong.Stream `json:"streams,omitempty"`
	URL     bool             `json:"url,omitempty"`
}

// Rotated is the data of webhook.rotated.
type Rotated struct{}

// TakenOver is the data of webhook.taken_over: the actor is the registrant now.
type TakenOver struct{}

// Enabled is the data of webhook.enabled.
type Enabled struct{}

// Stopped is the data of webhook.disabled and webhook.ended.
type Stopped struct {
	Why Why `json:"why"`
}

// Skipped is the data of webhook.skipped.
type Skipped struct {
	Stream gotong.Stream `json:"stream"`
	Seq    uint64        `json:"seq"`
}

// Replayed is the data of webhook.replay_requested.
type Replayed struct {
	ReplayID string `json:"replay_id"`
}
