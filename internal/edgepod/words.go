package edgepod

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// list is a list of words and phrases with one meaning, in Indonesian and English.
// Each is written as [fold] leaves it.
type list struct {
	name    string
	phrases []string
}

// dangers are the lists of moderation that count no matter who is addressed.
var dangers = []list{
	{"violence", []string{
		"gue bunuh", "gua bunuh", "aku bunuh", "saya bunuh", "tak bunuh kamu", "bunuh kamu", "bunuh kau", "bunuh lu",
		"mampus kau", "kubunuh",
		"bakar rumahnya", "bacok dia", "bacok kamu", "gorok", "habisi dia", "i will kill you", "kill yourself", "kys", "go die",
		"i will hurt you", "beat you up", "shoot you", "stab you", "burn your house",
	}},
	{"hate", []string{
		"cina babi", "kafir babi", "usir cina", "pribumi saja", "dasar cina", "dasar kafir", "monyet papua", "gas the jews", "white power",
		"nigger", "niggers", "faggot", "faggots", "kike", "subhuman",
	}},
	{"harassment", []string{
		"anak haram", "lonte", "anjing kau", "cock sucker", "cock suckers", "cocksucker", "cocksuckers", "motherfucker", "motherfuckers",
		"piece of shit", "son of a bitch",
	}},
	{"child_safety", []string{"foto anak telanjang", "video anak telanjang", "child porn", "kiddie porn", "nude kids", "bokep anak"}},
	{"illegal", []string{
		"jual sabu", "jual ganja", "jual senjata", "beli sabu", "jual ktp", "sewa rekening", "jual ijazah", "sell cocaine", "buy cocaine",
		"stolen cards", "fake passport", "uang palsu",
	}},
	{"spam", []string{
		"slot gacor", "judi online", "situs judi", "pinjaman tanpa jaminan", "pinjol cepat cair", "klik link ini", "klik link di bawah",
		"hadiah undian", "transfer sekarang juga", "cheap viagra", "free bitcoin", "double your money", "click this link",
		"work from home and earn",
		"you have won", "casino bonus",
	}},
}

// insults count only if somebody is addressed.
var insults = list{"harassment", []string{
	"anjing", "bangsat", "bajingan", "kontol", "memek", "ngentot", "jancuk", "goblok", "tolol", "dungu", "idiot", "babi", "asu", "tai",
	"fuck you", "fuck off", "asshole", "bitch", "moron", "retard", "dumbass", "scumbag", "you stupid", "you are stupid",
	"youre stupid", "shut up", "bastard", "cunt", "whore",
}}

// addressed are words with which somebody is addressed.
var addressed = list{"addressed", []string{"kamu", "kau", "lu", "lo", "loe", "elo", "elu", "anda", "kalian", "dasar",
	"you", "u", "your", "ur", "youre"}}

// emergencies are the kinds of emergency.
var emergencies = []list{
	{"Kebakaran", []string{"kebakaran", "terbakar", "api membesar", "asap tebal", "house on fire", "on fire", "wildfire", "is burning"}},
	{"Banjir", []string{"banjir", "air naik", "air bah", "tanggul jebol", "flood", "flooding", "flooded"}},
	{"Gempa", []string{"gempa", "tsunami", "longsor", "tanah bergerak", "earthquake", "landslide"}},
	{"Darurat Medis", []string{
		"serangan jantung", "pingsan", "tidak sadarkan diri", "tidak bernapas", "sesak napas", "pendarahan", "melahirkan", "keracunan",
		"heart attack", "unconscious", "not breathing", "bleeding", "stroke", "ambulans", "ambulance",
	}},
	{"Kecelakaan", []string{"kecelakaan", "tabrakan", "tertabrak", "tenggelam", "tersengat listrik", "car crash", "accident", "drowning"}},
	{"Keamanan", []string{"perampokan", "dirampok", "begal", "maling", "penculikan", "diculik", "tawuran", "robbery",
		"robbed", "kidnapped", "gunshots", "break in"}},
}

// callsForHelp make an emergency of a report; drills unmake it.
var (
	callsForHelp = list{"help", []string{"tolong", "bantuan", "darurat", "segera", "cepat", "korban", "help", "emergency",
		"urgent", "victims", "injured", "terluka", "luka"}}
	drills = list{"drill", []string{"latihan", "simulasi", "gladi", "drill", "exercise", "kemarin", "tahun lalu",
		"last year", "yesterday", "film", "movie"}}
)

// tracks are the tracks of cases, by what their reports say.
var tracks = []list{
	{"tuntaskan", []string{"rusak", "bocor", "berlubang", "lubang", "macet", "sampah", "mati", "padam", "bau", "keluhan",
		"perbaiki", "broken", "leak", "pothole", "garbage", "repair", "fix"}},
	{"wujudkan", []string{"bangun", "buat", "membuat", "gagasan", "rencana", "ingin", "taman", "wujudkan", "build", "create",
		"idea", "plan", "garden"}},
	{"telusuri", []string{"mengapa", "kenapa", "apakah", "selidiki", "dugaan", "telusuri", "cari tahu", "why", "investigate",
		"find out", "suspect"}},
	{"rayakan", []string{"selamat", "juara", "menang", "berhasil", "terima kasih", "syukur", "rayakan", "congratulations",
		"thanks", "won", "celebrate"}},
	{"musyawarah", []string{"usul", "setuju", "rapat", "putuskan", "aturan", "pilih", "musyawarah", "iuran", "propose",
		"vote", "decide", "meeting", "rule"}},
}

// secrets are words of a text that belongs into the vault.
var secrets = list{"vault", []string{"saksi", "rahasia", "jangan sebut nama", "jangan bilang siapa", "takut dibalas",
	"korupsi", "suap", "diancam", "whistleblower", "anonymous tip", "bribe", "threatened me"}}

// skills are the local skills, by the words that show them.
var skills = []list{
	{"listrik", []string{"listrik", "instalasi listrik", "kabel", "electrician", "wiring"}},
	{"tukang-kayu", []string{"tukang kayu", "kayu", "mebel", "carpentry", "carpenter"}},
	{"tukang-batu", []string{"tukang batu", "semen", "tembok", "bata", "masonry", "bricklayer"}},
	{"ledeng", []string{"pipa", "ledeng", "plumbing", "plumber"}},
	{"memasak", []string{"memasak", "masak", "dapur", "cooking", "cook"}},
	{"menjahit", []string{"menjahit", "jahit", "sewing", "tailor"}},
	{"mengajar", []string{"mengajar", "guru", "les", "teaching", "teacher", "tutor"}},
	{"kesehatan", []string{"perawat", "bidan", "p3k", "nurse", "first aid", "midwife"}},
	{"mengemudi", []string{"sopir", "mengemudi", "menyetir", "driver", "driving"}},
	{"bertani", []string{"bertani", "kebun", "tanaman", "panen", "farming", "gardening"}},
	{"akuntansi", []string{"bendahara", "pembukuan", "akuntansi", "keuangan", "bookkeeping", "accounting"}},
	{"pemrograman", []string{"pemrograman", "program komputer", "software", "programming", "website"}},
	{"las", []string{"las", "mengelas", "welding", "welder"}},
	{"kebersihan", []string{"bersih bersih", "kerja bakti", "membersihkan", "cleaning"}}, //nolint:dupword // Indonesian doubles words
}

// letters are what is written in place of a letter.
var letters = map[rune]rune{'0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't', '@': 'a', '$': 's', '!': 'i'}

// fold returns the words of a text in lower case without marks, with letters for
// the digits within words and without repetitions: "G0BL000K!!" is goblok.
func fold(text string) []string {
	text = strings.ToLower(norm.NFKD.String(text))
	var words []string
	for _, field := range strings.FieldsFunc(text, func(r rune) bool {
		_, letter := letters[r]
		return !letter && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) && r != '\''
	}) {
		if w := folded(strings.TrimRight(field, "!")); w != "" {
			words = append(words, w)
		}
	}
	return words
}

func folded(word string) string {
	if strings.IndexFunc(word, unicode.IsLetter) < 0 {
		return strings.Trim(word, "!@$'") // a number
	}
	var b strings.Builder
	last, run := rune(0), 0
	for _, r := range word {
		if l, ok := letters[r]; ok {
			r = l
		}
		if r == '\'' || unicode.Is(unicode.Mn, r) {
			continue
		}
		if r != last {
			last, run = r, 0
		}
		if run++; run <= 2 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// text is a text made ready for lists.
type text struct{ spaced, squeezed string }

func newText(s string) text {
	spaced := " " + strings.Join(fold(s), " ") + " "
	return text{spaced, squeeze(spaced)}
}

// squeeze leaves one of two equal letters: "gobllok" is goblok.
func squeeze(s string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		if r != last {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}

// hits returns how many of the list's phrases the text has.
func (t text) hits(l list) (n int) {
	for _, p := range l.phrases {
		if strings.Contains(t.spaced, " "+p+" ") || len(p) > 3 && strings.Contains(t.squeezed, " "+squeeze(p)+" ") {
			n++
		}
	}
	return n
}

// best returns the list of which the text has most, how many phrases, and how many
// of the second.
func (t text) best(lists []list) (name string, first, second int) {
	for _, l := range lists {
		switch n := t.hits(l); {
		case n > first:
			name, first, second = l.name, n, first
		case n > second:
			second = n
		}
	}
	return name, first, second
}
