package demo

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

type place int

// The threads.
const (
	public  place = iota // of the scope rt05, open to all
	private              // of the group, whose members it borrows
)

type scene struct {
	place place
	lines []line
}

// line is one action of a neighbour. A key names a message for later lines of
// the scene; reply, edit, react and undo are such keys.
type line struct {
	who   name
	text  string
	key   string
	reply string
	edit  string
	react string // text is the emoji
	undo  string // the message is deleted
}

// scenes are repeated in changing order; each is independent. Texts in braces
// change from round to round.
var scenes = []scene{
	{public, []line{
		{who: joko, key: "ukur", text: "Barusan ukur di tiang mushola: {air} cm."},
		{who: sari, reply: "ukur", text: "{arah} ya, Pak. Di depan rumah saya juga begitu."},
		{who: endah, react: "ukur", text: "🙏"},
		{who: rudi, text: "Pintu air timur sudah saya cek, sampahnya diangkat dua karung."},
		{who: endah, text: "Terima kasih Mas Rudi. Hati-hati licin."},
	}},
	{public, []line{
		{who: wati, key: "nasi", text: "Dapur umum: {nasi} bungkus siap di balai. Lauknya tempe orek sama telur."},
		{who: rudi, reply: "nasi", text: "Saya ambil 15 untuk yang jaga pompa."},
		{who: sari, text: "Untuk posko 6 ya Bu, ada yang habis disuntik belum makan."},
		{who: wati, text: "Siap, saya sisihkan. Sambalnya dipisah."},
		{who: rudi, react: "nasi", text: "😋"},
	}},
	{public, []line{
		{who: endah, key: "pln", text: "Kabar PLN: blok D menyala bertahap sore ini, blok C menunggu gardu."},
		{who: rudi, reply: "pln", text: "Sebelum naikkan MCB, stop kontak yang kena air dilepas dulu ya semua."},
		{who: sari, text: "Betul. Anak-anak dijauhkan dulu dari kabel."},
		{who: joko, react: "pln", text: "👍"},
	}},
	{public, []line{
		{who: rudi, key: "karung", text: "Sampah basah sudah {karung} karung di depan balai. Truk dinas jam berapa ya?"},
		{who: joko, reply: "karung", text: "Janjinya jam 3. Kalau belum datang saya telepon lagi."},
		{who: wati, text: "Kasur yang tidak bisa dijemur jangan ditumpuk di gang, tolong ke lapangan saja."},
		{who: rudi, key: "lapangan", text: "Siap Bu, saya tempel petunjuk di lapangan."},
		{who: rudi, edit: "lapangan", text: "Siap Bu, petunjuknya sudah saya tempel di lapangan."},
	}},
	{public, []line{
		{who: sari, key: "sehat", text: "Rekap posko: {pasien} orang hari ini, paling banyak gatal dan batuk. Tidak ada yang " +
			"berat, alhamdulillah."},
		{who: endah, react: "sehat", text: "❤️"},
		{who: joko, reply: "sehat", text: "Terima kasih Mbak Sari. Oralit dan sabun masih cukup?"},
		{who: sari, text: "Sabun tinggal sedikit. Kalau ada yang ke kota, titip dua dus."},
		{who: wati, text: "Adik saya besok ke kota, saya titipkan."},
	}},
	{public, []line{
		{who: joko, key: "rumah", text: "Kerja bakti: {rumah} dari 38 rumah sudah bersih dari lumpur."},
		{who: rudi, reply: "rumah", text: "Habis ini gang melati, Pak. Selang semprotnya gantian dengan RT 06."},
		{who: endah, react: "rumah", text: "💪"},
		{who: sari, react: "rumah", text: "💪"},
		{who: wati, text: "Kopi sama singkong rebus di pos ronda ya, jangan lupa istirahat."},
	}},
	{public, []line{
		{who: wati, key: "dokumen", text: "Yang ijazah atau kartu keluarganya basah, jangan dijemur di bawah matahari. Dibuka " +
			"pelan-pelan, diselipi tisu."},
		{who: endah, reply: "dokumen", text: "Kalau rusak, kelurahan buka layanan ganti KK dan akta sampai Jumat, gratis."},
		{who: sari, react: "dokumen", text: "🙏"},
		{who: joko, text: "Surat pengantarnya bisa minta saya, malam juga boleh."},
	}},
	{private, []line{
		{who: endah, key: "kas", text: "Kas masuk lagi Rp{kas}.000 dari warga perantauan. Keluar untuk solar dua jeriken."},
		{who: joko, reply: "kas", text: "Alhamdulillah. Tolong dicatat namanya, biar kita sebut di balai."},
		{who: wati, text: "Beras masih 3 karung, minyak perlu lima botol."},
		{who: endah, text: "Minyak saya belikan sekalian ke pasar."},
	}},
	{private, []line{
		{who: rudi, key: "jaga", text: "Jadwal jaga pompa malam ini: saya sama Dimas jam 9 sampai 1, lalu Pak Joko sama Pak Bambang."},
		{who: joko, reply: "jaga", text: "Oke. Kalau air naik lagi di atas 50 cm bunyikan kentongan."},
		{who: sari, react: "jaga", text: "👍"},
		{who: wati, text: "Termos kopinya saya taruh di pos."},
	}},
	{private, []line{
		{who: joko, key: "data", text: "Kelurahan minta data rumah rusak. Sementara: ringan 21, sedang {sedang}, berat 2."},
		{who: sari, reply: "data", text: "Yang sedang tambah satu, Pak: dapurnya Bu Tini roboh."},
		{who: joko, edit: "data", text: "Kelurahan minta data rumah rusak. Sementara: ringan 21, sedang {sedang} ditambah " +
			"dapurnya Bu Tini, berat 2."},
		{who: endah, text: "Fotonya saya kumpulkan malam ini."},
	}},
}

// weather changes from round to round, so that the conversations repeat with
// other numbers.
type weather struct {
	dice                *rand.Rand
	water, before       int // cm at the post by the mushola
	sacks, houses, sums int
}

func newWeather(dice *rand.Rand) *weather {
	return &weather{dice: dice, water: 38, before: 42, sacks: 60, houses: 9, sums: 350}
}

// next is called before a scene: the water falls, and sometimes it rains.
func (w *weather) next() {
	w.before = w.water
	w.water -= 1 + w.dice.IntN(3)
	if w.water < 8 || w.dice.IntN(12) == 0 {
		w.water = min(w.water+6+w.dice.IntN(12), 48)
	}
	w.sacks += 2 + w.dice.IntN(6)
	w.houses = min(w.houses+w.dice.IntN(3), 37)
	w.sums = 100 + 50*w.dice.IntN(14)
}

// fill puts the present numbers into a text.
func (w *weather) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	trend := "Turun"
	if w.water > w.before {
		trend = "Naik lagi"
	}
	n := strconv.Itoa
	return strings.NewReplacer(
		"{air}", n(w.water), "{arah}", trend, "{karung}", n(w.sacks), "{rumah}", n(w.houses), "{kas}", n(w.sums),
		"{nasi}", n(60+w.sacks%50), "{pasien}", n(11+w.sacks%17), "{sedang}", n(5+w.houses/8),
	).Replace(text)
}
