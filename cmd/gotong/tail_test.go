package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gotong.dev/gotong"
	"gotong.dev/gotong/client"
)

// eventAt is an event as the server would show it.
func eventAt(seq uint64, clock, typ, actor, data string) client.Event {
	at, err := time.Parse(time.DateTime, clock)
	if err != nil {
		panic(err)
	}
	id := gotong.NewEventID(gotong.InstantOf(at), seq)
	return client.Event{
		Stream: "thread/t", Epoch: "epoch", Seq: seq, ID: id, Type: typ, At: gotong.InstantOf(at),
		Actor: client.Actor{UserID: "u-" + actor, Name: actor}, Data: json.RawMessage(data),
	}
}

func TestTailLines(t *testing.T) {
	std, out, _ := pipes(nil)
	lines := newTailLines(std, time.FixedZone("WIB", 7*3600))
	first := eventAt(3, "2026-08-17 03:00:05", "message.posted", "Sari", `{"n":1,"body":"Posko buka sampai malam, silakan datang"}`)
	second := eventAt(4, "2026-08-17 03:00:06", "message.posted", "Pak.Joko.Santoso", `{"n":2,"body":"Dua baris:\nini yang kedua"}`)
	quote := func(data string, e client.Event) string { return fmt.Sprintf(data, e.ID) }
	for _, e := range []client.Event{
		eventAt(1, "2026-08-17 03:00:00", "thread.created", "Sari", `{"scope_id":"rt05"}`),
		eventAt(2, "2026-08-17 03:00:01", "member.added", "Sari", `{"user_id":"u-Budi","role":"member"}`),
		first, second,
		eventAt(5, "2026-08-17 03:01:00", "message.posted", "Budi", quote(`{"n":3,"body":"Siap","reply_to":"%s"}`, first)),
		eventAt(6, "2026-08-17 03:02:00", "message.reacted", "Budi", quote(`{"message_id":"%s","emoji":"👍","on":true}`, first)),
		eventAt(7, "2026-08-17 03:02:01", "message.reacted", "Budi", quote(`{"message_id":"%s","emoji":"👍","on":false}`, first)),
		eventAt(8, "2026-08-17 03:03:00", "message.edited", "Sari", quote(`{"message_id":"%s","revision":1,"body":"Posko tutup"}`, first)),
		eventAt(9, "2026-08-17 03:03:30", "message.reacted", "Budi", quote(`{"message_id":"%s","emoji":"🙏","on":true}`, first)),
		eventAt(10, "2026-08-17 03:04:00", "message.deleted", "Sari", quote(`{"message_id":"%s","revision":2}`, first)),
		eventAt(11, "2026-08-17 03:04:30", "message.edited", "Sari", quote(`{"message_id":"%s","revision":1}`, first)),
		eventAt(12, "2026-08-17 03:05:00", "message.posted", "Sari", `{"n":4,"deleted_at_ms":1,"revision":1}`),
		eventAt(13, "2026-08-17 03:05:01", "message.posted", "Sari", `{"n":5,"body":"sudah diubah","revision":2}`),
		eventAt(14, "2026-08-17 03:05:02", "message.posted", "Sari", `{"n":6,"body":"balasan","reply_to":"01a20890-e332-7147-b910-43248ff07cf8"}`),
		eventAt(15, "2026-08-17 03:06:00", "message.posted", "Sari", `{"n":7,"body":"jahat \u001b[31mmerah\u0007 \u202etxet\u202c","sent_by":"Wati","sent_at_ms":1155735660000}`),
		eventAt(16, "2026-08-17 03:07:00", "member.removed", "Sari", `{"user_id":"import:x","sent_by":"spammer","sent_at_ms":1155735661000}`),
		eventAt(17, "2026-08-17 03:08:00", "member.muted", "Sari", `{"user_id":"u-Budi","until_ms":1786939200000}`),
		eventAt(18, "2026-08-17 03:08:01", "member.muted", "Sari", `{"user_id":"u-Budi","until_ms":0}`),
		eventAt(19, "2026-08-17 03:08:02", "member.role_changed", "Sari", `{"user_id":"u-Budi","role":"owner"}`),
		eventAt(20, "2026-08-17 03:08:03", "thread.history_changed", "Sari", `{"policy":"from_join"}`),
		eventAt(20, "2026-08-17 03:08:03", "thread.updated", "Sari", `{"changed":["name","icon"],"name":"Banjir","icon":"🌧️"}`),
		eventAt(20, "2026-08-17 03:08:03", "thread.updated", "Sari", `{"changed":["topic"]}`),
		eventAt(20, "2026-08-17 03:08:03", "thread.archived", "Sari", `{}`),
		eventAt(20, "2026-08-17 03:08:03", "thread.unarchived", "Sari", `{}`),
		eventAt(21, "2026-08-17 03:08:04", "member.left", "Budi", `{"user_id":"u-Budi"}`),
		eventAt(22, "2026-08-17 03:08:05", "member.joined", "Budi", `{"user_id":"u-Budi","role":"member"}`),
		eventAt(23, "2026-08-17 03:08:06", "member.added", "Sari", `{"user_id":"0192f0c1-2345-8abc-9def-0123456789ab"}`),
		eventAt(24, "2026-08-17 03:08:07", "case.opened", "Sari", `{}`),
		eventAt(25, "2026-08-17 03:08:08", "group.created", "Sari", `{"name":"RT 05"}`),
		eventAt(26, "2026-08-17 17:00:00", "message.posted", "Sari", `{"body":"tengah malam"}`),
	} {
		if err := lines.event(e); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "testdata/tail.golden", out.String())
	if err := lines.event(eventAt(27, "2026-08-17 17:00:00", "message.posted", "Sari", `[]`)); err == nil {
		t.Error("data that is no object passes")
	}
}

func TestTailForgetsTheOldest(t *testing.T) {
	std, _, _ := pipes(nil)
	lines := newTailLines(std, time.UTC)
	for i := range maxShown + 10 {
		lines.remember(gotong.NewEventID(gotong.Instant(i+1)*1000, uint64(i)), shown{"a", "b", "c"})
	}
	if len(lines.messages) != maxShown || len(lines.order) != maxShown {
		t.Errorf("%d and %d are remembered", len(lines.messages), len(lines.order))
	}
}

func TestColour(t *testing.T) {
	for _, c := range []struct {
		colour bool
		want   string
	}{{true, "\x1b[2m--- Monday, 17 August 2026 ---\x1b[0m\n\x1b[2m03:00:00\x1b[0m  \x1b[3"}, {false, "--- Monday, 17 August 2026 ---\n03:00:00  Sari          ["}} {
		std, out, _ := pipes(nil)
		std.colour = c.colour
		if err := newTailLines(std, time.UTC).event(eventAt(1, "2026-08-17 03:00:00", "member.joined", "Sari", `{}`)); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.HasPrefix(got, c.want) || !strings.Contains(got, "[joined]") {
			t.Errorf("%q, want %q…", got, c.want)
		}
	}
}

// tail shows an imported thread as its golden lines, and the ways to begin.
func TestTailOfAnImport(t *testing.T) {
	url := serving(t, "--user-rate=100000", "--user-burst=100000")
	token := account(t, url, "Wati")
	report := imported(t, url, token, sample, "--scope=rt05")
	text := tailText(t, url, token, report.Thread, sampleLast)
	_, text, _ = strings.Cut(text, "[made this thread]\n") // which happened today
	golden(t, "testdata/tail-import.golden", text)

	lines := strings.Split(strings.TrimSpace(tailText(t, url, token, report.Thread, sampleEnd, "--json")), "\n")
	var event struct {
		Stream string `json:"stream"`
		Cursor string `json:"cursor"`
		Seq    int    `json:"seq"`
	}
	if err := json.Unmarshal([]byte(lines[20]), &event); err != nil || event.Seq != 21 || event.Stream != "thread/"+report.Thread {
		t.Fatalf("%+v, %v", event, err)
	}
	env := map[string]string{"GOTONG_URL": url, "GOTONG_TOKEN": token}
	for name, c := range map[string]struct {
		args []string
		want int // lines
	}{
		"cursor": {[]string{"--from=" + event.Cursor}, len(lines) - 21},
		"last":   {[]string{"--last=3"}, 3},
		"10":     {nil, 10},
	} {
		for k, v := range env {
			t.Setenv(k, v)
		}
		b := interruptible(t, append([]string{"tail", report.Thread, "--json"}, c.args...)...)
		b.out.await(t, "end", func(s string) bool { return strings.Contains(s, sampleEnd) && strings.HasSuffix(s, "\n") })
		if b.stop(); strings.Count(b.out.String(), "\n") != c.want {
			t.Errorf("%s: %d lines, want %d", name, strings.Count(b.out.String(), "\n"), c.want)
		}
	}
	for from, says := range map[string]string{
		"yesterday":                "nor a cursor",
		"zzzzzzzz:3":               "--from start", // another history's
		event.Cursor[:9] + "99999": "--from start", // ahead
	} {
		if r := command(t, env, "tail", report.Thread, "--from="+from); r.code == 0 || !strings.Contains(r.err, says) {
			t.Errorf("from %s: %+v", from, r)
		}
	}
	if r := command(t, env, "tail", "0192"); r.code != 1 || !strings.Contains(r.err, "does not exist, or you may not") {
		t.Errorf("%+v", r)
	}
}
