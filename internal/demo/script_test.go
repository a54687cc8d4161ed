package demo

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	written "gotong.dev/gotong/internal/text"
)

// The scenes as data: whoever speaks exists, what a line refers to was said
// before it in the scene, by whom it must be, and fits.
func TestScenesMakeSense(t *testing.T) {
	neighbours := map[name]bool{}
	for _, who := range cast {
		neighbours[who] = who != guest
	}
	sky := newWeather(rand.New(rand.NewPCG(1, 2)))
	for kind, list := range map[string][]scene{"history": history, "scenes": scenes} {
		for i, sc := range list {
			said := map[string]name{}
			for j, l := range sc.lines {
				text := l.text
				if kind == "scenes" {
					text = sky.fill(text)
				}
				if fault := lineFault(l, text, said); fault != "" || !neighbours[l.who] {
					t.Errorf("%s %d, line %d by %q: %s", kind, i, j, l.who, fault)
				}
				if l.key != "" {
					said[l.key] = l.who
				}
			}
		}
	}
}

func lineFault(l line, text string, said map[string]name) string {
	author, known := said[l.reply+l.edit+l.react+l.undo]
	refers := l.reply != "" || l.edit != "" || l.react != "" || l.undo != ""
	switch {
	case refers && !known:
		return "refers to what was not said"
	case (l.edit != "" || l.undo != "") && author != l.who:
		return "changes what another has said"
	case l.react != "" && author == l.who:
		return "reacts to himself"
	case l.react != "" && !written.Emoji.Valid(written.Emoji.Clean(text)):
		return "reacts with " + text
	case l.react == "" && l.undo == "" && (text == "" || utf8.RuneCountInString(text) > 500):
		return "is no message"
	case strings.ContainsAny(text, "{}"):
		return "has a blank that nothing fills: " + text
	case l.key != "" && said[l.key] != "":
		return "names a message twice"
	}
	return ""
}

func TestWeatherChanges(t *testing.T) {
	sky := newWeather(rand.New(rand.NewPCG(1, 2)))
	texts := map[string]bool{}
	fell, rose := 0, 0
	for range 500 {
		sky.next()
		texts[sky.fill("{air} {karung} {kas}")] = true
		if sky.water < 3 || sky.water > 48 || sky.houses > 37 {
			t.Fatalf("%+v", sky)
		}
		switch text := sky.fill("{arah}"); {
		case sky.water > sky.before && text == "Naik lagi":
			rose++
		case sky.water < sky.before && text == "Turun":
			fell++
		}
	}
	if len(texts) < 400 || rose == 0 || fell == 0 {
		t.Errorf("%d different texts, fell %d times, rose %d times", len(texts), fell, rose)
	}
}

func TestHostAnswersByKeyword(t *testing.T) {
	for text, want := range map[string]string{
		"Halo semua!":                "Halo Budi, selamat datang",
		"terima kasih bu":            "Sama-sama, Budi",
		"air masih tinggi?":          "Terakhir diukur Pak Joko",
		"jam berapa kumpulnya?":      "Nanti saya tanyakan",
		"saya bawa cangkul":          "Siap Budi",
		"":                           "Siap Budi",
		"saya siap membantu":         "Wah, terima kasih Budi",
		"Halo, air di mana?":         "Halo Budi",
		"airlangga":                  "Siap Budi", // no word within a word
		"ada yang lapar di nomor 3":  "Masih ada nasi",
		"kaki saya luka":             "Budi, ke posko",
		"{nama} tidak boleh diganti": "Siap Budi",
	} {
		if got := answer("Budi", text); !strings.HasPrefix(got, want) || strings.Contains(got, "{") {
			t.Errorf("%q is answered %q, want %q…", text, got, want)
		}
	}
	if got := answer("", "halo"); !strings.HasPrefix(got, "Halo Kak,") {
		t.Errorf("without a name: %q", got)
	}
}

func TestIDsDifferBySecret(t *testing.T) {
	a, b := secret("a"), secret("b")
	ids := map[string]bool{a.request("x"): true, a.request("y"): true, b.request("x"): true, a.password(): true, b.password(): true}
	if len(ids) != 5 || a.request("x") != secret("a").request("x") {
		t.Errorf("%v", ids)
	}
}
