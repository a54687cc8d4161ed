package client

import (
	"context"
	"fmt"
	"net/url"

	"gotong.dev/gotong"
	"gotong.dev/gotong/proof"
)

// Proof fetches the proof of an event and verifies it with keys that the caller
// knows from elsewhere, so that it need not trust the server. It returns the event
// only if all of it was verified; otherwise the error wraps [proof.ErrAltered] or
// [proof.ErrUnverified]. If the trust requires cosignatures, a new
// event may lack them for some seconds. Whether the evidence in the proof gives
// the event is not verified.
func (c *Client) Proof(ctx context.Context, stream gotong.Stream, seq uint64, trust proof.Trust) (proof.Event, proof.Checked, error) {
	path := fmt.Sprintf("/v1/streams/%s/%s/events/%d/proof", url.PathEscape(stream.Kind()), url.PathEscape(stream.ID()), seq)
	e, err := read[proof.Event](ctx, c, path, nil)
	if err != nil {
		return proof.Event{}, proof.Checked{}, err
	}
	if e.Form != proof.EventForm || e.Stream != stream || e.Seq != seq {
		return proof.Event{}, proof.Checked{}, fmt.Errorf("%w: the answer is the proof of event %d of %q, not of event %d of %s",
			proof.ErrAltered, e.Seq, e.Stream, seq, stream)
	}
	checked, err := e.Check(trust)
	if err != nil {
		return proof.Event{}, proof.Checked{}, err
	}
	return e, checked, nil
}
