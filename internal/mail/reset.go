package mail

import "fmt"

// Reset returns the letter with a link that sets a new password, in both languages of the
// console.
func Reset(to, link string) Letter {
	return Letter{to, "Kata sandi baru untuk Gotong / New password for Gotong", fmt.Sprintf(`Buka tautan ini untuk membuat kata sandi baru:

%[1]s

Tautan ini berlaku satu kali, selama satu jam. Setelah itu, semua perangkat Anda harus masuk lagi.
Jika Anda tidak memintanya, abaikan surat ini: kata sandi Anda tidak berubah.

----------

Open this link to set a new password:

%[1]s

The link works once, for an hour. All your devices must then sign in again.
If you did not ask for it, ignore this letter: your password stays as it is.
`, link)}
}
