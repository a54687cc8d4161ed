package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/community/cases"
	"gotong.dev/gotong/internal/store"
)

// affair creates a case of ani's with these members and returns its id.
func (p *person) affair(members ...*person) string {
	p.w.t.Helper()
	id := p.post("/v1/cases", map[string]any{"scope_id": "rt05", "track": "Tuntaskan", "title": "Selokan mampet"}).want(201).str("case_id")
	for _, m := range members {
		p.do(http.MethodPut, "/v1/cases/"+id+"/members/"+m.id, map[string]any{"track_roles": []string{"participant"}}).want(200)
	}
	return id
}

// closeGate passes the window of a transition and closes it, as its timer does.
func (w *world) closeGate(transition string) {
	w.t.Helper()
	id, seq, _ := strings.Cut(transition, ".")
	var gate uint64
	_, _ = fmt.Sscan(seq, &gate)
	key := cases.GateKey(id, gate)
	snap, err := w.store.Load(context.Background(), store.Need{Documents: []gotong.Key{key}})
	if err != nil {
		w.t.Fatal(err)
	}
	var g cases.Gate
	if err := json.Unmarshal(snap.Documents[key], &g); err != nil {
		w.t.Fatal(err)
	}
	w.clock.Pass(max(0, g.ClosesAt.Sub(w.now())) + time.Second)
	if _, err := w.engine.Execute(context.Background(), gotong.Command{
		Stream: gotong.NewStream(cases.Name, id), Type: cases.CmdClose, Data: cases.Close{Gate: gate, Due: g.ClosesAt},
		Actor: gotong.Actor{UserID: "system", Role: gotong.RoleSystem}, RequestID: "timer-" + seq, CorrelationID: "c",
	}); err != nil {
		w.t.Fatal(err)
	}
}

// afresh signs in anew, because the days of a case outlive every token.
func (p *person) afresh() {
	p.w.t.Helper()
	a := p.w.post("/v1/auth/signin", map[string]any{"email": p.name + "@example.org", "pass": "rahasia-" + p.name}).want(200)
	p.token = a.str("access_token")
}

// TestVotesAreHidden: before the close, nothing that anybody else can read differs
// with the choices: not the gate, the timeline, the votes, the case, an ETag or the
// log. After the close of an open gate, the tally shows them; of a secret one, it
// never does.
func TestVotesAreHidden(t *testing.T) {
	for _, secret := range []bool{false, true} {
		t.Run(fmt.Sprint("secret ", secret), func(t *testing.T) {
			w := newWorld(t)
			ani, budi, citra, mod := w.signUp("ani"), w.signUp("budi"), w.signUp("citra"), w.withRole("mod", gotong.RoleModerator)
			id := ani.affair(budi, citra)
			g := ani.post("/v1/transitions", map[string]any{
				"entity_id": id, "from_stage": "Keresahan", "to_stage": "bahas", "gate_profile": "standard", "secret": secret, "gate_status": "open",
			}).want(201).str("transition_id")
			at := "/v1/transitions/" + g
			budi.post(at+"/votes", map[string]any{"choice": "abstain"}).want(200)
			if got := budi.get(at + "/gate").want(200).str("my_choice"); got != "abstain" {
				t.Errorf("budi chose %q", got)
			}
			if votes := budi.get(at + "/votes").want(200).list(); len(votes) != 1 || votes[0]["choice"] != "abstain" {
				t.Errorf("budi sees %v", votes)
			}
			for _, p := range []*person{ani, citra, mod} {
				for _, path := range []string{at, at + "/gate", at + "/votes", "/v1/transitions/" + id + "/timeline", "/v1/transitions/" + id + "/active", "/v1/cases/" + id, "/v1/cases/" + id + "/members", "/v1/cases"} {
					a := p.get(path)
					if strings.Contains(string(a.body), "abstain") || strings.Contains(fmt.Sprint(a.header), "abstain") {
						t.Errorf("%s reads in %s: %s", p.name, path, a.body)
					}
				}
			}
			if log := w.log.String(); strings.Contains(log, "abstain") {
				t.Error("the log of the process has the choice")
			}
			if n := citra.get(at + "/gate").want(200).num("took_part"); n != 1 {
				t.Errorf("%d took part", n)
			}
			w.closeGate(g)
			citra.afresh()
			tally := citra.get(at + "/gate").want(200)
			if strings.Contains(string(tally.body), `"choice"`) == secret || !strings.Contains(string(tally.body), `"abstain":1`) {
				t.Errorf("the tally is %s", tally.body)
			}
			citra.post(at+"/votes", map[string]any{"choice": "no"}).problem(409, gotong.CodeGateClosed)
		})
	}
}

// TestCasesOverREST goes through the routes: who may know, list, propose, object,
// withdraw, and what the timeline shows.
func TestCasesOverREST(t *testing.T) {
	w := newWorld(t)
	ani, budi, dedi := w.signUp("ani"), w.signUp("budi"), w.signUp("dedi")
	id := ani.affair(budi)
	at := "/v1/cases/" + id
	if got := dedi.get(at).want(200); got.str("active_stage") != "keresahan" || got.str("track") != "tuntaskan" {
		t.Errorf("%s", got.body)
	}
	dedi.get(at+"/members").problem(403, gotong.CodeForbidden)
	dedi.get("/v1/transitions/"+id+"/timeline").problem(404, gotong.CodeNotFound)
	if list := dedi.get("/v1/cases?scope_id=rt05").want(200).list(); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if list := dedi.get("/v1/cases").want(200).list(); len(list) != 0 {
		t.Errorf("%v", list)
	}
	body := map[string]any{"entity_id": id, "from_stage": "keresahan", "to_stage": "bahas"}
	budi.post("/v1/transitions", body).problem(403, gotong.CodeForbidden)
	ani.post("/v1/transitions", map[string]any{"entity_id": id, "from_stage": "keresahan", "to_stage": "tuntas"}).problem(409, gotong.CodeNoSuchStep)
	first := ani.post("/v1/transitions", body, key("p1")).want(201)
	if again := ani.post("/v1/transitions", body, key("p1")).want(201); again.str("transition_id") != first.str("transition_id") {
		t.Errorf("%s", again.body)
	}
	gate := "/v1/transitions/" + first.str("transition_id")
	if got := budi.get(gate).want(200); got.str("retention_tag") != "transition:tuntaskan:keresahan->bahas" || got.str("event_hash") == "" {
		t.Errorf("%s", got.body)
	}
	budi.post(gate+"/objections", map[string]any{"reason": "Belum jelas"}).want(200)
	budi.post(gate+"/withdraw", nil).problem(403, gotong.CodeForbidden)
	ani.post(gate+"/withdraw", nil).want(200)
	for _, bad := range []string{"x", id, id + ".", id + ".0", id + ".03", id + ".99999", "case-x.1"} {
		ani.get("/v1/transitions/"+bad+"/gate").problem(404, gotong.CodeNotFound)
	}
	line := ani.get("/v1/transitions/" + id + "/timeline?transition_id=" + first.str("transition_id")).want(200).list()
	if len(line) != 3 || line[1]["type"] != cases.EvObjected {
		t.Errorf("%v", line)
	}
	if line = ani.get("/v1/transitions/" + id + "/timeline?actor=" + budi.id).want(200).list(); len(line) != 1 {
		t.Errorf("%v", line)
	}
	page := ani.get("/v1/transitions/" + id + "/timeline?limit=2").want(200)
	if rest := ani.get("/v1/transitions/" + id + "/timeline?after_seq=" + page.header.Get("X-Next-Seq")).want(200).list(); len(page.list()) != 2 || len(rest) != 3 {
		t.Errorf("%v", rest)
	}
	ani.do(http.MethodDelete, at+"/members/"+budi.id, nil).want(200)
	budi.get("/v1/transitions/"+id+"/timeline").problem(404, gotong.CodeNotFound)
	ani.post(at+"/leave", nil).want(200)
}
