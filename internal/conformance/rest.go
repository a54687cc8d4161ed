package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// rest is the kind of requests about messages and their files, other than those of a
// transport.
const rest = "rest"

const (
	chatPath = "/v1/chat/"
	filePath = chatPath + "attachments"
)

// messageID returns the id of a message that a script calls by a number.
func messageID(text string) string { return fmt.Sprintf("01a20890-80c6-7618-bf0e-%012x", number(text)) }

// messageJSON returns a message as REST shows it.
func messageJSON(stream, text string) string {
	return fmt.Sprintf(`{"thread_id":%q,"message_id":%q,"seq":%s,"n":%s,"author":{"user_id":"u","name":"Pak Joko"},"author_id":"u",`+
		`"body":"message","created_at_ms":1,"at":"2026-11-23T13:20:17.606381Z","revision":0,"reactions":[]}`,
		strings.TrimPrefix(stream, "thread/"), messageID(text), text, text)
}

// asks gives the client a task of REST: "asks 1 replies a 7", "asks 1 pins a",
// "asks 1 pin a 7", "asks 1 upload a the text".
func (p *play) asks(w []string) {
	c := command{Ref: w[0], Cmd: w[1], Stream: name(w[2])}
	if rest := strings.Join(w[3:], " "); c.Cmd == "upload" {
		c.Name, c.Text = "catatan.txt", rest
	} else if rest != "" {
		c.MessageID = messageID(rest)
	}
	p.do(c)
}

// call waits for the next request of REST: "call GET a messages/7/replies
// after_seq=k3f9:2".
func (p *play) call(w []string) {
	a := p.attempt(rest)
	p.called, p.earlier = a, p.called
	_, options := p.places(w[3:])
	segments := strings.Split(w[2], "/")
	if len(segments) > 1 {
		segments[1] = messageID(segments[1])
	}
	want := w[0] + " " + chatPath + "threads/" + strings.TrimPrefix(name(w[1]), "thread/") + "/" + strings.Join(segments, "/")
	if got := a.r.Method + " " + a.r.URL.Path; got != want {
		p.failf("the client sent %s instead of %s", got, want)
	}
	for key, value := range options {
		if got := a.r.URL.Query().Get(key); got != value && (value != "-" || got != "") {
			p.failf("the client sent %s=%q instead of %q", key, got, value)
		}
	}
}

// gives answers the request: "gives a 1 2 next=k3f9:2" with a page of messages, "gives
// one a 7" with a message, "gives 403 forbidden" with a problem, "gives nothing" by
// closing the connection.
func (p *play) gives(w []string) {
	f, odd := oddities[w[0]]
	_, options := p.places(w)
	status, _ := strconv.Atoi(w[0])
	switch {
	case odd:
	case status > 0:
		f = problem(status, w[1])
	case w[0] == "one":
		f = answerJSON(messageJSON(name(w[1]), w[2]))
	default:
		var list []string
		for _, word := range w[1:] {
			if !strings.Contains(word, "=") {
				list = append(list, messageJSON(name(w[0]), word))
			}
		}
		f = answerJSON("[" + strings.Join(list, ",") + "]")
		if next := options["next"]; next != "" {
			f.header = append(f.header, "X-Has-More", "true", "X-Next-Seq", next)
		}
	}
	p.called.refuse(f)
}

// sameKey requires that the last two requests had the same Idempotency-Key.
func (p *play) sameKey([]string) {
	is, was := p.called.r.Header.Get("Idempotency-Key"), p.earlier.r.Header.Get("Idempotency-Key")
	if is != was || is == "" {
		p.failf("the request was repeated with the Idempotency-Key %q instead of %q", is, was)
	}
}

// files is a server of resumable uploads, for one file. Its faults come one after the
// other, each once its request does: "begin" loses the answer to the beginning,
// "answer" that to a part, "busy" is 503, and after a number of bytes the connection is cut.
type files struct {
	keys   map[string]bool // of the uploads that were begun
	size   int
	got    []byte
	faults []string
}

// uploads serves the upload of a file with these faults: "uploads begin 3 answer".
func (p *play) uploads(w []string) {
	p.server.locked(func() { p.server.files = &files{keys: map[string]bool{}, faults: w} })
}

// uploaded requires that the file arrived once, after all faults.
func (p *play) uploaded(w []string) {
	p.server.locked(func() {
		f := p.server.files
		switch want := strings.Join(w, " "); {
		case string(f.got) != want:
			p.failf("the file that arrived is %q instead of %q", f.got, want)
		case len(f.keys) != 1:
			p.failf("the client began %d uploads of one file", len(f.keys))
		case len(f.faults) > 0:
			p.failf("the client never came to the fault %q", f.faults[0])
		}
	})
}

// fault reports whether this fault is the next one, and takes it.
func (f *files) fault(is string) bool {
	if len(f.faults) == 0 || f.faults[0] != is {
		return false
	}
	f.faults = f.faults[1:]
	return true
}

// file answers a request about a file. Requests come one at a time: a script has one
// client.
func (s *server) file(a *attempt) {
	var body []byte
	if a.r.Method == http.MethodPatch {
		body = s.part(a)
	}
	s.mu.Lock()
	f := s.files
	answer, at := refusal{status: http.StatusOK}, len(f.got)
	switch {
	case a.r.Method == http.MethodPost:
		f.size, _ = strconv.Atoi(a.r.Header.Get("Upload-Length"))
		f.keys[a.r.Header.Get("Idempotency-Key")] = true
		answer = refusal{status: http.StatusCreated, header: []string{"Location", filePath + "/" + messageID("1")}}
		if f.fault("begin") {
			answer = refusal{}
		}
	case path.Base(a.r.URL.Path) == "link":
		answer = answerJSON(fmt.Sprintf(`{"attachment_id":%q,"file_name":"catatan.txt","mime_type":"text/plain","size_bytes":%d,`+
			`"media_type":"file","url":"/x","expires_at_ms":1}`, messageID("1"), at))
		if at != f.size {
			answer = problem(http.StatusNotFound, "not_found")
		}
	case a.r.Method == http.MethodPatch && a.r.Header.Get("Upload-Offset") != strconv.Itoa(at):
		answer = problem(http.StatusConflict, "state_conflict")
	case a.r.Method == http.MethodPatch && f.fault("busy"):
		answer = problem(http.StatusServiceUnavailable, "busy")
	case a.r.Method == http.MethodPatch:
		f.got, answer.status = append(f.got, body...), http.StatusNoContent
		if at = len(f.got); f.fault("answer") || f.fault(strconv.Itoa(len(body))) {
			answer = refusal{}
		}
	}
	s.mu.Unlock()
	answer.header = append(answer.header, "Tus-Resumable", "1.0.0", "Upload-Offset", strconv.Itoa(at))
	a.refuse(answer)
}

// part reads the bytes of a request, or as many as arrive before the next fault.
func (s *server) part(a *attempt) []byte {
	most := int64(maxLine)
	s.locked(func() {
		if len(s.files.faults) > 0 {
			if n, err := strconv.ParseInt(s.files.faults[0], 10, 64); err == nil {
				most = n
			}
		}
	})
	var b bytes.Buffer
	_, _ = io.Copy(&b, io.LimitReader(a.r.Body, most))
	return b.Bytes()
}
