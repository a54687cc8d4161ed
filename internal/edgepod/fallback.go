package edgepod

import (
	"encoding/json"
	"maps"
)

// PolicyFallback is the reason code of the fallback of moderation.
const PolicyFallback = "policy_fallback"

// object is an output that this server makes itself.
type object map[string]any

// none is an empty list; a nil one would be null.
var none = []any{}

// fallbacks are the documented outputs of the contracts without an answer, and
// their confidence. [fallback] adds what comes from the request.
var fallbacks = map[string]struct {
	out        object
	confidence float64
}{
	"EP-00": {object{
		"entry_flow": "community", "track": manual, "seed_type": manual, "context_bar_state": "probing", "is_split_candidate": false,
	}, 0},
	"EP-01": {object{"track": manual, "track_confidence": 0, "seed_type": manual, "seed_confidence": 0, "ambiguity_flag": true}, 0},
	"EP-02": {object{"redaction_count": 0, "redacted_items": none, "needs_manual_review": true}, 0},

	Duplicates: {object{"matches": none, "top_match": "", "confidence": 0.2, "auto_block": false}, 0.2},
	Moderation: {object{
		"status": "ok", "violations": none, "action": "publish", "hold_duration_minutes": 0, "auto_release_if_no_action": false,
		"reason_code": PolicyFallback,
	}, 0},
	Gaming:  {object{"flags": none, "summary": object{"total_flags": 0, "critical_count": 0}, "recommendation": "none"}, 0.2},
	"EP-06": {object{"suggested_criteria": none, "suggested_tasks": none, "task_decomposition_confidence": 0}, 0},
	Summary: {object{"summary": "", "key_points": none, "raw_items": true}, 0},
	Media:   {object{"scans": none, "overall_safety": "review", "is_actionable": false}, 0.3},
	Credit:  {object{"candidate_allocations": none, "confidence": 0.3, "dispute_window": "days", "confidence_source": "fallback"}, 0.3},
	"EP-10": {object{"esco_skills": none}, 0},
	"EP-11": {object{
		"responder_payload": object{"channels": none, "template": ""}, "timeline_window": "PT1H", "override_policy": "human_only",
		"confidence": 0.25,
	}, 0.25},
}

// fallback returns the documented answer to a call without one.
func fallback(call Call, reason Reason) Answer {
	var q input
	_ = json.Unmarshal(call.Request, &q) // the request is valid
	out, code := maps.Clone(fallbacks[call.Contract.ID].out), string(reason)
	switch call.Contract.ID {
	case "EP-02":
		out["redacted_text"] = q.Text
	case Moderation:
		code = PolicyFallback
	case "EP-11":
		out["severity"] = map[string]string{"low": "low", "normal": "medium", "high": "high", "critical": "critical"}[q.Urgency]
		out["is_siaga"], out["scope"] = q.Urgency == "high" || q.Urgency == "critical", q.Scope
	}
	a := answer(q.RequestID, out, fallbacks[call.Contract.ID].confidence)
	a.ReasonCode = code
	a.ActorContext = &ActorContext{Fallback: true, Reason: string(reason), Endpoint: call.Contract.Endpoint()}
	if call.Contract.ID == "EP-01" {
		a.ManualRequired = new(true)
	}
	return a
}

// answer returns an answer that this server makes itself.
func answer(requestID string, out object, confidence float64) Answer {
	body, err := json.Marshal(out)
	if err != nil { // an object of strings, numbers and lists has a JSON form
		panic(err)
	}
	return Answer{RequestID: requestID, ResultVersion: ResultVersion, Output: body, Confidence: new(confidence), ReasonCode: "OK"}
}
