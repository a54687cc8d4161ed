package importer

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RejectionError is the reason why a file is not imported, and what to do.
type RejectionError struct{ Why, Hint string }

func (r *RejectionError) Error() string { return r.Why }

func reject(hint, why string, args ...any) *RejectionError {
	return &RejectionError{Why: fmt.Sprintf(why, args...), Hint: hint}
}

// File is an export that was recognised. It can be read several times.
type File struct {
	Format  Format
	Dialect string // of irc

	looks   *RejectionError // what it seems to be, if that is not its format
	path    string
	archive io.Closer        // the zip, or the directory; nil: a file alone
	held    []*held          // the files in the archive
	text    *held            // the one with the chat; nil of Slack
	media   map[string]*held // all others, by path from where the text is
}

// Open recognises an export: a file, a zip, or a directory that holds one. The error is a
// [RejectionError] if it is not an export that can be read. A format or a dialect in s is taken as it is.
func Open(name string, s Source) (_ *File, err error) {
	f := &File{path: filepath.Clean(name), Format: s.Format, Dialect: s.Dialect}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	head, err := f.unpack()
	if err != nil || f.Format == Slack && f.text == nil && f.archive != nil {
		return f, err
	}
	for magic, what := range map[string]string{
		"SQLite format 3": "a database, such as the backup of a phone: use the app's own export of a chat",
		"%PDF":            "a PDF: use the app's own export as text or JSON",
		"\x1f\x8b":        "compressed with gzip: unpack it first",
		"7z\xbc\xaf":      "a 7-Zip archive: unpack it first",
		"Rar!":            "a RAR archive: unpack it first",
	} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return nil, reject("", "this is %s", what)
		}
	}
	format, dialect, why := detect(head)
	if f.Format == "" {
		f.Format = format
	}
	if f.Format == IRC && f.Dialect == "" {
		f.Dialect = firstOf(dialect, dialects[0].name)
	}
	if why == nil && (format != f.Format || format == IRC && dialect != f.Dialect) {
		f.looks = looksLike(format, dialect)
	}
	switch {
	case why != nil && s.Format == "":
		return nil, why
	case f.looks != nil && isJSON(format) != isJSON(f.Format):
		return nil, f.looks
	}
	return f, nil
}

func looksLike(format Format, dialect string) *RejectionError {
	hint := "--format " + string(format)
	if what := string(format); dialect != "" {
		return reject(hint+" --dialect "+dialect, "this looks like %s of the dialect %s", what, dialect)
	}
	return reject(hint, "this looks like %s", format)
}

func isJSON(f Format) bool { return f != IRC && f != WhatsApp }

// Close closes the zip or the directory that holds the export, if there is one.
func (f *File) Close() error {
	if f.archive == nil {
		return nil
	}
	return f.archive.Close()
}

// open opens the text.
func (f *File) open() (io.ReadCloser, error) {
	if f.text != nil {
		return f.text.open()
	}
	return os.Open(f.path)
}

const headSize = 256 << 10

func (f *File) head() ([]byte, error) {
	r, err := f.open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	head, err := io.ReadAll(io.LimitReader(r, headSize))
	if err == nil && len(head) == 0 {
		err = reject("", "the file is empty")
	}
	return head, err
}

// Entries reads the export entry by entry, as [Parse] does.
func (f *File) Entries(s Source) iter.Seq2[Entry, error] { return f.entries(s, &evidence{}) }

func (f *File) entries(s Source, v *evidence) entries {
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	if s.Name == "" {
		s.Name = f.path
	}
	_, dir := f.archive.(*os.Root)
	s.whole = f.text != nil && !dir // a zip holds the size of its files
	if dir && f.text != nil {
		s.Name = f.text.name
	}
	if s.Format, s.Dialect = f.Format, f.Dialect; s.Format == Slack && f.archive != nil {
		return f.found(s, number(s.ofChat(f.slack(s))))
	}
	return f.found(s, func(yield func(Entry, error) bool) {
		r, err := f.open()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer r.Close() //nolint:errcheck // only read
		list := number(s.renamed(parseWhatsApp(s, r, v)))
		switch read := jsonFormats[s.Format]; {
		case s.Format == IRC:
			list = number(s.renamed(parseIRC(s, r, v)))
		case read != nil:
			list = number(s.ofChat(read(s, r)))
		}
		list(yield)
	})
}

// ofChat leaves out the entries of other chats.
func (s Source) ofChat(list entries) entries {
	return func(yield func(Entry, error) bool) {
		for e, err := range list {
			if err == nil && s.Chat != "" && e.Chat != "" && e.Chat != s.Chat {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Survey is the result of the first pass.
type Survey struct {
	Format     Format   `json:"format"`
	Dialect    string   `json:"dialect,omitempty"`
	Confidence float64  `json:"confidence"`              // the part that was understood, from 0 to 1
	Dates      string   `json:"dates,omitempty"`         // the order of day and month, and why
	Guessed    bool     `json:"guessed,omitempty"`       // nothing in the file decides that order
	Years      bool     `json:"guessed_years,omitempty"` // it has dates without a year, and nothing in it decides the year
	ChatName   string   `json:"chat_name,omitempty"`     // as the export tells it
	LeftOut    []string `json:"left_out,omitempty"`      // files in the zip that no message has
	Summary
	Chats map[string]int `json:"chats,omitempty"` // of an export of several: messages by chat

	first   []Entry // a message or, without one, any entry
	Targets Set     `json:"-"` // request ids of the messages that replies and pins name
}

// Threshold is the least part of a file that must be understood.
const Threshold = 0.9

// Survey is the first pass: it reads the whole file and decides whether and how it
// is imported. The error is a [RejectionError] if it is not.
func (f *File) Survey(s Source) (Survey, error) {
	v := &evidence{}
	out := Survey{Targets: Set{}, Chats: map[string]int{}, Format: f.Format, Dialect: f.Dialect}
	plan := NewPlan("")
	plan.Names = true
	seen := func(yield func(Entry, error) bool) {
		for e, err := range f.entries(s, v) {
			if err == nil {
				out.see(e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
	for _, err := range plan.Steps(seen) {
		if err != nil {
			return out, err
		}
	}
	out.Summary, out.Dates, out.Guessed, out.Years = plan.Summary(), v.Order, v.Guessed, v.Years
	if v.Years {
		out.Dates = strings.TrimPrefix(v.Order+"; some years are a guess, because they are not written", "; ")
	}
	out.LeftOut = f.unused()
	err := out.judge()
	if err != nil && f.looks != nil && len(out.Chats) < 2 {
		err = f.looks
	}
	return out, err
}

func (v *Survey) see(e Entry) {
	if e.ReplyTo != "" {
		v.Targets.Add(requestOf(e.ReplyTo))
	}
	if e.Kind == Message && e.Chat != "" {
		v.Chats[e.Chat]++
	}
	if e.Kind == Named || e.Kind == Retitle && v.ChatName == "" {
		v.ChatName = e.Text
	}
	if e.Kind == Message && (len(v.first) == 0 || v.first[0].Kind != Message) || len(v.first) == 0 && e.Kind != Named {
		v.first = []Entry{e}
	}
}

func (v *Survey) judge() error {
	read := v.Entries - v.Unreadable
	v.Confidence = float64(read) / float64(max(v.Entries, 1))
	switch {
	case v.Steps == 0 && v.Unreadable == 0:
		return reject("", "this file holds no messages")
	case len(v.Chats) > 1:
		var names []string
		for name := range v.Chats {
			names = append(names, name)
		}
		slices.Sort(names)
		return reject("--chat "+names[0], "this export holds %d chats, and one thread takes one of them: %s",
			len(names), strings.Join(names, ", "))
	case v.Confidence < Threshold && !isJSON(v.Format), v.Confidence < 0.5:
		return reject("", "only %.0f %% of this file could be read as %s (line %d: %s); nothing is imported",
			100*v.Confidence, v.What(), v.Faults[0].Line, v.Faults[0].Why)
	case v.Steps == 0:
		return reject("", "nothing of this file that could be read is a message")
	default:
		return nil
	}
}

// What describes the format.
func (v Survey) What() string {
	if v.Format == IRC {
		return "irc, as " + v.Dialect + " writes it"
	}
	return string(v.Format)
}

// ThreadRequestID is [ThreadRequestID] for the file: where messages have ids, the
// id of the chat takes the place of the first message.
func (v *Survey) ThreadRequestID(scope string) string {
	list := slices.Clone(v.first)
	for i := range list {
		switch id := list[i].ID; {
		case v.Format == Matrix:
			list[i] = Entry{ID: "matrix/" + list[i].Chat}
		case id != "":
			list[i] = Entry{ID: id[:strings.LastIndex(id, "/")]}
		}
	}
	return ThreadRequestID(scope, v.Format, list)
}
