package gotong

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
}

// Check reports what is wrong with the policy.
func (p Policy) Check(c *Check) {
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
