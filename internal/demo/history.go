package demo

// history is what was posted before anybody watches.
var history = []scene{
	{public, []line{
		{who: joko, key: "surut", text: "Assalamualaikum warga RT 05. Alhamdulillah hujan sudah reda. Air di gang mushola " +
			"masih 42 cm, yang rumahnya di situ mohon tetap di balai dulu."},
		{who: rudi, reply: "surut", text: "Di dekat pintu air sudah surut, Pak. Tinggal lumpur semata kaki."},
		{who: sari, key: "posko", text: "Posko kesehatan di rumah Bu Endah buka sampai malam. Yang gatal-gatal atau kakinya " +
			"luka jangan ditunda ya, ada salep dan suntik tetanus."},
		{who: wati, react: "posko", text: "❤️"},
		{who: endah, key: "listrik", text: "Listrik blok C masih dipadamkan PLN sampai gardunya kering. Tolong jangan " +
			"dinyalakan sendiri."},
		{who: endah, edit: "listrik", text: "Listrik blok C dan D masih dipadamkan PLN sampai gardunya kering. Tolong jangan " +
			"dinyalakan sendiri."},
		{who: wati, key: "dapur", text: "Dapur umum buka lagi jam 11 di balai: nasi, telur balado, sayur asem. Yang tidak " +
			"bisa jalan, titip pesan di sini, nanti diantar."},
		{who: sari, reply: "dapur", text: "Bu, Mbah Karso di nomor 14 tolong diantar dua bungkus. Beliau belum bisa turun " +
			"dari loteng."},
		{who: rudi, text: "Saya yang antar Mbah Karso, sekalian bawa air minum."},
		{who: endah, react: "dapur", text: "🙏"},
		{who: joko, key: "kerjabakti", text: "Kerja bakti besok jam 07.00, kumpul di balai. Bawa cangkul, sekop, karung. Yang " +
			"punya gerobak sangat membantu."},
		{who: rudi, react: "kerjabakti", text: "👍"},
		{who: endah, react: "kerjabakti", text: "👍"},
		{who: sari, react: "kerjabakti", text: "💪"},
		{who: rudi, key: "taruna", reply: "kerjabakti", text: "Karang taruna siap 12 orang."},
		{who: rudi, edit: "taruna", text: "Karang taruna siap 14 orang, dua bawa gerobak."},
	}},
	{private, []line{
		{who: joko, text: "Ini ruang pengurus saja ya. Yang untuk semua warga di ruang RT 05."},
		{who: endah, key: "kas", text: "Kas banjir: masuk Rp3.450.000, keluar Rp1.275.000 (solar, sabun, karung). Notanya " +
			"saya simpan semua."},
		{who: joko, reply: "kas", text: "Matur nuwun, Bu. Nanti ditempel di papan balai biar terang."},
		{who: wati, key: "salah", text: "besok ke pasar jam berapa ya"},
		{who: wati, undo: "salah"},
		{who: wati, text: "Maaf, salah kamar 😄"},
		{who: rudi, key: "pompa", text: "Pompa dari kelurahan datang sore ini. Perlu solar dua jeriken dan dua orang jaga malam."},
		{who: joko, react: "pompa", text: "👍"},
		{who: sari, reply: "pompa", text: "Yang jaga malam pakai sepatu bot ya. Kemarin ada yang kena paku."},
	}},
}
