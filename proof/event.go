package proof

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	fproof "github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"

	"gotong.dev/gotong"
)

// ErrAltered is wrapped by the errors of what does not match its hashes.
var ErrAltered = errors.New("proof: altered")

// EventForm is the Form of an [Event].
const EventForm = "gotong-event-proof-1"

// Event is the proof that an event is in the log of an instance. Data is the
// event's JSON as it was committed. Content is absent if the event has none, if
// it was erased, or if the caller may no longer see it; its commitment remains.
type Event struct {
	Form     string        `json:"form"`
	Stream   gotong.Stream `json:"stream"`
	Seq      uint64        `json:"seq"`
	Position uint64        `json:"position"`

	Epoch     gotong.Epoch     `json:"epoch"`
	Partition gotong.Partition `json:"partition"`
	ID        gotong.EventID   `json:"id"`
	Type      string           `json:"type"`
	At        int64            `json:"at" doc:"Microseconds since 1970 in UTC."`
	Audience  gotong.Audience  `json:"audience"`
	Count     uint64           `json:"count"`
	Prev      gotong.Hash      `json:"prev"`

	DataCommitment    gotong.Hash `json:"data_commitment"`
	ContentCommitment gotong.Hash `json:"content_commitment"`

	Data        []byte `json:"data"`
	DataSalt    []byte `json:"data_salt"`
	Content     []byte `json:"content,omitempty"`
	ContentSalt []byte `json:"content_salt,omitempty"`

	First  uint64        `json:"first"`  // seq of the commit's first event
	Chains []gotong.Hash `json:"chains"` // of the commit's events

	Proof string `json:"proof"` // C2SP tlog-proof of the commit, with the checkpoint

	Evidence []Event `json:"evidence,omitempty" doc:"Proofs of the earlier events from which this one was computed, such as the votes of a tally."`
}

// Header returns what the event's link of the chain covers.
func (e *Event) Header() gotong.Header {
	return gotong.Header{
		Epoch: e.Epoch, Partition: e.Partition, Stream: e.Stream, Seq: e.Seq, ID: e.ID, Type: e.Type, At: gotong.Instant(e.At),
		Audience: e.Audience, Count: e.Count, Prev: e.Prev, Data: e.DataCommitment, Content: e.ContentCommitment,
	}
}

// ParseEvent reads the JSON of a proof. It is strict: a name that occurs twice, or
// in another case, could show others something else than what is verified.
func ParseEvent(b []byte) (e Event, err error) {
	other := func(e Event) bool { return e.Form != EventForm }
	if err := json.Unmarshal(b, &e, json.RejectUnknownMembers(true)); err != nil || other(e) || slices.ContainsFunc(e.Evidence, other) {
		return e, fmt.Errorf("%w: this is no proof of an event in the form %s", ErrUnverified, EventForm)
	}
	return e, nil
}

// Check verifies the whole proof: that data and content match their commitments,
// that the commitments and all other fields give the chain value, that the
// commit with this chain value is in the tree, and that the tree's checkpoint has
// the signatures that the trust requires; and the same of its evidence, but not
// that the evidence gives the event. The errors wrap [ErrAltered] or
// [ErrUnverified].
func (e *Event) Check(trust Trust) (Checked, error) {
	if err := e.checkBytes(); err != nil {
		return Checked{}, err
	}
	var path fproof.TLogProof
	if err := path.Unmarshal([]byte(e.Proof)); err != nil {
		return Checked{}, fmt.Errorf("%w: the tlog-proof: %w", ErrUnverified, err)
	}
	opened, err := Open(path.Checkpoint, trust)
	if err != nil {
		return Checked{}, err
	}
	c := opened.Checkpoint
	if e.Position == 0 || e.Position > c.Size || path.Index != e.Position-1 || c.Origin.Partition != e.Partition {
		return Checked{}, fmt.Errorf("%w: the checkpoint of %s at %d does not cover position %d of partition %d",
			ErrUnverified, c.Origin, c.Size, e.Position, e.Partition)
	}
	leaf := Leaf{e.Partition, e.Position, e.Stream, e.First, e.Chains}.Hash()
	record := make(tlog.RecordProof, len(path.Hashes))
	for i := range path.Hashes {
		record[i] = path.Hashes[i]
	}
	//nolint:gosec // sizes are parsed as 63 bits
	if tlog.CheckRecord(record, int64(c.Size), tlog.Hash(c.Root), int64(path.Index), tlog.Hash(leaf)) != nil {
		return Checked{}, fmt.Errorf("%w: the commit of event %d of %s is not in the tree", ErrAltered, e.Seq, e.Stream)
	}
	for i := range e.Evidence {
		of := &e.Evidence[i]
		if of.Stream != e.Stream || of.Seq >= e.Seq || of.Evidence != nil {
			return Checked{}, fmt.Errorf("%w: event %d of %s is no evidence for event %d", ErrAltered, of.Seq, of.Stream, e.Seq)
		}
		if _, err := of.Check(trust); err != nil {
			return Checked{}, err
		}
	}
	return opened, nil
}

func (e *Event) checkBytes() error {
	wrong := func(what string) error {
		return fmt.Errorf("%w: %s of event %d of %s", ErrAltered, what, e.Seq, e.Stream)
	}
	n := e.Seq - e.First
	switch {
	case e.First == 0 || e.Seq < e.First || n >= uint64(len(e.Chains)):
		return wrong("the place in its commit")
	case e.Chains[n] != e.Header().Chain() || e.ID.At() != gotong.Instant(e.At):
		return wrong("the chain value")
	case n > 0 && e.Chains[n-1] != e.Prev:
		return wrong("the previous chain value")
	case len(e.DataSalt) != len(gotong.Salt{}) || gotong.CommitData(gotong.Salt(e.DataSalt), e.Data) != e.DataCommitment:
		return wrong("the data")
	case len(e.ContentSalt) == 0 && e.Content == nil: // erased or withheld
		return nil
	case len(e.ContentSalt) != len(gotong.Salt{}) ||
		gotong.CommitContent(gotong.Salt(e.ContentSalt), e.Content) != e.ContentCommitment:
		return wrong("the content")
	}
	return nil
}

// TLogProof returns the text of a C2SP tlog-proof.
func TLogProof(index uint64, path []gotong.Hash, checkpoint []byte) string {
	p := fproof.TLogProof{Index: index, Checkpoint: checkpoint}
	for _, h := range path {
		p.Hashes = append(p.Hashes, h)
	}
	return string(p.Marshal())
}
