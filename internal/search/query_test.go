package search

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gotong.dev/gotong"
)

// TestParse: what a query asks for, and what is no query.
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text  string
		terms string // words of a phrase with +
		q     Query
	}{
		{"kopi susu", "kopi susu", Query{}},
		{`"Kopi Susu" jahe`, "kopi+susu jahe", Query{}},
		{"be-sok AND (x OR y) NOT * ^ :", "be+sok and x or y not", Query{}},
		{`from:wati in:"Kerja bakti" has:link kopi`, "kopi", Query{From: "wati", In: "Kerja bakti", has: []string{"link"}}},
		{"has:file has:link", "", Query{has: []string{"file", "link"}}},
		{"notulen_rapat-2026.pdf", "notulen+rapat+2026+pdf", Query{}},
		{"from:@wati", "", Query{From: "wati"}},
		{"before:2026-11-29 after:1970-01-02 x", "x", Query{Before: 1_795_910_400_000_000, After: 86_400_000_000}},
		{`"from:wati"`, "from+wati", Query{}},
		{"jam:7 https://rt05.example", "jam+7 https+rt05+example", Query{}},
		{`"kopi`, "kopi", Query{}},
		{"ÉCOLE kafé", "ecole kafe", Query{}},
		{"ｋｏｐｉ", "kopi", Query{}}, // full width
		{"a\x00b", "a+b", Query{}},
	} {
		q, err := Parse(tt.text)
		var terms []string
		for _, term := range q.terms {
			terms = append(terms, strings.Join(term.words, "+"))
		}
		q.terms = nil
		if err != nil || strings.Join(terms, " ") != tt.terms || q.From != tt.q.From || q.In != tt.q.In ||
			q.Before != tt.q.Before || q.After != tt.q.After || !slices.Equal(q.has, tt.q.has) {
			t.Errorf("%q: %v %+v %v", tt.text, terms, q, err)
		}
	}
	for _, text := range []string{
		"", "  ", `""`, "*", "in:rt05", "before:2026-11-29", "from:", `from:""`, "from:a from:b x", "has:gold x", "before:besok x",
		"before:0001-01-01 x", strings.Repeat("x", 257), strings.Repeat("x ", 17), "\xff", strings.Repeat("x", 10_000), "\x00",
	} {
		if _, err := Parse(text); gotong.CodeOf(err) != gotong.CodeInvalid {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// FuzzParse: no query panics or exceeds the bounds of the store; what it asks for
// are words of the index; and marks lie in the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`kopi "a b" from:x`, "\x00", `"""`, "has:link", "ⅷ ﷺ İ", "a\u0301\u0301b", `NEAR(a b) OR col:x*`} {
		f.Add(s, "Kopi susu di warung, "+s)
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		q, err := Parse(query)
		if err != nil {
			return
		}
		n := 0
		for _, list := range q.lists(q.From) {
			n += len(list)
			for _, w := range list {
				if len(w) != 8 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz234567") != "" {
					t.Errorf("%q asks for %q", query, w)
				}
			}
		}
		if n > 1000 { // store.MaxWords
			t.Errorf("%q asks for %d words", query, n)
		}
		all, ok := q.Match(text)
		marks := all[0]
		end, length := 0, len([]rune(text))
		for _, m := range marks {
			if m.From < end || m.To <= m.From || m.To > length {
				t.Errorf("%q in %q: %v", query, text, marks)
			}
			end = m.To
		}
		if s := SnippetOf(text, marks); utf8.RuneCountInString(s.Text) > max(snippetLen, 0) && s.Cut {
			t.Errorf("a snippet of %d characters", utf8.RuneCountInString(s.Text))
		}
		own := strings.Fields(indexed("x", text, ""))
		for _, list := range q.lists("") {
			if ok && len(q.has) == 0 && !slices.ContainsFunc(list, func(w string) bool { return slices.Contains(own, w) }) {
				t.Errorf("%q fits %q, and the index does not find it", query, text)
			}
		}
	})
}

// forms are queries with words that they find, and words that they must not find.
var forms = []struct{ query, finds, not string }{
	{"temu", "temu ditemukan menemukan ketemu", "semua"},
	{"menemukan", "temu ditemukan", "semua menunggu"},
	{"kirim", "kirim mengirim dikirim kiriman kirimkan mengirimkan pengirim terkirim", "kiri kirana"},
	{"dikirim", "mengirim pengiriman kirim", "dikira"},
	{"baik", "perbaikan memperbaiki diperbaiki terbaik kebaikan baiknya", "batik balik"},
	{"bayar", "membayar dibayar pembayaran bayarin bayarnya terbayar", "bayang"},
	{"aman", "keamanan mengamankan amankan amannya", "amal taman"},
	{"jalan", "berjalan jalanan perjalanan menjalankan dijalankan jln", "jual"},
	{"tulis", "menulis ditulis tulisan penulis tertulis", "tulip"},
	{"pinjam", "meminjam dipinjam pinjaman peminjam pinjamkan", "pinang"},
	{"sewa", "menyewa disewa sewakan penyewa menyewakan", "sawah"},
	{"ambil", "mengambil diambil ambilkan pengambilan", "ambang"},
	{"rapat", "rapatnya rapatkan kerapatan", "rapuh"},
	{"iuran", "iurannya", "urban"},
	{"kerja", "bekerja pekerjaan pekerja mengerjakan dikerjakan kerjakan", "keras"},
	{"bersih", "membersihkan dibersihkan kebersihan pembersih", "berisi"},
	{"tidak", "gak nggak tdk", "tikar"},
	{"package", "packages", "pack"},
	{"install", "installed installing installs", "instead"},
	{"driver", "drivers", "drift"}, {"format", "formatted formatting", "form"}, {"compile", "compiled compiling", "complete"},
}

// TestForms measures how many of the forms of a word are found. The few that are not
// are those that only a dictionary could tell.
func TestForms(t *testing.T) {
	all, parts, missed := 0, 0, []string{}
	for _, f := range forms {
		q, err := Parse(f.query)
		if err != nil {
			t.Fatal(err)
		}
		for w := range strings.FieldsSeq(f.finds) {
			all++
			parts += count(strings.Contains(w, f.query))
			if _, ok := q.Match(w); !ok {
				missed = append(missed, f.query+" → "+w)
			}
		}
		for w := range strings.FieldsSeq(f.not) {
			if _, ok := q.Match(w); ok {
				t.Errorf("%s finds %s", f.query, w)
			}
		}
	}
	t.Logf("%d of %d forms found, %d of them contain the word; missed: %q", all-len(missed), all, parts, missed)
	if len(missed) > all/20 {
		t.Errorf("%d of %d forms are missed: %q", len(missed), all, missed)
	}
}

// TestASnippetWithoutMarksHasAList: clients read the marks of each snippet.
func TestASnippetWithoutMarksHasAList(t *testing.T) {
	for _, text := range []string{"", "halo", strings.Repeat("halo ", 100)} {
		b, err := json.Marshal(SnippetOf(text, nil))
		if err != nil || !strings.Contains(string(b), `"marks":[]`) {
			t.Errorf("%s %v", b, err)
		}
	}
}
