package edgepod

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"regexp"
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

// input is what the rules read of a request.
type input struct {
	RequestID string     `json:"request_id"`
	Text      string     `json:"text"`
	SeedText  string     `json:"seed_text"`
	Privacy   string     `json:"privacy_signal"`
	Track     string     `json:"track"`
	Redact    *bool      `json:"allow_redaction"`
	Reports   int        `json:"report_volume"`
	Urgency   string     `json:"reported_urgency"`
	Scope     string     `json:"community_scope"`
	Excluded  []string   `json:"exclude_seed_ids"`
	Texts     []string   `json:"input_texts"`
	Messages  []textual  `json:"messages"`
	MaxItems  int        `json:"max_items"`
	Start     time.Time  `json:"window_start"`
	End       time.Time  `json:"window_end"`
	Existing  []string   `json:"existing_skills"`
	Declared  []string   `json:"self_declared"`
	Options   candidates `json:"query_options"`
}

type textual struct {
	Text string `json:"text"`
	At   string `json:"at"`
}

type candidates struct {
	Candidates []candidate `json:"candidates"`
	Least      *float64    `json:"min_similarity"`
}

type candidate struct {
	ID   string `json:"seed_id"`
	Text string `json:"text"`
}

const manual = "manual"

func triage(q input) (object, float64) {
	t := newText(q.Text)
	track, hits, second := t.best(tracks)
	out := object{
		"entry_flow": "community", "track": cmp.Or(track, manual), "seed_type": "laporan", "context_bar_state": "probing",
		"is_split_candidate": second > 0 && second == hits,
	}
	switch kind, danger := emergency(t); {
	case danger:
		out["entry_flow"], out["context_bar_state"], out["seed_type"] = "siaga", "siaga-ready", kind
	case q.Privacy == "vault" || q.Privacy == "rahasia" || t.hits(secrets) > 0:
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
	if first == 0 {
		return 0
	}
	return math.Min(0.9, float64(first)/float64(first+second+1))
}

func classify(q input) (object, float64) {
	t := newText(q.Text)
	track, hits, second := t.best(tracks)
	kind, danger := emergency(t)
	if !danger {
		kind = "laporan"
	}
	confidence := share(hits, second)
	return object{
		"track": cmp.Or(track, manual), "track_confidence": confidence, "seed_type": kind, "seed_confidence": confidence,
		"ambiguity_flag": hits == 0 || hits == second,
	}, confidence
}

// The similarity from which a text is listed as a duplicate, and from which the
// user is warned, or advised to use the other.
const (
	listed  = 0.5
	warned  = 0.6
	blocked = 0.9
)

func duplicates(q input) (object, float64) {
	mine, ok := sign(q.SeedText)
	type match struct {
		ID             string  `json:"seed_id"`
		Similarity     float64 `json:"similarity"`
		Distance       float64 `json:"distance_km"`
		Recommendation string  `json:"recommendation"`
	}
	matches := []match{}
	least := listed
	if q.Options.Least != nil {
		least = *q.Options.Least
	}
	for _, c := range q.Options.Candidates {
		other, long := sign(c.Text)
		if !ok || !long || slices.Contains(q.Excluded, c.ID) {
			continue
		}
		m := match{ID: c.ID, Similarity: mine.alike(&other), Recommendation: "allow"}
		switch {
		case m.Similarity < least:
			continue
		case m.Similarity >= blocked:
			m.Recommendation = "block"
		case m.Similarity >= warned:
			m.Recommendation = "warn"
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
	violations := []string{}
	for _, l := range dangers {
		if t.hits(l) > 0 {
			violations = append(violations, l.name)
		}
	}
	if t.hits(insults) > 0 && t.hits(addressed) > 0 {
		violations = append(violations, insults.name)
	}
	if strings.Count(strings.ToLower(q.Text), "http") >= maxLinks && !toSomebody.MatchString(q.Text) {
		violations = append(violations, "spam")
	}
	out := object{
		"status": "ok", "violations": violations, "action": "publish", "hold_duration_minutes": 0, "auto_release_if_no_action": false,
		"reason_code": "OK",
	}
	hold := func(status, action, reason string, minutes int, release bool) {
		out["status"], out["action"], out["reason_code"] = status, action, reason
		out["hold_duration_minutes"], out["auto_release_if_no_action"] = minutes, release
	}
	switch {
	case slices.Contains(violations, "child_safety"):
		hold("escalate", "hold", "word_list", 60, false)
	case slices.Contains(violations, "violence"), slices.Contains(violations, "hate"), slices.Contains(violations, "illegal"):
		hold("hold", "hold", "word_list", 15, false)
	case len(violations) > 0:
		hold("hold", "review", "word_list", 15, true)
	case q.Reports >= reported:
		hold("hold", "hold", "reports", 60, true)
	case q.Reports >= flagged:
		hold("hold", "queue_review", "reports", 15, true)
	default:
		return out, 0.6
	}
	out["reasoning"] = "Word lists: " + strings.Join(violations, ", ")
	return out, 0.7
}

// maxLinks are as many links as make a message look like spam, unless it begins with
// a name, as an answer to somebody does.
const maxLinks = 4

var toSomebody = regexp.MustCompile(`^@?[\pL\pN_.-]{1,30}[,:] `)

// templates are criteria and tasks that fit each track.
var templates = map[string][2][]string{
	"tuntaskan": {{"Masalah tidak muncul lagi selama 7 hari", "Pelapor melihat hasilnya"},
		{"Periksa lokasi", "Hitung bahan dan biaya", "Kerjakan bersama"}},
	"wujudkan":   {{"Hasil dapat dipakai semua warga"}, {"Susun rencana", "Kumpulkan bahan", "Bagi tugas"}},
	"telusuri":   {{"Pertanyaan terjawab dengan bukti"}, {"Kumpulkan keterangan", "Uji dugaan"}},
	"rayakan":    {{"Semua yang membantu disebut"}, {"Kumpulkan cerita dan foto"}},
	"musyawarah": {{"Keputusan dicatat dan diumumkan"}, {"Undang warga", "Catat usul", "Ambil keputusan"}},
}

// must marks sentences that say what has to be done.
var must = list{"must", []string{"harus", "perlu", "wajib", "sebaiknya", "tolong", "mohon", "jangan", "must", "should",
	"need", "needs", "have to", "please", "todo"}}

func criteria(q input) (object, float64) {
	t := templates[q.Track]
	tasks := slices.Clone(t[1])
	for _, s := range sentences(q.SeedText) {
		if newText(s).hits(must) > 0 && len(tasks) < 20 {
			tasks = append(tasks, clip(s, 500))
		}
	}
	confidence := 0.0
	if len(t[0]) > 0 {
		confidence = 0.3
	}
	return object{
		"suggested_criteria": append([]string{}, t[0]...), "suggested_tasks": append([]string{}, tasks...),
		"task_decomposition_confidence": confidence, "user_agency_note": "Ini hanya usulan; warga yang memutuskan.",
	}, confidence
}

func extractSkills(q input) (object, float64) {
	type skill struct {
		URI       string  `json:"uri"`
		Score     float64 `json:"score"`
		Source    string  `json:"source"`
		Validated bool    `json:"validated"`
	}
	found := []skill{}
	said, had := newText(q.Text), newText(strings.Join(slices.Concat(q.Existing, q.Declared), ". "))
	for _, l := range skills {
		score, source := 0.0, "text"
		if said.hits(l) > 0 {
			score = math.Min(0.9, 0.5+0.2*float64(said.hits(l)))
		}
		if had.hits(l) > 0 {
			score, source = max(score, 0.8), "declared"
		}
		if score > 0 {
			found = append(found, skill{"https://gotong.dev/skills/" + l.name, score, source, false})
		}
	}
	return object{"esco_skills": found}, 0.5
}

// emergency returns the kind of emergency that a text reports. One word is enough
// with a call for help; a drill or a story is none.
func emergency(t text) (kind string, is bool) {
	kind, hits, _ := t.best(emergencies)
	return kind, hits > 0 && t.hits(drills) == 0 && (hits > 1 || t.hits(callsForHelp) > 0)
}

func siaga(q input) (object, float64) {
	t := newText(q.Text)
	kind, is := emergency(t)
	_, hits, _ := t.best(emergencies)
	urgent := q.Urgency == "high" || q.Urgency == "critical"
	is = is || urgent && hits > 0 && t.hits(drills) == 0
	severity := "low"
	switch {
	case is && (q.Urgency == "critical" || hits > 1 && t.hits(callsForHelp) > 1):
		severity = "critical"
	case is && urgent:
		severity = "high"
	case is:
		severity = "medium"
	}
	template := ""
	if is {
		template = kind + ": " + clip(q.Text, 500)
	}
	confidence := share(hits+t.hits(callsForHelp), t.hits(drills))
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
