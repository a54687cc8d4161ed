package edgepod

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWordLists: a phrase that fold would change could never be found.
func TestWordLists(t *testing.T) {
	for group, ls := range lists {
		for _, l := range ls {
			for _, p := range l.phrases {
				if group != "criterion" && strings.Join(fold(p, 2), " ") != p {
					t.Errorf("%s/%s: %q is folded to %q", group, l.name, p, fold(p, 2))
				}
				if n := strings.Count(","+strings.Join(l.phrases, ",")+",", ","+p+","); n != 1 {
					t.Errorf("%s/%s: %q stands there %d times", group, l.name, p, n)
				}
			}
		}
	}
	for _, group := range []string{
		"danger", "offer", "warning", "insult", "address", "emergency", "help", "drill", "track", "criterion", "secret", "must", "stop", "skill",
	} {
		if len(lists[group]) == 0 {
			t.Errorf("there is no group %s", group)
		}
	}
	if len(lists) != 14 {
		t.Errorf("%d groups", len(lists))
	}
}

// TestModerate has what the lists must find, however it is written, and what only
// looks like it.
func TestModerate(t *testing.T) {
	for _, c := range []struct {
		text, want string
		reports    int
	}{
		{"dasar kamu goblok!", "review harassment", 0},
		{"G0BL000K kamu ya", "review harassment", 0},
		{"you are such a total id1ot", "review harassment", 0},
		{"You B!tch", "review harassment", 0},
		{"this driver is stupid, I wish you luck", "publish", 0},
		{"idiot-proof instructions", "publish", 0},
		{"Saya bunuh kau", "hold violence", 0},
		{"I'll kill youuuu", "hold violence", 0},
		{"kill the process and restart it", "publish", 0},
		{"my brother lives in Niger", "publish", 0},
		{"video anak telanjang dijual", "hold child_safety", 0},
		{"Jual sabu, COD", "hold illegal", 0},
		{"SLOT GACOR hari ini maxwin", "review spam", 0},
		{"Kirim kode OTP yang masuk ke HP ibu", "hold fraud", 0},
		{"Jangan kasih kode OTP ke siapa pun", "publish", 0},
		{"Waspada penipuan: anda menang undian itu bohong", "publish", 0},
		{"Your account has been suspended, verify your account", "hold fraud", 0},
		{"Rapat RT jam delapan", "publish", 0},
		{"Rapat RT jam delapan", "publish", 2},
		{"Rapat RT jam delapan", "queue_review", 3},
		{"Rapat RT jam delapan", "hold", 5},
	} {
		out, _ := moderate(input{Text: c.text, Reports: c.reports})
		violations, _ := out["violations"].([]string)
		action, _ := out["action"].(string)
		if got := strings.TrimSpace(action + " " + strings.Join(violations, " ")); got != c.want {
			t.Errorf("%q, %d reports: %s, want %s", c.text, c.reports, got, c.want)
		}
	}
}

// TestRuleOutputs: each rule computes its answer from the request.
func TestRuleOutputs(t *testing.T) {
	for _, c := range []struct {
		id, request string
		want        []string
	}{
		{"EP-00", `{"text":"Jalan berlubang dan lampu mati, tolong perbaiki"}`, []string{`"track":"tuntaskan"`, `"context_bar_state":"ready"`}},
		{"EP-00", `{"text":"Kebakaran di gang tiga, tolong!"}`, []string{`"entry_flow":"siaga"`, `"seed_type":"Kebakaran"`}},
		{"EP-00", `{"text":"Latihan kebakaran besok, tolong datang"}`, []string{`"entry_flow":"community"`}},
		{"EP-00", `{"text":"Saya saksi dugaan suap"}`, []string{`"entry_flow":"vault"`}},
		{"EP-01", `{"text":"Ada usul untuk rapat"}`, []string{`"track":"musyawarah"`, `"ambiguity_flag":false`}},
		{"EP-01", `{"text":"halo"}`, []string{`"track":"manual"`, `"ambiguity_flag":true`}},
		{"EP-02", `{"text":"é siti@example.org, 0812-3456-7890, 3201234567890123"}`, []string{
			`"redacted_text":"é [email], [telepon], [nik]"`, `"start":2`, `"end":18`, `"redaction_count":3`}},
		{"EP-02", `{"text":"siti@example.org","allow_redaction":false}`, []string{`"redacted_text":"siti@example.org"`, `"redaction_count":1`}},
		{Duplicates, `{"seed_text":"kerja bakti minggu pagi di lapangan","query_options":{"candidates":[
			{"seed_id":"a","text":"Kerja bakti minggu pagi di lapangan!"},{"seed_id":"b","text":"rapat warga malam ini di balai"},
			{"seed_id":"c","text":"kerja bakti"}]}}`, []string{`"top_match":"a"`, `"similarity":1`, `"recommendation":"block"`}},
		{"EP-06", `{"track":"rayakan","seed_text":"Kami menang. Tolong kumpulkan foto!"}`, []string{`"Semua yang membantu disebut"`, `"Tolong kumpulkan foto"`}},
		{Summary, `{"input_texts":["pompa air rusak lagi di gang tiga","pompa air rusak sejak kemarin sore","siapa bisa memperbaiki pompa air itu?",
			"besok harus beli pompa air baru","saya suka kopi hitam pahit"],"messages":[],"max_items":2}`, []string{
			`"action_items":["besok harus beli pompa air baru"]`, `"raw_items":false`, `"key_points":["pompa air rusak sejak kemarin sore",`}},
		{Summary, `{"input_texts":["a","b","c","d"],"messages":[]}`, []string{`"raw_items":true`}},
		{"EP-10", `{"text":"Saya tukang las dan sopir","existing_skills":["memasak"]}`, []string{"skills/las", "skills/mengemudi", `memasak","validated":false`}},
		{"EP-11", `{"text":"banjir, air naik, tolong darurat","reported_urgency":"normal"}`, []string{`"is_siaga":true`, `"severity":"critical"`}},
		{"EP-11", `{"text":"rapat","reported_urgency":"critical"}`, []string{`"is_siaga":false`}},
	} {
		var q input
		if err := json.Unmarshal([]byte(c.request), &q); err != nil {
			t.Fatal(err)
		}
		out, _ := rules[c.id](q)
		b, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(c.want, func(s string) bool { return !strings.Contains(string(b), s) }) {
			t.Errorf("%s: %s: %s, want %s", c.id, c.request, b, c.want)
		}
	}
}

// TestAlike: the estimate is near the share of common shingles, and the same each
// time.
func TestAlike(t *testing.T) {
	words := make([]string, 100)
	for i := range words {
		words[i] = fmt.Sprint("w", i)
	}
	text := strings.Join(words, " ")
	for _, c := range []struct {
		other       string
		least, most float64
	}{
		{text, 1, 1},
		{strings.ToUpper(text) + "!", 1, 1},
		{strings.Join(words[:50], " "), 0.39, 0.59},                      // 48 of 98 shingles
		{strings.Replace(text, "w50", "x", 1), 0.88, 1},                  // 95 of 101
		{strings.Join(words[60:], " ") + " " + text, 0.87, 1},            // 98 of 100
		{strings.ReplaceAll(text, "w", "v"), 0, 0.01},                    // none
		{strings.Join(append(words[1:2:2], words[3:]...), " "), 0.88, 1}, // 95 of 99
	} {
		a, _ := sign(text)
		b, ok := sign(c.other)
		if got := a.alike(&b); !ok || got < c.least || got > c.most || got != b.alike(&a) {
			t.Errorf("%.20s…: %v, want %v to %v", c.other, got, c.least, c.most)
		}
	}
	if _, ok := sign("tiga kata saja"); ok {
		t.Error("three words have a signature")
	}
}
