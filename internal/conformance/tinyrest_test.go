package conformance

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// task performs a task of REST and prints its answer.
func (t *tiny) task(c command) {
	thread := chatPath + "threads/" + strings.TrimPrefix(c.Stream, "thread/")
	var list []struct {
		ID string `json:"message_id"`
	}
	ids, f := []string{}, fault{}
	switch c.Cmd {
	case "replies":
		for after, more := "", true; more && f.err == nil; {
			var h http.Header
			var page []struct {
				ID string `json:"message_id"`
			}
			q := url.Values{}
			if after != "" {
				q.Set("after_seq", after)
			}
			h, f = t.repeat(http.MethodGet, thread+"/messages/"+c.MessageID+"/replies?"+q.Encode(), &page)
			list = append(list, page...)
			after, more = h.Get("X-Next-Seq"), h.Get("X-Has-More") == "true" && t.defect != "one page"
		}
	case "pins":
		_, f = t.repeat(http.MethodGet, thread+"/pins", &list)
	case "pin":
		ids = append(ids, c.MessageID)
		_, f = t.repeat(http.MethodPut, thread+"/messages/"+c.MessageID+"/pin", nil)
	case "upload":
		ids, f = t.upload(strings.TrimPrefix(c.Stream, "thread/"), c.Text)
	}
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	answer := map[string]any{"ref": c.Ref, "ok": f.err == nil, "code": f.code}
	if f.err == nil {
		answer["ids"] = ids
	}
	t.print("answer", answer)
}

// upload sends a text as a file, and asks for the offset after each failure.
func (t *tiny) upload(thread, text string) ([]string, fault) {
	h, f := t.repeat(http.MethodPost, filePath+"?thread_id="+thread, nil, "Upload-Length", strconv.Itoa(len(text)))
	at, to := 0, h.Get("Location")
	for f.err == nil && at < len(text) {
		h, part := t.once(http.MethodPatch, to, strings.NewReader(text[at:]), nil, "Upload-Offset", strconv.Itoa(at))
		switch {
		case part.err == nil:
		case t.ctx.Err() != nil:
			return nil, part
		case t.defect == "upload begins again":
			t.wait()
			return t.upload(thread, text)
		case t.defect == "offset guessed":
			at = len(text)
			continue
		default:
			h, f = t.repeat(http.MethodHead, to, nil)
		}
		at, _ = strconv.Atoi(h.Get("Upload-Offset"))
	}
	return []string{to[strings.LastIndex(to, "/")+1:]}, f
}

// repeat sends a request until it has an answer that is final.
func (t *tiny) repeat(method, path string, out any, headers ...string) (http.Header, fault) {
	for n := 0; ; n++ {
		key := "the-key"
		if t.defect == "key renewed" {
			key += strconv.Itoa(n)
		}
		h, f := t.once(method, path, http.NoBody, out, append(headers, "Idempotency-Key", key)...)
		final := f.status > 0 && f.status != http.StatusServiceUnavailable && t.defect != "rejection repeated"
		if f.err == nil || final || t.ctx.Err() != nil {
			return h, f
		}
		t.wait()
	}
}

func (t *tiny) wait() {
	select {
	case <-time.After(t.scaled(time.Second)):
	case <-t.ctx.Done():
	}
}

func (t *tiny) once(method, path string, body interface{ Read([]byte) (int, error) }, out any, headers ...string) (http.Header, fault) {
	r, err := http.NewRequestWithContext(t.ctx, method, t.cfg.URL+path, body)
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+t.cfg.Tokens[0])
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return nil, fault{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Code string `json:"code"`
		}
		_ = json.NewDecoder(res.Body).Decode(&problem)
		return res.Header, fault{err: errors.New("it was rejected"), status: res.StatusCode, code: problem.Code}
	}
	if out != nil {
		err = json.NewDecoder(res.Body).Decode(out)
	}
	return res.Header, fault{err: err}
}
