package demo

import (
	"slices"
	"strings"
	"unicode"
)

// answers are the host's replies to a guest: the first one with a word that the
// message contains.
var answers = []struct {
	words []string
	text  string
}{
	{[]string{"halo", "hai", "hello", "hi", "assalamualaikum", "salam", "selamat", "pagi", "siang", "sore", "malam", "permisi"},
		"Halo {nama}, selamat datang di RT 05. Silakan, kalau perlu apa-apa tanya saja di sini."},
	{[]string{"terima", "makasih", "thanks", "thank", "nuwun"}, "Sama-sama, {nama}. 🙏"},
	{[]string{"bantu", "bantuan", "membantu", "help", "relawan"},
		"Wah, terima kasih {nama}. Besok jam 7 kumpul di balai ya, sepatu bot ada di pos."},
	{[]string{"air", "banjir", "flood", "water", "hujan", "rain"},
		"Terakhir diukur Pak Joko masih di bawah lutut, {nama}. Kabar terbaru selalu di ruang ini."},
	{[]string{"makan", "nasi", "lapar", "food", "dapur"}, "Masih ada nasi bungkus di balai, {nama}. Langsung saja ke dapur."},
	{[]string{"sakit", "obat", "luka", "demam", "sick"}, "{nama}, ke posko saja di rumah Bu Endah, Mbak Sari jaga sampai malam."},
}

// The host's answers to a text without a known word: to a question, and to
// other texts.
const (
	question = "Nanti saya tanyakan ke Pak Joko ya, {nama}."
	noted    = "Siap {nama}, saya catat. 🙏"
)

func answer(name, text string) string {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		words[w] = true
	}
	if name == "" {
		name = "Kak"
	}
	return strings.ReplaceAll(choose(words, strings.Contains(text, "?")), "{nama}", name)
}

func choose(words map[string]bool, asked bool) string {
	for _, a := range answers {
		if slices.ContainsFunc(a.words, func(w string) bool { return words[w] }) {
			return a.text
		}
	}
	if asked {
		return question
	}
	return noted
}
