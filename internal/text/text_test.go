package text_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gotong.dev/gotong"
	"gotong.dev/gotong/internal/text"
)

// Each sort: what is typed, and what is kept of it; "–" is refused.
func TestSorts(t *testing.T) {
	const refused = "–"
	long := strings.Repeat("x", 129)
	for _, tc := range []struct {
		sort        text.Sort
		typed, kept string
	}{
		{text.Password, "cafe\u0301-rt05", "caf\u00e9-rt05"},
		{text.Password, "ｒｔ０５ banjir", "rt05 banjir"},
		{text.Password, "\ufb01ne words", "fine words"},
		{text.Password, " spaces count ", " spaces count "},
		{text.Password, "e\u0301e\u0301e\u0301e\u0301", refused}, // four characters, however they are typed
		{text.Password, strings.Repeat("e\u0301", 256), strings.Repeat("\u00e9", 256)},
		{text.Password, strings.Repeat("x", 257), refused},

		{text.Email, " Siti@Example.ORG ", "Siti@Example.ORG"},
		{text.Email, "cafe\u0301@example.org", "caf\u00e9@example.org"},
		{text.Email, "a.b+c_d=e@x-1.example", "a.b+c_d=e@x-1.example"},
		{text.Email, "é@ü", "é@ü"},
		{text.Email, "<a@b>", refused},
		{text.Email, "a@b..c", refused},
		{text.Email, "a..b@c", refused},
		{text.Email, ".a@b", refused},
		{text.Email, "a.@b", refused},
		{text.Email, "a@.b", refused},
		{text.Email, "a@b.", refused},
		{text.Email, "a@-b", refused},
		{text.Email, "a@b-", refused},
		{text.Email, "a@b_c", refused},
		{text.Email, "a@b@c", refused},
		{text.Email, "Ani <a@b.example>", refused},
		{text.Email, `"a b"@c`, refused},
		{text.Email, "a@[127.0.0.1]", refused},
		{text.Email, "a(c)@b", refused},
		{text.Email, "a,b@c", refused},
		{text.Email, "a\u200b@b", refused},
		{text.Email, "a\u115f@b", refused},
		{text.Email, "a@b\nBcc:c", refused},
		{text.Email, strings.Repeat("x", 65) + "@b", refused},
		{text.Email, "a@" + strings.Repeat("x", 64), refused},

		{text.Username, " Bu.Wati ", "Bu.Wati"},
		{text.Username, "\u212aadir", refused}, // KELVIN SIGN
		{text.Username, "S\u0130ti", refused},  // I with dot above
		{text.Username, "si--ti", refused},

		{text.Name, " Karang\u00a0Taruna ", "Karang Taruna"},
		{text.Name, "Cafe\u0301", "Caf\u00e9"},
		{text.Name, "Keluarga 👨‍👩‍👧‍👦 RT 05 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣", "Keluarga 👨‍👩‍👧‍👦 RT 05 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣"},
		{text.Name, "❤ RT ❤️", "❤ RT ❤️"},
		{text.Name, "می\u200cخواهم", "می\u200cخواهم"},
		{text.Name, "ක්\u200dෂ", "ක්\u200dෂ"},
		{text.Name, "admin\u202etxt", refused},
		{text.Name, "\u2066admin", refused},
		{text.Name, "admin\u200f", refused},
		{text.Name, "ad\u200bmin", refused},
		{text.Name, "ad\u200dmin", refused},
		{text.Name, "ad\u200cmin", refused},
		{text.Name, "ad\u00admin", refused},
		{text.Name, "ad\u3164min", refused},
		{text.Name, "ad\u2800min", refused},
		{text.Name, "admin\ufe0f", refused},
		{text.Name, "👍\u200d", refused},
		{text.Name, "ad\nmin", refused},
		{text.Name, "ad\u2028min", refused},
		{text.Name, "ad\u0000min", refused},
		{text.Name, "ad\xffmin", refused},
		{text.Name, "\u0301", refused}, {text.Name, "\u0301a", refused}, {text.Name, "\u0903a", refused}, {text.Name, "\u20e3", refused}, // marks without a letter
		{text.Name, "a" + strings.Repeat("\u0335", 8) + "b" + strings.Repeat("\u0335", 8), "a" + strings.Repeat("\u0335", 8) + "b" + strings.Repeat("\u0335", 8)},
		{text.Name, "a" + strings.Repeat("\u0335", 9), refused}, {text.Topic, "a" + strings.Repeat("\u0489", 100), refused},
		{text.Name, "a" + strings.Repeat("\u0335\u200d", 9), refused}, {text.Name, "\u200c\u0335", refused},
		{text.Name, "\u0915" + strings.Repeat("\u094d\u200d", 9), refused},
		{text.Name, "👍\u0335", "👍\u0335"}, {text.Name, "👍" + strings.Repeat("\u0335", 9), refused},
		{text.Name, "བསྒྲུབས་ཧཱུྃ", "བསྒྲུབས་ཧཱུྃ"}, {text.Name, "ꦧꦱꦗꦮ ꦏꦿꦺꦴ", "ꦧꦱꦗꦮ ꦏꦿꦺꦴ"}, {text.Name, "שָׁבַ֖ת הַזֹּֽאת", "שָׁבַ֖ת הַזֹּֽאת"}, {text.Name, "น้ำ ผู้ใหญ่", "น้ำ ผู้ใหญ่"},
		{text.Name, "\u3000", refused},
		{text.Name, "", refused},
		{text.Name, long, refused},

		{text.Topic, " a\u00a0b ", "a b"}, {text.Topic, strings.Repeat("é", 250), strings.Repeat("é", 250)},
		{text.Topic, strings.Repeat("x", 251), refused}, {text.Topic, "a\nb", refused},
		{text.DisplayName, " Bu Wati 🌷 ", "Bu Wati 🌷"}, {text.DisplayName, "ᮕᮊ᮪ ᮏᮧᮊᮧ", "ᮕᮊ᮪ ᮏᮧᮊᮧ"}, {text.DisplayName, "محمد", "محمد"},
		{text.DisplayName, "می\u200cخواهم", "می\u200cخواهم"},
		{text.DisplayName, strings.Repeat("é", 40), strings.Repeat("é", 40)}, {text.DisplayName, strings.Repeat("x", 41), refused},
		{text.DisplayName, strings.Repeat("x\u0323", 40), strings.Repeat("x\u0323", 40)}, // 80 code points
		{text.DisplayName, strings.Repeat("👨‍👩‍👧‍👦", 18), strings.Repeat("👨‍👩‍👧‍👦", 18)}, {text.DisplayName, strings.Repeat("👨‍👩‍👧‍👦", 19), refused},
		{text.DisplayName, strings.Repeat("👍", 41), refused}, {text.DisplayName, "x" + strings.Repeat("\u0323", 9), refused},
		{text.DisplayName, "Wati\u202e", refused}, {text.DisplayName, "Wa\u200bti", refused}, {text.DisplayName, " ", refused},

		{text.Message, "\n \t\n    if x {\n        y\n    }\n \n", "    if x {\n        y\n    }"},
		{text.Message, "\r\n  Halo\u00a0", "  Halo"},
		{text.Message, "e\u0301\u200b x", "e\u0301\u200b x"}, // as it was written
		{text.Message, " \u200b\n", refused},
		{text.Message, "\x00a\r\nb\rc\td\x1b[31m\u0085\x7f", "a\nb\nc\td[31m"},
		{text.Message, "\x00\u202e\u2069", refused},
		{text.Message, "\u2067a\u2069 \u202eb\u202c \u200fc\u200e", "a b \u200fc\u200e"}, // marks of a direction stay
		{text.Message, "a\xff\x00", refused},
		{text.Description, "\x00 a\u202eb\r\n", "ab"}, {text.Reason, "\x07a\u2066b", "ab"},
		{text.Grounds, "\u202ea\x00", "a"}, {text.Grounds, "\x00", refused}, {text.Note, "a\x00\nb\u202d", "a\nb"},
		{text.Message, strings.Repeat("x", 4001), refused},
		{text.Message, "    " + strings.Repeat("x", 3996) + "  ", "    " + strings.Repeat("x", 3996)},
		{text.Description, "  ", ""},
		{text.Description, strings.Repeat("x", 2001), refused},
		{text.Reason, "\n spam \n", "spam"},
		{text.Reason, strings.Repeat("x", 501), refused},
		{text.Grounds, "\n spam \n", "spam"}, {text.Grounds, " ", refused}, {text.Grounds, "\u200b\u3164", refused},
		{text.Grounds, strings.Repeat("x", 501), refused},

		{text.Emoji, "❤", "❤️"}, {text.Emoji, "❤️", "❤️"}, {text.Emoji, "❤\ufe0e", "❤️"},
		{text.Emoji, "👍", "👍"}, {text.Emoji, "👍\ufe0f", "👍"}, {text.Emoji, "👍🏽", "👍🏽"},
		{text.Emoji, "🏳‍🌈", "🏳️‍🌈"}, {text.Emoji, "#⃣", "#️⃣"}, {text.Emoji, "‼", "‼️"}, {text.Emoji, "™", "™️"},
		{text.Emoji, "👩🏻‍❤️‍💋‍👩🏿", "👩🏻‍❤️‍💋‍👩🏿"}, // 35 bytes
		{text.Emoji, "\U0001fae9", "\U0001fae9"}, // Emoji 16: face with bags under eyes
		{text.Emoji, "\U0001facd", "\U0001facd"}, // Emoji 17: orca
		{text.Emoji, "", refused},
		{text.Emoji, " ", refused},
		{text.Emoji, "a", refused},
		{text.Emoji, "1", refused},
		{text.Emoji, "#", refused},
		{text.Emoji, "👍👍", refused},
		{text.Emoji, "👍 ", refused},
		{text.Emoji, "👍\n", refused},
		{text.Emoji, "\u200d", refused},
		{text.Emoji, "👍\u200d", refused},
		{text.Emoji, "🇮", refused},
		{text.Emoji, "🇮🇩🇮🇩", refused},
		{text.Emoji, "🏽\u200d", refused},
		{text.Emoji, "家", refused},
		{text.Emoji, "∑", refused},
		{text.Emoji, "👨‍👩‍👧‍👦‍👦‍👦‍👦", refused},
		{text.Emoji, "\xff", refused},
	} {
		got := tc.sort.Clean(tc.typed)
		if !tc.sort.Valid(got) {
			got = refused
		}
		if got != tc.kept {
			t.Errorf("%s %q: got %q, want %q", tc.sort.Name, tc.typed, got, tc.kept)
		}
	}
}

// Whatever is typed: cleaning is done once, and what a name may hold can be
// seen, in one line and in one direction.
func TestCleaningTwiceChangesNothing(t *testing.T) {
	odd := rapid.SampledFrom([]rune("a é\u0301\u200b\u200c\u200d\u202e\u2066\u200f\x1b\u0085\ufe0f\ufe0e\u3164\u00ad\u00a0\n\r\t\u2028❤👍🏽1#\u20e3🇮🇩می්\U000e0067\x00"))
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.OneOf(rapid.StringOf(odd), rapid.String()).Draw(t, "typed")
		for _, sort := range text.Table() {
			once := sort.Clean(typed)
			if again := sort.Clean(once); again != once {
				t.Fatalf("%s %q: first %q, then %q", sort.Name, typed, once, again)
			}
			unseen := strings.ContainsFunc(once, func(r rune) bool {
				return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) && !strings.ContainsRune("\u200e\u200f\u061c", r)
			})
			if unseen && sort.Name != text.Password.Name && sort.Valid(once) {
				t.Fatalf("%s %q: keeps %q", sort.Name, typed, once)
			}
			var c gotong.Check
			sort.Check(&c, "field", once)
			if (c.Err() == nil) != sort.Valid(once) {
				t.Fatalf("%s %q: %v", sort.Name, typed, c.Err())
			}
		}
		if legible := text.Legible(typed); text.Legible(legible) != legible ||
			strings.ContainsFunc(legible, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) }) {
			t.Fatalf("%q is shown as %q", typed, legible)
		}
	})
}

// Every emoji that Unicode lists is taken as it stands and without its style,
// both as one, and names may hold it.
func TestEveryEmoji(t *testing.T) {
	n := 0
	for line := range strings.Lines(text.EmojiList()) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		n++
		full := strings.TrimSuffix(line, "\n")
		bare := strings.ReplaceAll(full, "\ufe0f", "")
		if text.Emoji.Clean(full) != full || text.Emoji.Clean(bare) != full || !text.Emoji.Valid(full) {
			t.Errorf("%q", full)
		}
		if name := "RT " + full + " 05"; !text.Name.Valid(text.Name.Clean(name)) || utf8.RuneCountInString(full) > text.Emoji.Most {
			t.Errorf("%q in a name", full)
		}
	}
	if n != 3953 {
		t.Errorf("%d emoji, Emoji 17.0 has 3953", n)
	}
}

func TestFold(t *testing.T) {
	for typed, want := range map[string]string{
		"Siti@Example.ORG": "siti@example.org", "ÉÜ": "éü", "\u212a": "\u212a", "\u0130": "\u0130", "ΑΣ": "ας"[:2] + "σ",
	} {
		if got := text.Fold(typed); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
