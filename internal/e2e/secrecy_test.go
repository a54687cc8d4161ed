package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
	"gotong.dev/gotong/internal/app"
	"gotong.dev/gotong/internal/audit"
	"gotong.dev/gotong/internal/auth"
	"gotong.dev/gotong/internal/clock/clocktest"
	"gotong.dev/gotong/internal/community/cases"
	logcopy "gotong.dev/gotong/internal/copy"
	"gotong.dev/gotong/internal/logtest"
	"gotong.dev/gotong/internal/store"
	"gotong.dev/gotong/internal/store/sqlite"
	"gotong.dev/gotong/proof"
)

// balot is a track of one vote.
const balot = `
profiles:
  pilih: {gate: vote, window: 40m, quorum: 60, threshold: 50}
tracks:
  balot: {stages: [keresahan, bahas], edges: [{from: keresahan, to: bahas, gate: pilih}]}
`

// hush is a server with two cases, one with a secret vote. Budi's votes are what
// nobody else may see.
type hush struct {
	*node
	t     *testing.T
	web   *http.Client
	clock *clocktest.Clock
	log   logtest.Lines
	cases map[bool]gotong.Stream // by whether the vote is secret
	gates map[bool]string

	beside store.Whole // that of the server
}

func startHush(t *testing.T) *hush {
	t.Helper()
	tracks := filepath.Join(t.TempDir(), "balot.yaml")
	if err := os.WriteFile(tracks, []byte(balot), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &hush{t: t, web: forgetful(t), clock: clocktest.Running(), cases: map[bool]gotong.Stream{}, gates: map[bool]string{}}
	h.node = startNode(t, func(o *app.Options) {
		o.Clock, o.Config.Tracks = h.clock, []string{tracks}
		o.Log = slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	ani := dial(t, h.url, "ani")
	for _, secret := range []bool{false, true} {
		c := must(ani.CreateCase(t.Context(), client.NewCase{ScopeID: "rt05", Track: "balot", Title: fmt.Sprint("judul-kenari-", secret)}))(t)
		for _, user := range []string{"budi", "citra"} {
			must(ani.SetCaseMember(t.Context(), c.CaseID, user, []string{"participant"}))(t)
		}
		h.cases[secret] = c.Stream()
		h.gates[secret] = must(ani.Propose(t.Context(), client.Proposal{
			CaseID: c.CaseID, From: "keresahan", To: "bahas", Secret: secret,
		}))(t).TransitionID
	}
	return h
}

// vote has budi and ani vote on both gates.
func (h *hush) vote() {
	h.t.Helper()
	for secret, gate := range h.gates {
		id := fmt.Sprint("suara-kenari-", secret)
		must(dial(h.t, h.url, "budi").Vote(h.t.Context(), gate, "abstain", client.RequestID(id), client.CorrelationID(id)))(h.t)
		must(dial(h.t, h.url, "ani").Vote(h.t.Context(), gate, "yes"))(h.t)
	}
}

// get returns a whole response, headers included.
func (h *hush) get(user, at string) []byte {
	h.t.Helper()
	req := must(http.NewRequestWithContext(h.t.Context(), http.MethodGet, at, http.NoBody))(h.t)
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	}
	resp, err := h.web.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	_, _ = fmt.Fprintln(&b, at, resp.Status)
	_ = resp.Header.Write(&b)
	_, err = io.Copy(&b, resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return b.Bytes()
}

// views returns all that a user can read of a case.
func (h *hush) views(user string, secret bool) (all []byte) {
	h.t.Helper()
	s, gate := h.cases[secret], h.gates[secret]
	paths := []string{
		"/v1/cases/" + s.ID(), "/v1/cases?scope_id=rt05", "/v1/cases", "/v1/cases/" + s.ID() + "/members",
		"/v1/transitions/" + gate, "/v1/transitions/" + gate + "/gate", "/v1/transitions/" + gate + "/votes",
		"/v1/transitions/" + s.ID() + "/timeline", "/v1/transitions/" + s.ID() + "/timeline?actor=budi",
		"/v1/transitions/" + s.ID() + "/timeline?type=transition.voted", "/v1/transitions/" + s.ID() + "/active",
		"/v1/realtime/poll?wait=0&cursor=start&stream=" + string(s), "/v1/chat/unread", "/v1/admin/users/budi/audit", "/v1/admin/users",
	}
	for seq := range 12 {
		paths = append(paths, fmt.Sprintf("/v1/streams/%s/events/%d/proof", s, seq+1))
	}
	for _, path := range paths {
		all = append(all, h.get(user, h.url+path)...)
	}
	return all
}

// operators returns what the operator sees besides the database: metrics, health,
// jobs, readers and the log.
func (h *hush) operators() []byte {
	h.t.Helper()
	return slices.Concat(h.get("", h.admin+"/metrics"), h.get("", h.admin+"/readyz"), []byte(h.log.String()), h.replies())
}

// replies returns the answers to all orders that only read.
func (h *hush) replies() (all []byte) {
	h.t.Helper()
	for _, do := range h.orders() {
		status, reply := h.order(h.operatorToken(), do)
		if status != http.StatusOK {
			h.t.Fatalf("%+v: %d, %s", do, status, reply)
		}
		all = append(all, reply...)
	}
	return all
}

func (h *hush) operatorToken() string {
	h.t.Helper()
	key := []byte(secret)
	if backendOf(h.t, h.dir).store == "" {
		key = must(auth.ReadSigningKey(h.dir))(h.t)
	}
	return must(auth.OperatorToken(key, h.clock.Now(), time.Minute))(h.t)
}

// order gives the server an order.
func (h *hush) order(token string, do app.Order) (status int, reply []byte) {
	h.t.Helper()
	req := must(http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.admin+app.OrderPath, strings.NewReader(encode(do))))(h.t)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := h.web.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode, must(io.ReadAll(resp.Body))(h.t)
}

// orders are all that read, and every event of the cases.
func (h *hush) orders() (list []app.Order) {
	for _, do := range []string{"jobs", "readers", "streams", "webhooks", "gates", "nodes", "storage"} {
		list = append(list, app.Order{Do: do})
	}
	for secret, s := range h.cases {
		for _, e := range h.events(secret) {
			list = append(list, app.Order{Do: "event", Stream: s, Seq: e.Seq})
		}
	}
	return list
}

// follow opens a socket of which every byte is kept and subscribes to both cases. It
// returns a function that reads until the marker came twice.
func (h *hush) follow(ctx context.Context, user string, p *tap) (until func(marker string)) {
	h.t.Helper()
	ws := socket(ctx, h.t, p.http(h.t), h.url, user)
	h.t.Cleanup(func() { _ = ws.CloseNow() })
	for secret, s := range h.cases {
		if err := tell(ctx, ws, map[string]any{"op": "subscribe", "id": fmt.Sprint(secret), "stream": s, "cursor": "start"}); err != nil {
			h.t.Fatal(err)
		}
	}
	return func(marker string) {
		h.t.Helper()
		for n := 0; n < len(h.cases); {
			_, b, err := ws.Read(ctx)
			if err != nil {
				h.t.Fatalf("%s has seen %d of %q: %v", user, n, marker, err)
			}
			n += bytes.Count(b, []byte(marker))
		}
	}
}

// listen follows as follow does, over server-sent events. A user without access gets one answer.
func (h *hush) listen(ctx context.Context, user string, p *tap) (until func(marker string)) {
	h.t.Helper()
	query := url.Values{"cursor": {"start"}}
	for _, s := range h.cases {
		query.Add("stream", string(s))
	}
	v := &victim{tb: h.t, url: h.url, user: user}
	res, err := v.open(ctx, p.http(h.t), "/v1/realtime/sse", query)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = res.Body.Close() })
	in := bufio.NewReader(res.Body)
	return func(marker string) {
		h.t.Helper()
		for n := 0; n < len(h.cases) && res.StatusCode == http.StatusOK; {
			line, err := in.ReadBytes('\n')
			if err != nil {
				h.t.Fatalf("%s has seen %d of %q: %v", user, n, marker, err)
			}
			n += bytes.Count(line, []byte(marker))
		}
		if res.StatusCode != http.StatusOK {
			_, _ = io.Copy(io.Discard, in)
		}
	}
}

// database returns the store of the server, opened beside it.
func (h *hush) database() store.Whole {
	h.t.Helper()
	if h.beside != nil {
		return h.beside
	}
	if b := backendOf(h.t, h.dir); b.store != "" {
		h.beside = openStore(h.t, b.store)
	} else {
		h.beside = must(sqlite.Open(h.t.Context(), filepath.Join(h.dir, "gotong.db"), sqlite.Options{ReadOnly: true}))(h.t)
	}
	h.t.Cleanup(func() { _ = h.beside.Close() })
	return h.beside
}

// exports returns both forms of audit export.
func (h *hush) exports() (public, full []byte) {
	h.t.Helper()
	s, dir := h.database(), h.dir+"-checkpoints"
	signers := must(audit.ReadSigners(dir))(h.t)
	pinned := must(audit.ReadNotes(must(os.ReadFile(filepath.Join(dir, audit.CheckpointsFile)))(h.t), proof.Trust{Keys: audit.KeysOf(signers)}))(h.t)
	source := must(audit.FromStore(h.t.Context(), s))(h.t)
	var a, b bytes.Buffer
	is := func(s gotong.Stream) bool { return slices.Contains(slices.Collect(maps.Values(h.cases)), s) }
	must(audit.Publish(h.t.Context(), source, &pinned, is, &a, func(uint64, uint64) {}))(h.t)
	from := must(logcopy.FromStore(h.t.Context(), s))(h.t)
	must(logcopy.Export(h.t.Context(), from, &b, logcopy.Options{Codec: store.NewCodec(app.Kinds()), Now: h.clock.Now}))(h.t)
	return a.Bytes(), b.Bytes()
}

// events returns the events of a case as they are stored.
func (h *hush) events(secret bool) []store.Event {
	h.t.Helper()
	snap, err := h.database().Load(h.t.Context(), store.Need{Events: []store.EventRange{{Stream: h.cases[secret], To: 1000}}})
	if err != nil {
		h.t.Fatal(err)
	}
	return snap.Events[0]
}

// canaries returns what shows budi's vote on a gate: data, the same in base64, the
// salt, the same in base64, the id of the request and that of the event.
func (h *hush) canaries(secret bool) (list [][]byte) {
	h.t.Helper()
	for _, e := range h.events(secret) {
		if e.Audience != gotong.ForUser("budi") || e.Type != cases.EvVoted {
			continue
		}
		for _, b := range [][]byte{e.Data, e.DataSalt[:]} {
			list = append(list, b, []byte(base64.StdEncoding.EncodeToString(b)))
		}
		list = append(list, []byte(fmt.Sprint("suara-kenari-", secret)), []byte(e.ID.String()))
	}
	if len(list) != 6 {
		h.t.Fatalf("budi has not voted once: %q", list)
	}
	return list
}

// none fails if one of the canaries is in the bytes.
func none(t *testing.T, where string, all []byte, canaries ...[]byte) {
	t.Helper()
	if len(all) == 0 {
		t.Errorf("%s: there is nothing to search", where)
	}
	for _, c := range canaries {
		if at := bytes.Index(all, c); at >= 0 {
			t.Errorf("%s: %q is in …%s", where, c, all[max(0, at-300):min(len(all), at+100)])
		}
	}
}

// webhook adds a webhook to both cases. It returns a function that returns all that
// was sent to it, once both gates have an outcome.
func (h *hush) webhook() func() []byte {
	h.t.Helper()
	r := newReceiver(h.t, nil)
	hook, _ := register(h.t, h.url, "boss-eka", "rt05", r, "")
	for _, s := range h.cases {
		demand(h.t, h.url, "ani", "PUT", "/v1/cases/"+s.ID()+"/webhooks/"+hook, "", http.StatusOK)
	}
	return func() (all []byte) {
		h.t.Helper()
		for _, g := range r.until("both outcomes", func(all []got) bool {
			open := maps.Clone(h.cases)
			for _, g := range all {
				if g.event.Type == "gotong."+cases.EvApplied {
					maps.DeleteFunc(open, func(_ bool, s gotong.Stream) bool { return string(s) == g.stream })
				}
			}
			return len(open) == 0
		}) {
			all = append(all, g.body...)
		}
		return all
	}
}

// TestVotesAreHidden: while a gate is open nobody but its voter finds a vote, by any
// route, in a header, a frame, a request to a webhook, a proof, a public export, the
// metrics or the log; of a secret gate, nobody does later either.
func TestVotesAreHidden(t *testing.T) {
	h := startHush(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	others := []string{"ani", "citra", "stranger", "mod-dewi", "boss-eka"}
	taps, until, untilToo := map[string]*tap{}, map[string]func(string){}, map[string]func(string){}
	members := others[:2]
	for _, user := range others {
		ws, sse := &tap{}, &tap{}
		taps[user], taps[user+", server-sent"] = ws, sse
		until[user], untilToo[user] = h.follow(ctx, user, ws), h.listen(ctx, user, sse)
	}
	sent := h.webhook()
	h.vote()
	for _, s := range h.cases { // an event that shows that all frames before it have arrived
		must(dial(t, h.url, "ani").SetCaseMember(ctx, s.ID(), "eni", []string{"saksi"}))(t)
	}
	for _, user := range others {
		marker := `"error"`
		if slices.Contains(members, user) {
			marker = `"user_id":"eni"`
		}
		until[user](marker)
		untilToo[user](marker)
	}
	abstain := []byte(`:"abstain"`)
	for _, secret := range []bool{false, true} {
		canaries := append(h.canaries(secret), abstain)
		for _, user := range others {
			none(t, user+" while it is open", h.views(user, secret), canaries...)
		}
		if own := h.views("budi", secret); !bytes.Contains(own, abstain) || !bytes.Contains(own, canaries[1]) {
			t.Errorf("the search finds nothing: budi gets %s", own)
		}
		public, _ := h.exports()
		none(t, "the public export while it is open", public, canaries...)
		none(t, "what operators see", h.operators(), append(canaries[:4:4], abstain)...) // but for the ids of requests
	}
	h.clock.Pass(41 * time.Minute)
	for _, user := range members {
		h.follow(ctx, user, taps[user])(`"` + cases.EvApplied + `"`)
		untilToo[user](`"` + cases.EvApplied + `"`)
	}
	none(t, "requests to a webhook", sent(), slices.Concat(h.canaries(false), h.canaries(true))...)
	for user, p := range taps {
		none(t, "frames to "+user, p.text(), slices.Concat(h.canaries(false), h.canaries(true))...)
	}
	canaries := h.canaries(true)
	for _, user := range others {
		none(t, user+" after a secret gate", h.views(user, true), append(canaries, abstain)...)
	}
	canaries = append(canaries, h.canaries(false)...)
	public, full := h.exports()
	none(t, "the public export", public, canaries...)
	none(t, "what operators see later", h.operators(), append(canaries[:4:4], abstain)...)
	if data := h.canaries(true)[1]; !bytes.Contains(full, data) {
		t.Errorf("the search finds nothing: %q is not in the full export", data)
	}
	h.erased(public)
}

// erased erases the texts of a case; no later export holds them.
func (h *hush) erased(public []byte) {
	h.t.Helper()
	content := h.events(true)[0].Content
	texts := [][]byte{[]byte("judul-kenari-true"), content, []byte(base64.StdEncoding.EncodeToString(content))}
	none(h.t, "a public export", public, texts...) // holds no content at all
	if _, full := h.exports(); !bytes.Contains(full, texts[2]) {
		h.t.Error("the search finds nothing: the full export does not hold the text")
	}
	body := encode(map[string]any{"stream": h.cases[true], "seqs": []int{1}, "reason": "a court order"})
	req := must(http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+"/v1/admin/erasures", strings.NewReader(body)))(h.t)
	req.Header.Set("Authorization", "Bearer "+tokenOf("boss-eka"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "erase-1")
	resp, err := h.web.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	public, full := h.exports()
	none(h.t, "a public export after the erasure", public, texts...)
	none(h.t, "a full export after the erasure", full, texts...)
	var e map[string]any
	shown := h.get("ani", fmt.Sprintf("%s/v1/streams/%s/events/1/proof", h.url, h.cases[true]))
	none(h.t, "the proof after the erasure", shown, texts...)
	if json.Unmarshal(shown[bytes.IndexByte(shown, '{'):], &e) != nil || e["content_commitment"] == nil || e["content"] != nil {
		h.t.Errorf("the proof after the erasure: %s", shown)
	}
}
