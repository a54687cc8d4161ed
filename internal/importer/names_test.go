package importer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestMonthsThatAreNotKnown: a head with such a month is never a part of the message before
// it, and a date in words within a text, where heads have numbers, is no head.
func TestMonthsThatAreNotKnown(t *testing.T) {
	for name, raw := range map[string]string{
		"with years":    "3 April 2018, 10:15 - Bob: a\n3 Xyz 2018, 10:16 - Ann: b\n3 June 2018, 10:17 - Bob: c\n",
		"without years": "3 April, 10:15 - Bob: a\n3 Xyz, 10:16 - Ann: b\n3 June, 10:17 - Bob: c\n",
		"announcement":  "16/08/26, 10:15 - Bob: a\n18 Agustus jam 07.00 - Wayang: malam\n17/08/26, 10:15 - Bob: c\n",
	} {
		var got []string
		for e, err := range Parse(Source{Format: WhatsApp, Latest: sampleTime}, strings.NewReader(raw)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(e.Kind)+" "+e.Author)
		}
		if want := []string{"message Bob", "unreadable ", "message Bob"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for month, words := range []string{"Oca", "Şub", "Mac maart", "Nis", "maj мая", "Haz", "Tem июля", "Ogos Ağu", "Eyl", "Eki", "Kas", "Dis Ara"} {
		for word := range strings.SplitSeq(words, " ") {
			if n := atoi(monthOf(word)); n != month+1 {
				t.Errorf("%s is month %d", word, n)
			}
		}
	}
}

// TestDamagedUsersOfSlack: without the names of its people, an export is not whole.
func TestDamagedUsersOfSlack(t *testing.T) {
	users := json.RawMessage(`[{"id": "U1", "name": "wati"}, {"id": "U2", "name": "budi"}]`)
	for cut := range users {
		path := write(t, "x.zip", zipOf(t, map[string]any{
			"users.json": []byte(users[:cut]), "channels.json": []obj{{"id": "C1", "name": "rt"}},
			"rt/2026-08-17.json": []obj{{"user": "U2", "text": "satu", "ts": "1786960800.000100"}, {"user": "U2", "text": "dua", "ts": "1786960801.000100"}},
		}))
		if s, _, err := opened(t, path, Source{}); err == nil && s.Unreadable != 1 {
			t.Fatalf("cut at %d: %+v", cut, s.Summary)
		}
	}
}

// TestChatsOfOneName stay two: of people with one name, and of channels of two teams.
func TestChatsOfOneName(t *testing.T) {
	chat := `{"name":"Budi","type":"x","id":ID,"messages":[{"id":1,"type":"message","date_unixtime":"1","from":"b","text":"x"}]}`
	post := `{"type":"post","post":{"team":"TEAM","channel":"umum","user":"b","message":"x","create_at":1}}` + "\n"
	for file, c := range map[string]struct{ raw, second string }{
		"result.json": {`{"about":"x","chats":{"list":[` + strings.Replace(chat, "ID", "1", 1) + `,` + strings.Replace(chat, "ID", "2", 1) + `]}}`, "Budi (2)"},
		"x.jsonl":     {`{"type":"version","version":1}` + "\n" + strings.Replace(post, "TEAM", "t1", 1) + strings.Replace(post, "TEAM", "t2", 1), "t2/umum"},
	} {
		path := write(t, file, []byte(c.raw))
		if _, _, err := opened(t, path, Source{}); err == nil || !strings.Contains(err.Error(), "2 chats") {
			t.Errorf("%s: %v", file, err)
		}
		if s, _, err := opened(t, path, Source{Chat: c.second}); err != nil || s.Messages != 1 {
			t.Errorf("%s: %d messages, %v", file, s.Messages, err)
		}
	}
}

// TestMoreAfterTheEnd of a JSON text, and lines without what they announce, are counted.
func TestMoreAfterTheEnd(t *testing.T) {
	chat := `{"name":"x","type":"x","id":1,"messages":[{"id":1,"type":"message","date_unixtime":"1","from":"b","text":"x"}]}`
	post := `{"type":"post","post":{"team":"t","channel":"c","user":"b","message":"x","create_at":1}}` + "\n"
	for file, raw := range map[string]string{"x.json": chat + chat, "x.jsonl": post + `{"type":"post"}` + "\n"} {
		if s, _, err := opened(t, write(t, file, []byte(raw)), Source{}); err != nil || s.Unreadable != 1 {
			t.Errorf("%s: %+v, %v", file, s.Summary, err)
		}
	}
}

// TestActionsThatSoundLikeMoves keep their text where a star begins both.
func TestActionsThatSoundLikeMoves(t *testing.T) {
	for _, says := range []string{
		"has left the stove on", "has quit smoking", "never has joined us", "was kicked by a horse", "has kicked bola over the fence",
	} {
		s := Source{Format: IRC, Dialect: "mirc", Date: sampleTime}
		for e, err := range Parse(s, strings.NewReader("[10:16] * budi "+says+"\n")) {
			if err != nil || e.Kind != Action || e.Author != "budi" || e.Text != says {
				t.Errorf("%s: %+v, %v", says, e, err)
			}
		}
	}
}
