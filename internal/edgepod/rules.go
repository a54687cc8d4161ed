package edgepod

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// Rules is the provider that computes its answers from the request alone: with
// word lists, MinHash and extraction. It is deterministic, and no text leaves the
// process.
type Rules struct{}

// Name implements [Provider].
func (Rules) Name() string { return "rules" }

// Remote implements [Provider].
func (Rules) Remote() bool { return false }

// Ask implements [Provider].
func (Rules) Ask(_ context.Context, c *Contract, body []byte) ([]byte, error) {
	rule := rules[c.ID]
	if rule == nil {
		return nil, &ProviderError{Reason: Unavailable}
	}
	var q input
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	out, confidence := rule(q)
	a := answer(q.RequestID, out, confidence)
	if c.ID == "EP-01" {
		a.ManualRequired = new(out["ambiguity_flag"] == true)
	}
	return json.Marshal(a)
}

// rules has no rule for EP-05, EP-08 and EP-09: word lists say nothing about
// behaviour, media or credit.
var rules = map[string]func(input) (object, float64){
	"EP-00": triage, "EP-01": classify, "EP-02": redact, Duplicates: duplicates, Moderation: moderate,
	"EP-06": criteria, Summary: summarise, "EP-10": extractSkills, "EP-11": siaga,
}

// input is what this server itself reads of a request.
type input struct {
	RequestID string    `json:"request_id"`
	Text      string    `json:"text"`
	SeedText  string    `json:"seed_text"`
	Privacy   string    `json:"privacy_signal"`
	Track     string    `json:"track"`
	Redact    *bool     `json:"allow_redaction"`
	Reports   int       `json:"report_volume"`
	Urgency   string    `json:"reported_urgency"`
	Scope     string    `json:"community_scope"`
	Excluded  []string  `json:"exclude_seed_ids"`
	Users     []string  `json:"query_users"`
	URLs      []string  `json:"media_urls"`
	Texts     []string  `json:"input_texts"`
	MaxItems  int       `json:"max_items"`
	Start     time.Time `json:"window_start"`
	End       time.Time `json:"window_end"`
	Existing  []string  `json:"existing_skills"`
	Declared  []string  `json:"self_declared"`
	Messages  []struct {
		Text string `json:"text"`
		At   string `json:"at"`
	} `json:"messages"`
	Options struct {
		Least      *float64 `json:"min_similarity"`
		Candidates []struct {
			ID   string `json:"seed_id"`
			Text string `json:"text"`
		} `json:"candidates"`
	} `json:"query_options"`
}

const manual = "manual"

func triage(q input) (object, float64) {
	t := newText(q.Text)
	track, hits, second := t.best("track")
	kind, danger := emergency(t)
	out := object{
		"entry_flow": "community", "track": cmp.Or(track, manual), "seed_type": kind, "context_bar_state": "probing",
		"is_split_candidate": second > 0 && second == hits,
	}
	switch {
	case danger:
		out["entry_flow"], out["context_bar_state"] = "siaga", "siaga-ready"
	case q.Privacy == "vault" || q.Privacy == "rahasia" || t.count("secret") > 0:
		out["entry_flow"], out["context_bar_state"] = "vault", "vault-ready"
	case hits > 1:
		out["context_bar_state"] = "ready"
	case hits == 1:
		out["context_bar_state"] = "leaning"
	default:
		out["follow_up_question"] = "Apa yang ingin dilakukan bersama? / What should we do together?"
	}
	return out, share(hits, second)
}

// share is how far the first of two counts leads, 0 to 0.9.
func share(first, second int) float64 {
	return math.Min(0.9, float64(first)/float64(first+second+1))
}

func classify(q input) (object, float64) {
	t := newText(q.Text)
	track, hits, second := t.best("track")
	kind, _ := emergency(t)
	confidence := share(hits, second)
	return object{
		"track": cmp.Or(track, manual), "track_confidence": confidence, "seed_type": kind, "seed_confidence": confidence,
		"ambiguity_flag": hits == second,
	}, confidence
}

// The similarity from which a text is a match, and from which the user is warned,
// or advised to use the other.
const (
	matched = 0.5
	warned  = 0.6
	blocked = 0.9
)

func duplicates(q input) (object, float64) {
	type match struct {
		ID             string  `json:"seed_id"`
		Similarity     float64 `json:"similarity"`
		Distance       float64 `json:"distance_km"`
		Recommendation string  `json:"recommendation"`
	}
	matches, least := []match{}, matched
	if q.Options.Least != nil {
		least = *q.Options.Least
	}
	mine, ok := sign(q.SeedText)
	for _, c := range q.Options.Candidates {
		other, long := sign(c.Text)
		m := match{ID: c.ID, Similarity: mine.alike(&other), Recommendation: "allow"}
		if !ok || !long || m.Similarity < least || slices.Contains(q.Excluded, c.ID) {
			continue
		}
		if m.Similarity >= warned {
			m.Recommendation = "warn"
		}
		if m.Similarity >= blocked {
			m.Recommendation = "block"
		}
		matches = append(matches, m)
	}
	slices.SortStableFunc(matches, func(a, b match) int { return cmp.Compare(b.Similarity, a.Similarity) })
	top, confidence := "", 0.5
	if len(matches) > 0 {
		top, confidence = matches[0].ID, matches[0].Similarity
	}
	return object{"matches": matches, "top_match": top, "confidence": confidence, "auto_block": false}, confidence
}

// The reports after which content is proposed for review, or for a hold.
const (
	flagged  = 3
	reported = 5
)

func moderate(q input) (object, float64) {
	t := newText(q.Text)
	found := lists["danger"]
	if t.count("warning") == 0 {
		found = slices.Concat(found, lists["offer"])
	}
	violations := []string{}
	for _, l := range found {
		if t.hits(l) > 0 || l.name == "harassment" && t.insults() {
			violations = append(violations, l.name)
		}
	}
	advise := func(status, action, reason string, minutes int, release bool) (object, float64) {
		return object{
			"status": status, "action": action, "reason_code": reason, "violations": violations, "hold_duration_minutes": minutes,
			"auto_release_if_no_action": release, "reasoning": strings.Join(violations, ", "),
		}, 0.7
	}
	grave := func(name string) bool { return name != "harassment" && name != "spam" }
	switch {
	case slices.Contains(violations, "child_safety"):
		return advise("escalate", "hold", "word_list", 60, false)
	case slices.ContainsFunc(violations, grave):
		return advise("hold", "hold", "word_list", 15, false)
	case len(violations) > 0:
		return advise("hold", "review", "word_list", 15, true)
	case q.Reports >= reported:
		return advise("hold", "hold", "reports", 60, true)
	case q.Reports >= flagged:
		return advise("hold", "queue_review", "reports", 15, true)
	default:
		return advise("ok", "publish", "OK", 0, false)
	}
}

func criteria(q input) (object, float64) {
	done := append([]string{}, named("criterion", q.Track)...)
	return object{
		"suggested_criteria": done, "suggested_tasks": demands(sentences(q.SeedText), 20),
		"task_decomposition_confidence": 0.3 * float64(min(1, len(done))), "user_agency_note": "Ini hanya usulan; warga yang memutuskan.",
	}, 0.3
}

func extractSkills(q input) (object, float64) {
	found := []object{}
	text, own := newText(q.Text), newText(strings.Join(slices.Concat(q.Existing, q.Declared), ". "))
	for _, l := range lists["skill"] {
		score, source := 0.2*float64(min(2, text.hits(l))), "text"
		if own.hits(l) > 0 {
			score, source = 0.3, "declared"
		}
		if score > 0 {
			uri := "https://gotong.dev/skills/" + l.name
			found = append(found, object{"uri": uri, "score": 0.5 + score, "source": source, "validated": false})
		}
	}
	return object{"esco_skills": found}, 0.5
}

// emergency returns the kind of emergency that a text reports, or of a report of
// none. One word is enough with a call for help; a drill or a story is none.
func emergency(t text) (kind string, is bool) {
	kind, hits, _ := t.best("emergency")
	if hits == 0 || t.count("drill") > 0 || hits == 1 && t.count("help") == 0 {
		return "laporan", false
	}
	return kind, true
}

func siaga(q input) (object, float64) {
	t := newText(q.Text)
	kind, hits, _ := t.best("emergency")
	_, is := emergency(t)
	help, drill := t.count("help"), t.count("drill")
	urgent := q.Urgency == "high" || q.Urgency == "critical"
	severity, template := "low", ""
	if is = is || urgent && hits > 0 && drill == 0; is {
		severity, template = "medium", kind+": "+clip(q.Text, 500)
	}
	switch {
	case is && (q.Urgency == "critical" || hits > 1 && help > 1):
		severity = "critical"
	case is && urgent:
		severity = "high"
	}
	confidence := share(hits+help, drill)
	return object{
		"is_siaga": is, "severity": severity, "responder_payload": object{"channels": []string{"push"}, "template": template},
		"scope": q.Scope, "timeline_window": "PT1H", "override_policy": "manual_approve_only", "confidence": confidence,
	}, confidence
}

// clip returns at most n runes.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
