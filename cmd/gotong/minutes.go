package main

import (
	"fmt"
	"strings"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// caseData is the data of the events of cases, as far as lines show it.
type caseData struct {
	UserID     string         `json:"user_id"`
	WebhookID  string         `json:"webhook_id"`
	TrackRoles []string       `json:"track_roles"`
	Title      string         `json:"title"`
	Track      string         `json:"track"`
	Stage      string         `json:"stage"`
	From       string         `json:"from_stage"`
	To         string         `json:"to_stage"`
	Reason     string         `json:"reason"`
	Choice     string         `json:"choice"`
	Why        string         `json:"why"`
	ClosesAt   gotong.Instant `json:"closes_at"`
	Voters     int            `json:"voters"`
	Needed     int            `json:"needed"`
	Yes        int            `json:"yes"`
	No         int            `json:"no"`
	Abstain    int            `json:"abstain"`
	Passed     bool           `json:"passed"`
	Confirmed  bool           `json:"confirmed"`
	Terms      struct {
		Gate string `json:"gate_type"`
	} `json:"terms"`
}

// minutes describes an event of a case as the minutes of a meeting do, and
// returns the reason that somebody gave.
func (t *tailLines) minutes(e client.Event) (what, reason string, err error) {
	var d caseData
	if err := e.Decode(&d); err != nil {
		return "", "", fmt.Errorf("event %d cannot be decoded: %w", e.Seq, err)
	}
	who := ""
	if d.UserID != "" {
		who = t.name(d.UserID, "")
	}
	until := "until " + d.ClosesAt.Time().In(t.zone).Format("2006-01-02 15:04")
	switch e.Type {
	case "case.created":
		what = "opened the case " + d.Title + ", on the track " + d.Track + ", in the stage " + d.Stage
	case "member.seated":
		what = "made " + who + " " + strings.Join(d.TrackRoles, ", ")
	case "member.removed":
		what = "removed " + who
		if d.UserID == e.Actor.UserID {
			what = "left"
		}
	case "webhook.added", "webhook.removed":
		what = moved(e.Type == "webhook.added", false, "the webhook "+d.WebhookID)
	case "transition.proposed":
		gate := strings.ReplaceAll(d.Terms.Gate, "_", " ")
		what = fmt.Sprintf("proposed %s → %s: %s of %s, %s", d.From, d.To, gate, count(d.Voters, "voter"), until)
	case "transition.objected":
		what = "objected; a vote, " + until
	case "transition.approved":
		what = "approved the fast track; a vote ratifies it, " + until
	case "transition.voted":
		what = "you voted " + d.Choice
	case "vote.voided":
		what = "voided your vote"
	case "transition.reminded":
		what = "you have not voted yet; there is time " + until
	case "transition.tallied":
		what = fmt.Sprintf("counted %d yes, %d no and %d abstain of %s, with %d needed: %s",
			d.Yes, d.No, d.Abstain, count(d.Voters, "voter"), d.Needed, passed(d.Passed, d.Why))
	case "transition.disputed":
		what = "disputed the step; a moderator decides, " + until
	case "dispute.resolved":
		what = map[bool]string{true: "confirmed the step", false: "rejected the step"}[d.Confirmed]
	case "transition.applied", "transition.rejected", "transition.cancelled", "transition.ratified", "transition.undone":
		what = strings.TrimPrefix(e.Type, "transition.") + ", because of " + strings.ReplaceAll(d.Why, "_", " ")
		what += ": the stage is " + d.Stage
	default:
		what = e.Type
	}
	return what, d.Reason, nil
}

func passed(ok bool, why string) string {
	if ok {
		return "passed"
	}
	return "failed, for want of " + strings.ReplaceAll(why, "_", " ")
}
