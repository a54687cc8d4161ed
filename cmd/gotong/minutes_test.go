package main

import (
	"testing"
	"time"

	"gotong.dev/gotong/client"
)

// The tail of a case reads like the minutes of a meeting.
func TestTailOfACaseReadsLikeMinutes(t *testing.T) {
	std, out, _ := pipes(nil)
	lines := newTailLines(std, time.FixedZone("WIB", 7*3600))
	for i, e := range []struct{ clock, typ, actor, data string }{
		{"03:00:00", "case.created", "Sari", `{"scope_id":"rt05","track":"tuntaskan","stage":"bahas","title":"Selokan mampet"}`},
		{"03:00:10", "member.seated", "Sari", `{"user_id":"u-Budi","track_roles":["participant","bendahara"]}`},
		{"03:01:00", "transition.proposed", "Sari", `{"transition":3,"from_stage":"bahas","to_stage":"garap","terms":{"gate_type":"consent"},"voters":3,"closes_at":"2026-08-18T03:01:00.000000Z"}`},
		{"03:02:00", "transition.objected", "Budi", `{"transition":3,"closes_at":"2026-08-19T03:02:00.000000Z","reason":"Belum ada dana"}`},
		{"03:03:00", "transition.voted", "Sari", `{"transition":3,"choice":"yes"}`},
		{"03:04:00", "transition.reminded", "system", `{"transition":3,"closes_at":"2026-08-19T03:02:00.000000Z"}`},
		{"03:05:00", "transition.tallied", "system", `{"transition":3,"passed":false,"why":"quorum","voters":3,"needed":2,"yes":1,"no":0,"abstain":0}`},
		{"03:05:00", "transition.rejected", "system", `{"transition":3,"why":"quorum","stage":"bahas"}`},
		{"03:06:00", "transition.approved", "Wati", `{"transition":9,"closes_at":"2026-08-24T03:06:00.000000Z"}`},
		{"03:07:00", "transition.disputed", "Budi", `{"transition":12,"closes_at":"2026-08-24T03:07:00.000000Z","reason":"Masih mampet"}`},
		{"03:08:00", "dispute.resolved", "Wati", `{"transition":12,"confirmed":true,"reason":"Sudah lancar"}`},
		{"03:08:00", "transition.applied", "Wati", `{"transition":12,"why":"confirmed","stage":"tuntas"}`},
		{"03:09:00", "vote.voided", "Wati", `{"transition":12,"user_id":"u-Budi","vote":7,"reason":"Bukan warga"}`},
		{"03:10:00", "member.removed", "Sari", `{"user_id":"u-Budi"}`},
		{"03:11:00", "member.removed", "Sari", `{"user_id":"u-Sari"}`},
		{"03:12:00", "case.moved", "Sari", `{}`},
		{"03:13:00", "webhook.added", "Sari", `{"webhook_id":"whk-1"}`},
		{"03:14:00", "webhook.removed", "Sari", `{"webhook_id":"whk-1"}`},
	} {
		event := eventAt(uint64(i+1), "2026-08-17 "+e.clock, e.typ, e.actor, e.data)
		event.Stream = "case/case-1"
		if err := lines.event(event); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/minutes.golden", out.String())
	if err := lines.event(client.Event{Stream: "case/case-1", Data: []byte(`[]`)}); err == nil {
		t.Error("data that is no object passes")
	}
}
