// Package upload holds the rules of uploads: files that a member sends to the server
// for one thread, and then attaches to a message there.
//
// The stream of an upload has the home of the thread, hence its partition. A post
// expects the heads of the uploads that it attaches, and collecting an upload that
// is in no message expects the head of the thread: only one of the two is committed.
// Bytes are removed after upload.collected or upload.erased was committed, never
// before.
//
// # Caveats
//
// The rules believe the server about bytes: only the system actor stores an upload.
// No command of this kind is accepted from clients directly.
package upload

import (
	"strings"
	"time"
	"unicode"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/thread"
	"gotong.dev/gotong/internal/text"
)

// Name is the kind: the part of a stream's name before the slash.
const Name = "upload"

// Lifetime is how long an upload is kept if it is in no message.
const Lifetime = 24 * time.Hour

// The names of the commands.
const (
	CmdStart   = "upload.start"
	CmdStore   = "upload.store"
	CmdCollect = "upload.collect"
	CmdErase   = "upload.erase"
)

// Start begins an upload for a thread. Home is that of the thread.
type Start struct {
	Thread gotong.Stream `json:"thread"`
	Home   gotong.Stream `json:"home"`
	Name   string        `json:"file_name"`
	Size   int64         `json:"size_bytes"` // at most; the file counts with it until it is stored
}

// Store reports that the bytes are stored; for the server alone.
type Store File

// Collect ends an upload that is in no message: by its owner at any time, by the
// server after [Lifetime].
type Collect struct{}

// Erase ends an upload whose message was deleted or erased; for the server alone.
type Erase struct{}

// The types of event.
const (
	EvStarted   = "upload.started"
	EvStored    = "upload.stored"
	EvCollected = "upload.collected"
	EvErased    = "upload.erased"
)

// Started is the data of upload.started; the actor is the owner.
type Started struct {
	Thread gotong.Stream `json:"thread"`
	Home   gotong.Stream `json:"home"`
	Size   int64         `json:"size_bytes"`
}

// Named is the content of upload.started.
type Named struct {
	Name string `json:"file_name"`
}

// Finished is the data of upload.stored. Max is what the upload counted before.
type Finished struct {
	Owner string        `json:"owner"`
	Home  gotong.Stream `json:"home"`
	Max   int64         `json:"max_bytes"`
	File
}

// File is what the bytes are. Hashes are SHA-256 in hex.
type File struct {
	Size      int64  `json:"size_bytes"`
	Hash      string `json:"sha256"`
	Type      string `json:"mime_type"`
	Width     int    `json:"width,omitempty"` // of a picture
	Height    int    `json:"height,omitempty"`
	Thumb     string `json:"thumb_sha256,omitempty"` // of its thumbnail; empty: it has none
	ThumbSize int64  `json:"thumb_size_bytes,omitempty"`
}

// Ended is the data of upload.collected and upload.erased: what the owner and the
// home no longer use.
type Ended struct {
	Owner string        `json:"owner"`
	Home  gotong.Stream `json:"home"`
	Bytes int64         `json:"bytes"`
	Open  bool          `json:"open,omitempty"` // it was never stored

	Now gotong.Instant `json:"now,omitzero"` // the clock, where the lifetime was over by then
}

// State is how far an upload is; a closed set.
type State string

// The states. A stored upload may be in a message.
const (
	Open      State = "started"
	Stored    State = "stored"
	Collected State = "collected"
	Erased    State = "erased"
)

// Upload is the document of one upload.
type Upload struct {
	Thread gotong.Stream  `json:"thread"`
	Home   gotong.Stream  `json:"home"`
	Owner  string         `json:"owner"`
	Name   string         `json:"file_name,omitempty"`
	State  State          `json:"state"`
	Began  gotong.Instant `json:"began_at"`
	Max    int64          `json:"max_bytes"`
	File
}

// Attach implements [thread.Attachable].
func (u Upload) Attach(in gotong.Stream, userID, id string) (thread.Attachment, bool) {
	return u.Shown(id), u.State == Stored && u.Thread == in && u.Owner == userID
}

// Shown returns the upload as a message shows it.
func (u Upload) Shown(id string) thread.Attachment {
	return thread.Attachment{
		ID: id, Name: u.Name, Type: u.Type, Size: u.Size, Width: u.Width, Height: u.Height, Thumb: u.Thumb != "",
	}
}

// Bytes returns what the upload counts against quotas.
func (u Upload) Bytes() int64 {
	if u.State == Open {
		return u.Max
	}
	return u.Size + u.ThumbSize
}

// Key returns the key of an upload's document.
func Key(id string) gotong.Key { return gotong.StreamKey(thread.UploadStream(id)) }

// StreamOf returns the stream that this command creates. Its id is derived from the
// request, so that a retry creates no second one.
func StreamOf(actor, requestID string) gotong.Stream {
	return thread.UploadStream(gotong.DeriveID(Name, actor, requestID))
}

const maxName = 128

// Clean returns the file name in what a client sent, which may be a path or have
// invisible characters.
func (c Start) Clean() any {
	if i := strings.LastIndexAny(c.Name, `/\`); i >= 0 {
		c.Name = c.Name[i+1:]
	}
	c.Name = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(c.Name, ""))
	runes := []rune(text.Name.Clean(c.Name))
	c.Name = strings.TrimSpace(string(runes[:min(len(runes), maxName)]))
	var check gotong.Check
	if text.Name.Check(&check, "file_name", c.Name); check.Err() != nil || strings.Trim(c.Name, ".") == "" {
		c.Name = "file"
	}
	return c
}
