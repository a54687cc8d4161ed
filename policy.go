package gotong

import "cmp"

// MaxNewcomerHours bounds [Policy.NewcomerHours].
const MaxNewcomerHours = 720

// Policy is what the leaders of a home decided about machines that read its
// streams and about the review of messages. Zero is the default.
type Policy struct {
	// Outside lets messages of private threads, cases and streams known to members
	// only leave the server for the Edge-Pod.
	Outside bool `json:"edge_pod_outside"`

	// AutoHold allows the server to hold a message if the Edge-Pod proposes that;
	// otherwise the proposal waits for a moderator.
	AutoHold bool `json:"auto_hold"`

	// NewcomerHours is for how long the messages of a new member are held for
	// review in threads of all members; 0: they are not.
	NewcomerHours int `json:"newcomer_hours"`

	// FlagAt is how many reports flag a message; 0 is 3. HideAt is how many hide it,
	// once, for an hour at most, if AutoHide is set; 0 is 5.
	FlagAt   int  `json:"flag_at,omitempty"`
	HideAt   int  `json:"hide_at,omitempty"`
	AutoHide bool `json:"auto_hide,omitempty"`
}

// FlagsAt returns how many reports flag a message.
func (p Policy) FlagsAt() int { return cmp.Or(p.FlagAt, 3) }

// HidesAt returns how many reports hide a message.
func (p Policy) HidesAt() int { return cmp.Or(p.HideAt, 5) }

// Check reports what is wrong with the policy.
func (p Policy) Check(c *Check) {
	c.That(p.FlagAt >= 0 && p.FlagAt <= 100 && p.HideAt >= 0 && p.HideAt <= 100, "policy", "flag_at and hide_at must be 0 to 100")
	c.That(p.NewcomerHours >= 0 && p.NewcomerHours <= MaxNewcomerHours, "policy", "newcomer_hours must be 0 to 720")
}

// PolicyOf returns the policy of a home: that of its document, or the default if
// the state has none, as of a home that is only a name.
func PolicyOf(s State, home Stream) Policy {
	if home.HasMembers() {
		if d, ok := Doc[interface{ ReviewPolicy() Policy }](s, StreamKey(home)); ok {
			return d.ReviewPolicy()
		}
	}
	return Policy{}
}
