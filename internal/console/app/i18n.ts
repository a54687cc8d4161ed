// The texts of the page, in Indonesian and English, and its dates. English is
// the form: a language that lacks a key does not compile.
import { kv, Model } from './platform.ts'
import type { Room } from './room.ts'

const en = {
  'app.motto': 'Talk and decide with your neighbours',
  'account': 'Account', 'account.signOut': 'Sign out', 'account.wipes': 'Signing out deletes everything that this device keeps of your account.',
  'account.name': 'Display name', 'account.name.hint': 'Others see it instead of your user name.',
  'account.unsent': '{n} unsent messages would be lost.', 'account.insecure': 'This address does not use HTTPS: the page cannot be installed, and opens only with a network.',
  'account.manage': 'Password, e-mail and logins', 'account.delete': 'Delete account', 'account.delete.text': 'Your address, password and display name are deleted, and you are signed out everywhere. What you wrote stays, without your name. Nobody can take your user name. This cannot be undone.', 'account.delete.sure': 'Delete my account for good',
  'password.change': 'Change password', 'password.now': 'Present password', 'password.new': 'New password', 'password.again': 'New password, once more', 'password.differ': 'The two new passwords differ.', 'password.wrong': 'The present password is wrong.', 'password.done': 'Password changed. Your other devices must sign in again.',
  'email.change': 'Change e-mail address', 'email.new': 'New e-mail address',
  'logins': 'Where you are signed in', 'logins.used': 'Last used {at}', 'logins.this': 'This device', 'logins.end': 'Sign out', 'logins.unknown': 'Unknown device',
  'reset.title': 'Set a new password', 'reset.done': 'Your password is changed. Sign in with it.', 'reset.over': 'This link is not valid, or no longer. Ask for another one.',
  'forgot': 'Forgot your password?', 'forgot.submit': 'Send a link', 'forgot.sent': 'If an account has this address, a link is on its way to it. It works for one hour.',
  'back': 'Back', 'busy': 'One moment …', 'cancel': 'Cancel', 'close': 'Close', 'loading': 'Loading …', 'retry': 'Try again', 'discard': 'Discard', 'save': 'Save', 'saved': 'Saved', 'you': 'You',
  'language': 'Language', 'nav': 'Conversations and cases',
  'signin.submit': 'Sign in', 'signin.new': 'New here?', 'signin.expired': 'Your login has ended. Sign in again; unsent messages are kept.',
  'signup.submit': 'Create an account', 'signup.have': 'Already have an account?',
  'offer.text': 'This link signs you in as', 'offer.other': 'You are signed in as', 'offer.submit': 'Continue',
  'field.email': 'E-mail address', 'field.password': 'Password', 'field.password.hint': 'At least 8 characters',
  'field.username': 'User name', 'field.username.hint': 'Letters and digits, with single dots, hyphens or underscores. Others see it.',
  'field.community': 'Neighbourhood', 'field.community.hint': 'The place that you belong to, such as rt05',
  'threads': 'Conversations', 'threads.none': 'You are in no conversation yet.', 'cases': 'Cases',
  'unread': '{n} unread', 'unread.mentions': '{n} mention you', 'act.unread': 'Mark as unread from here', 'act.pin': 'Pin', 'act.unpin': 'Unpin', 'pins': 'Pinned messages', 'pins.count': 'Pinned: {n}', 'replies': 'Replies', 'replies.one': '1 reply', 'replies.count': '{n} replies', 'replies.none': 'Nobody has answered yet.', 'pins.none': 'Nothing is pinned.', 'typing.one': '{name} is typing …', 'typing.some': '{n} people are typing …',
  'empty.title': 'Choose a conversation', 'empty.text': 'What your neighbours write appears at once.',
  'update.ready': 'A new version is ready.', 'update.now': 'Reload',
  'conn.offline': 'No network', 'conn.away': 'Not connected', 'conn.waiting': '{n} waiting', 'conn.retry': 'next try in {n} s', 'conn.now': 'Try now',
  'conn.stale': 'This is what you saw on your last visit.',
  'find.title': 'Find or start a conversation', 'find.open': 'Open conversations', 'find.look': 'Look', 'find.none': 'There are none here.', 'find.join': 'Join', 'find.openIt': 'Open',
  'new.title': 'New conversation', 'new.name': 'Name', 'new.icon': 'Icon (one emoji, optional)', 'new.who': 'Who may join', 'new.public': 'Everybody', 'new.private': 'Only people who are added', 'new.submit': 'Start',
  'members': 'Members', 'members.count': '{n} members', 'members.here': '{n} here', 'members.details': 'Details and members',
  'members.write': 'Write to {name}', 'role.owner': 'Owner', 'role.admin': 'Admin', 'role.member': '',
  'thread.leave': 'Leave', 'thread.leave.sure': 'Leave this conversation?', 'thread.rename': 'Change', 'thread.topic': 'Topic', 'thread.archived': 'This conversation is archived. It can only be read.',
  'thread.mute': 'Mute', 'thread.unmute': 'Unmute', 'thread.muted': 'Muted', 'thread.archive': 'Archive', 'thread.unarchive': 'Bring back', 'thread.gone': 'This conversation does not exist, or you may not read it.', 'thread.private': 'Private', 'thread.public': 'Open to all',
  'thread.begin': 'The beginning of this conversation', 'thread.unread': 'New', 'thread.messages': 'Messages', 'thread.failed': 'The messages could not be loaded.', 'thread.none': 'No messages yet. Say hello.',
  'thread.toEnd': 'To the newest messages', 'thread.fresh': '{n} new', 'thread.toUnread': 'Unread messages',
  'message.deleted': 'Deleted', 'message.held': 'Held for review', 'message.hidden': 'Text not available', 'message.edited': 'edited', 'message.imported': 'imported', 'message.actions': 'Actions for a message from {name}',
  'message.gone': 'A message that is not shown here', 'message.replyTo': 'Reply to {name}', 'message.editing': 'Editing your message',
  'message.sending': 'Sending', 'message.waiting': 'Waiting for a connection', 'message.failed': 'Not sent', 'message.sent': 'Sent',
  'act.reply': 'Reply', 'act.edit': 'Edit', 'act.delete': 'Delete', 'act.copy': 'Copy text', 'act.review': 'Moderate', 'act.report': 'Report', 'act.report.text': 'Moderators can then read this message. Nobody learns that you reported it.', 'act.appeal': 'Appeal', 'act.appeal.text': 'Your message is reviewed again. You can appeal once.', 'act.why': 'In your own words (optional)', 'act.sent': 'Sent',
  'ground': 'Reason', 'ground.harassment': 'Harassment', 'ground.hate': 'Hate', 'ground.violence': 'Violence', 'ground.illegal': 'Illegal', 'ground.misinformation': 'Misinformation', 'ground.spam': 'Spam', 'ground.child_safety': 'Harm to children', 'ground.other': 'Something else',
  'message': 'Message', 'review': 'Moderation', 'review.queue': 'Waiting for you as a moderator', 'review.look': 'Other moderators see who has looked.', 'review.open': 'Read the message', 'review.reports': 'Reports: {n}', 'review.decisions': 'Decisions', 'review.decision': 'Decision', 'review.decide': 'Decide', 'review.minutes': 'Length of the hold (minutes)', 'review.ends': 'Publish it if nobody decides', 'review.note': 'Note', 'review.note.hint': 'For moderators only', 'severity': 'Severity of the violation', 'severity.low': 'Low', 'severity.medium': 'Medium', 'severity.high': 'High', 'slow': 'Slow mode', 'slow.off': 'Off', 'slow.on': 'Slow mode: one message every {time}', 'slow.hint': 'Ordinary members wait this long between two messages.', 'week': 'The last seven days', 'review.processing': 'Shown', 'review.under_review': 'Under review', 'review.published': 'Published', 'review.rejected': 'Rejected',
  'action.publish_now': 'Publish', 'action.publish_with_warning': 'Publish with a warning', 'action.hold_for_review': 'Hold', 'action.block': 'Reject', 'act.react': 'React', 'act.emoji': 'Another emoji', 'act.delete.sure': 'Delete this message for everybody?',
  'react.by': '{emoji}, {n}', 'react.notOne': 'Enter one emoji.',
  'compose': 'Message', 'compose.send': 'Send', 'compose.long': '{n} characters too many',
  'news.count': '{n} new messages', 'news.failed': 'A message was not sent',
  'case.open': 'Deciding', 'case.gone': 'This case does not exist, or you may not read it.', 'case.path': 'Stages', 'case.history': 'History', 'case.members': 'Members',
  'case.from': '{name} proposes: {from} → {to}', 'case.quiet': 'No step is proposed at the moment.',
  'gate.consent': 'By consent', 'gate.vote': 'By vote', 'gate.approval': 'Waiting for approval', 'gate.ratification': 'Done at once; the vote confirms it', 'gate.challenge': 'Passed; may still be disputed', 'gate.dispute': 'Disputed; a moderator decides',
  'gate.consent.text': 'The step is taken unless somebody objects.', 'gate.vote.text': 'The step is taken if enough people take part and more than {n}% vote yes, not counting abstentions.',
  'gate.closes': 'Closes', 'gate.left': '{time} left', 'gate.closed': 'Time is up; the result will follow.', 'gate.tookPart': '{n} of {voters} took part; {quorum} are needed', 'gate.secret': 'Secret vote',
  'vote.yes': 'Yes', 'vote.no': 'No', 'vote.abstain': 'Abstain', 'vote.mine': 'Your vote: {choice}. You can change it until voting closes.', 'vote.title': 'Your vote',
  'object.title': 'Object', 'object.reason': 'Why?', 'object.submit': 'Object', 'dispute.submit': 'Dispute',
  'ev.case.created': 'opened the case', 'ev.member.seated': 'added {who}', 'ev.member.removed': 'removed {who}', 'ev.transition.proposed': 'proposed {from} → {to}', 'ev.transition.approved': 'approved the step',
  'ev.transition.objected': 'objected', 'ev.transition.voted': 'voted: {choice}', 'ev.vote.voided': 'voided a vote', 'ev.transition.reminded': 'You have not voted yet', 'ev.transition.tallied': 'Result: {yes} yes, {no} no, {abstain} abstain',
  'ev.transition.disputed': 'disputed the step', 'ev.dispute.resolved': 'decided the dispute', 'ev.transition.applied': 'Step taken: now {to}', 'ev.transition.rejected': 'Step rejected ({why})', 'ev.transition.cancelled': 'Proposal withdrawn',
  'ev.transition.ratified': 'Step confirmed', 'ev.transition.undone': 'Step undone', 'ev.other': '{type}',
  'why.quorum': 'too few took part', 'why.threshold': 'too few yes votes', 'why.yes_of': 'a required yes is missing', 'why.overruled': 'dispute accepted', 'why.undecided': 'dispute not decided in time', 'why.not_approved': 'not approved', 'why.withdrawn': 'withdrawn',
  'inbox': 'Notifications', 'inbox.none': 'Nothing here yet.', 'inbox.readAll': 'Mark all as read', 'inbox.unread': 'unread', 'inbox.mention': 'mentioned you', 'inbox.reply': 'replied to you', 'inbox.added': 'added you', 'inbox.removed': 'You were removed', 'inbox.invited': 'invited you', 'inbox.declined': 'rejected your request', 'inbox.gate_opened': 'A step was proposed', 'inbox.gate_closing': 'A vote closes soon', 'inbox.siaga': 'Emergency', 'inbox.decided': 'A decision on your message',
  'decided.message_held': 'Your message is held for review', 'decided.message_released': 'Your message was released', 'decided.message_blocked': 'Your message was rejected', 'decided.message_deleted': 'Your message was deleted',
  'group.about': 'About the group', 'group.gone': 'This group does not exist, or you may not see it.', 'policy': 'Review of messages',
  'policy.flag_at': 'Reports that flag a message', 'policy.hide_at': 'Reports that hide a message', 'policy.auto_hide': 'Hide a message after that many reports, for an hour at most', 'policy.newcomer_hours': 'Hours that messages of new members are held', 'policy.newcomer_hours.hint': 'In conversations of all members; 0: they are not held.', 'policy.edge_pod_outside': 'Private conversations and cases may leave this server for the Edge-Pod', 'policy.auto_hold': 'Hold a message at once if the Edge-Pod proposes it', 'policy.range': '{what}: {from} to {to}',
  'more': 'More', 'prefs': 'Settings for notifications', 'prefs.kinds': 'Notify me of', 'level': 'Notify me of', 'level.all': 'Everything', 'level.mentions': 'Mentions and replies', 'level.none': 'Nothing', 'blocks': 'Blocked', 'block': 'Block', 'block.who': 'Block {name}', 'block.end': 'Unblock', 'block.done': 'Blocked. You get no direct messages and no notifications from {name}.',
  'push.on': 'Notify me on this device', 'push.off': 'Stop notifications on this device', 'push.denied': 'The browser does not allow notifications from this page.', 'mention.here': 'all members', 'mention.names': 'Members to mention',
  'search': 'Search', 'search.here': 'Search in this conversation', 'search.submit': 'Search', 'search.query': 'Words', 'search.hint': 'Also "a phrase", from:name, in:conversation, before:2026-01-31, has:file, has:link', 'search.none': 'Nothing was found.', 'search.case': 'Case', 'search.group': 'Group',
  'file.attach': 'Attach files', 'file.open': 'Open file', 'file.save': 'Save', 'file.remove': 'Remove', 'file.list': 'Files of the message',
  'today': 'Today', 'yesterday': 'Yesterday',
  'error.noAnswer': 'The server cannot be reached. Check the network and try again.', 'error.credentials': 'The e-mail address or the password is wrong.', 'error.forbidden': 'You may not do this.', 'error.notFound': 'It does not exist, or you may not see it.',
  'error.slow': 'Too many attempts. Wait a moment.', 'error.exists': 'This e-mail address or user name is in use.', 'error.gateClosed': 'The time for this is up.', 'error.other': 'That did not work.',
} as const
export type Key = keyof typeof en

const id: Record<Key, string> = {
  'app.motto': 'Mengobrol dan bermusyawarah dengan tetangga',
  'account': 'Akun', 'account.signOut': 'Keluar', 'account.wipes': 'Jika Anda keluar, semua data akun Anda di perangkat ini dihapus.',
  'account.name': 'Nama tampilan', 'account.name.hint': 'Orang lain melihatnya, bukan nama pengguna Anda.',
  'account.unsent': '{n} pesan yang belum terkirim akan hilang.', 'account.insecure': 'Alamat ini tidak memakai HTTPS, jadi aplikasi tidak bisa dipasang dan hanya bisa dibuka saat ada jaringan.',
  'account.manage': 'Kata sandi, email, dan perangkat', 'account.delete': 'Hapus akun', 'account.delete.text': 'Alamat email, kata sandi, dan nama tampilan Anda dihapus, dan Anda dikeluarkan dari semua perangkat. Tulisan Anda tetap ada, tanpa nama Anda. Nama pengguna Anda tidak bisa dipakai orang lain. Tindakan ini tidak bisa dibatalkan.', 'account.delete.sure': 'Hapus akun saya selamanya',
  'password.change': 'Ganti kata sandi', 'password.now': 'Kata sandi saat ini', 'password.new': 'Kata sandi baru', 'password.again': 'Ulangi kata sandi baru', 'password.differ': 'Kedua kata sandi baru tidak sama.', 'password.wrong': 'Kata sandi saat ini salah.', 'password.done': 'Kata sandi sudah diganti. Perangkat lain harus masuk lagi.',
  'email.change': 'Ganti alamat email', 'email.new': 'Alamat email baru',
  'logins': 'Perangkat yang masuk ke akun Anda', 'logins.used': 'Terakhir dipakai {at}', 'logins.this': 'Perangkat ini', 'logins.end': 'Keluarkan', 'logins.unknown': 'Perangkat tidak dikenal',
  'reset.title': 'Buat kata sandi baru', 'reset.done': 'Kata sandi Anda sudah diganti. Silakan masuk dengan kata sandi itu.', 'reset.over': 'Tautan ini salah atau sudah tidak berlaku. Mintalah tautan baru.',
  'forgot': 'Lupa kata sandi?', 'forgot.submit': 'Kirim tautan', 'forgot.sent': 'Jika alamat ini terdaftar, tautan sedang dikirim ke sana. Tautan itu berlaku satu jam.',
  'back': 'Kembali', 'busy': 'Sebentar …', 'cancel': 'Batal', 'close': 'Tutup', 'loading': 'Memuat …', 'retry': 'Coba lagi', 'discard': 'Buang', 'save': 'Simpan', 'saved': 'Tersimpan', 'you': 'Anda',
  'language': 'Bahasa', 'nav': 'Obrolan dan urusan',
  'signin.submit': 'Masuk', 'signin.new': 'Belum punya akun?', 'signin.expired': 'Sesi Anda sudah berakhir. Silakan masuk lagi; pesan yang belum terkirim tetap disimpan.',
  'signup.submit': 'Buat akun', 'signup.have': 'Sudah punya akun?',
  'offer.text': 'Dengan tautan ini Anda masuk sebagai', 'offer.other': 'Sekarang Anda masuk sebagai', 'offer.submit': 'Lanjutkan',
  'field.email': 'Alamat email', 'field.password': 'Kata sandi', 'field.password.hint': 'Minimal 8 karakter',
  'field.username': 'Nama pengguna', 'field.username.hint': 'Huruf dan angka, boleh dengan titik, tanda hubung, atau garis bawah. Terlihat oleh orang lain.',
  'field.community': 'Lingkungan', 'field.community.hint': 'Tempat tinggal Anda, misalnya rt05',
  'threads': 'Obrolan', 'threads.none': 'Anda belum ikut obrolan apa pun.', 'cases': 'Urusan',
  'unread': '{n} belum dibaca', 'unread.mentions': '{n} menyebut Anda', 'act.unread': 'Tandai belum dibaca dari sini', 'act.pin': 'Sematkan', 'act.unpin': 'Lepas sematan', 'pins': 'Pesan yang disematkan', 'pins.count': 'Disematkan: {n}', 'replies': 'Balasan', 'replies.one': '1 balasan', 'replies.count': '{n} balasan', 'replies.none': 'Belum ada yang membalas.', 'pins.none': 'Belum ada yang disematkan.', 'typing.one': '{name} sedang mengetik …', 'typing.some': '{n} orang sedang mengetik …',
  'empty.title': 'Pilih obrolan', 'empty.text': 'Pesan dari tetangga langsung muncul di sini.',
  'update.ready': 'Versi baru sudah siap.', 'update.now': 'Muat ulang',
  'conn.offline': 'Tidak ada jaringan', 'conn.away': 'Tidak terhubung', 'conn.waiting': '{n} menunggu', 'conn.retry': 'dicoba lagi dalam {n} dtk', 'conn.now': 'Coba sekarang',
  'conn.stale': 'Yang tampil adalah data dari kunjungan terakhir Anda.',
  'find.title': 'Cari atau mulai obrolan', 'find.open': 'Obrolan terbuka', 'find.look': 'Cari', 'find.none': 'Belum ada obrolan terbuka di sini.', 'find.join': 'Ikut', 'find.openIt': 'Buka',
  'new.title': 'Obrolan baru', 'new.name': 'Nama', 'new.icon': 'Ikon (satu emoji, boleh kosong)', 'new.who': 'Siapa yang boleh ikut', 'new.public': 'Semua orang', 'new.private': 'Hanya yang ditambahkan', 'new.submit': 'Mulai',
  'members': 'Anggota', 'members.count': '{n} anggota', 'members.here': '{n} sedang di sini', 'members.details': 'Rincian dan anggota',
  'members.write': 'Kirim pesan ke {name}', 'role.owner': 'Pemilik', 'role.admin': 'Pengurus', 'role.member': '',
  'thread.leave': 'Tinggalkan', 'thread.leave.sure': 'Tinggalkan obrolan ini?', 'thread.rename': 'Ubah', 'thread.topic': 'Topik', 'thread.archived': 'Obrolan ini diarsipkan dan hanya bisa dibaca.',
  'thread.mute': 'Bisukan', 'thread.unmute': 'Bunyikan lagi', 'thread.muted': 'Dibisukan', 'thread.archive': 'Arsipkan', 'thread.unarchive': 'Aktifkan lagi', 'thread.gone': 'Obrolan ini tidak ada, atau Anda tidak boleh membacanya.', 'thread.private': 'Tertutup', 'thread.public': 'Terbuka untuk semua',
  'thread.begin': 'Awal obrolan ini', 'thread.unread': 'Baru', 'thread.messages': 'Pesan', 'thread.failed': 'Pesan tidak bisa dimuat.', 'thread.none': 'Belum ada pesan. Sapa tetangga Anda.',
  'thread.toEnd': 'Ke pesan terbaru', 'thread.fresh': '{n} baru', 'thread.toUnread': 'Belum dibaca',
  'message.deleted': 'Dihapus', 'message.held': 'Ditahan untuk ditinjau', 'message.hidden': 'Teks tidak tersedia', 'message.edited': 'diubah', 'message.imported': 'diimpor', 'message.actions': 'Pilihan untuk pesan dari {name}',
  'message.gone': 'Pesan yang tidak tampil di sini', 'message.replyTo': 'Balas {name}', 'message.editing': 'Mengubah pesan Anda',
  'message.sending': 'Mengirim', 'message.waiting': 'Menunggu sambungan', 'message.failed': 'Tidak terkirim', 'message.sent': 'Terkirim',
  'act.reply': 'Balas', 'act.edit': 'Ubah', 'act.delete': 'Hapus', 'act.copy': 'Salin teks', 'act.review': 'Moderasi', 'act.report': 'Laporkan', 'act.report.text': 'Setelah itu moderator bisa membaca pesan ini. Tidak ada yang akan tahu bahwa Anda yang melaporkannya.', 'act.appeal': 'Ajukan banding', 'act.appeal.text': 'Pesan Anda akan ditinjau sekali lagi. Banding hanya bisa diajukan satu kali.', 'act.why': 'Dengan kata-kata Anda (boleh kosong)', 'act.sent': 'Terkirim',
  'ground': 'Alasan', 'ground.harassment': 'Pelecehan', 'ground.hate': 'Ujaran kebencian', 'ground.violence': 'Kekerasan', 'ground.illegal': 'Melanggar hukum', 'ground.misinformation': 'Informasi palsu', 'ground.spam': 'Spam', 'ground.child_safety': 'Membahayakan anak', 'ground.other': 'Lainnya',
  'message': 'Pesan', 'review': 'Moderasi', 'review.queue': 'Menunggu keputusan Anda sebagai moderator', 'review.look': 'Moderator lain bisa melihat siapa yang sudah membacanya.', 'review.open': 'Baca pesan', 'review.reports': 'Laporan: {n}', 'review.decisions': 'Keputusan', 'review.decision': 'Keputusan', 'review.decide': 'Putuskan', 'review.minutes': 'Lama penahanan (menit)', 'review.ends': 'Terbitkan jika tidak ada keputusan', 'review.note': 'Catatan', 'review.note.hint': 'Hanya untuk moderator', 'severity': 'Tingkat pelanggaran', 'severity.low': 'Ringan', 'severity.medium': 'Sedang', 'severity.high': 'Berat', 'slow': 'Mode lambat', 'slow.off': 'Nonaktif', 'slow.on': 'Mode lambat: satu pesan tiap {time}', 'slow.hint': 'Jeda antara dua pesan bagi anggota biasa.', 'week': 'Tujuh hari terakhir', 'review.processing': 'Tampil', 'review.under_review': 'Sedang ditinjau', 'review.published': 'Diterbitkan', 'review.rejected': 'Ditolak',
  'action.publish_now': 'Terbitkan', 'action.publish_with_warning': 'Terbitkan dengan peringatan', 'action.hold_for_review': 'Tahan', 'action.block': 'Tolak', 'act.react': 'Beri reaksi', 'act.emoji': 'Emoji lain', 'act.delete.sure': 'Hapus pesan ini untuk semua?',
  'react.by': '{emoji}, {n}', 'react.notOne': 'Masukkan satu emoji.',
  'compose': 'Pesan', 'compose.send': 'Kirim', 'compose.long': 'kelebihan {n} karakter',
  'news.count': '{n} pesan baru', 'news.failed': 'Ada pesan yang tidak terkirim',
  'case.open': 'Sedang diputuskan', 'case.gone': 'Urusan ini tidak ada, atau Anda tidak boleh membacanya.', 'case.path': 'Tahap', 'case.history': 'Riwayat', 'case.members': 'Anggota',
  'case.from': '{name} mengusulkan: {from} → {to}', 'case.quiet': 'Saat ini tidak ada langkah yang diusulkan.',
  'gate.consent': 'Mufakat', 'gate.vote': 'Pemungutan suara', 'gate.approval': 'Menunggu persetujuan', 'gate.ratification': 'Sudah dijalankan; disahkan lewat pemungutan suara', 'gate.challenge': 'Lolos; masih bisa disanggah', 'gate.dispute': 'Disanggah; moderator memutuskan',
  'gate.consent.text': 'Langkah diambil jika tidak ada yang keberatan.', 'gate.vote.text': 'Langkah diambil jika cukup banyak yang ikut dan lebih dari {n}% memilih ya, tanpa menghitung abstain.',
  'gate.closes': 'Ditutup', 'gate.left': 'tinggal {time}', 'gate.closed': 'Waktunya habis; hasilnya menyusul.', 'gate.tookPart': '{n} dari {voters} sudah ikut; perlu {quorum}', 'gate.secret': 'Rahasia',
  'vote.yes': 'Ya', 'vote.no': 'Tidak', 'vote.abstain': 'Abstain', 'vote.mine': 'Suara Anda: {choice}. Bisa diganti sampai pemungutan suara ditutup.', 'vote.title': 'Suara Anda',
  'object.title': 'Keberatan', 'object.reason': 'Mengapa?', 'object.submit': 'Ajukan keberatan', 'dispute.submit': 'Ajukan sanggahan',
  'ev.case.created': 'membuka urusan ini', 'ev.member.seated': 'menambahkan {who}', 'ev.member.removed': 'mengeluarkan {who}', 'ev.transition.proposed': 'mengusulkan {from} → {to}', 'ev.transition.approved': 'menyetujui langkah',
  'ev.transition.objected': 'mengajukan keberatan', 'ev.transition.voted': 'memberi suara: {choice}', 'ev.vote.voided': 'membatalkan satu suara', 'ev.transition.reminded': 'Anda belum memberi suara', 'ev.transition.tallied': 'Hasil: {yes} ya, {no} tidak, {abstain} abstain',
  'ev.transition.disputed': 'menyanggah langkah', 'ev.dispute.resolved': 'memutuskan sanggahan', 'ev.transition.applied': 'Langkah diambil: sekarang {to}', 'ev.transition.rejected': 'Langkah ditolak ({why})', 'ev.transition.cancelled': 'Usulan ditarik',
  'ev.transition.ratified': 'Langkah disahkan', 'ev.transition.undone': 'Langkah dibatalkan', 'ev.other': '{type}',
  'why.quorum': 'terlalu sedikit yang ikut', 'why.threshold': 'suara ya kurang', 'why.yes_of': 'suara ya yang wajib ada belum didapat', 'why.overruled': 'sanggahan diterima', 'why.undecided': 'sanggahan tidak diputuskan tepat waktu', 'why.not_approved': 'tidak disetujui', 'why.withdrawn': 'ditarik',
  'inbox': 'Pemberitahuan', 'inbox.none': 'Belum ada apa-apa.', 'inbox.readAll': 'Tandai semua terbaca', 'inbox.unread': 'belum dibaca', 'inbox.mention': 'menyebut Anda', 'inbox.reply': 'membalas Anda', 'inbox.added': 'menambahkan Anda', 'inbox.removed': 'Anda dikeluarkan', 'inbox.invited': 'mengundang Anda', 'inbox.declined': 'menolak permintaan Anda', 'inbox.gate_opened': 'Ada langkah yang diusulkan', 'inbox.gate_closing': 'Pemungutan suara segera ditutup', 'inbox.siaga': 'Siaga', 'inbox.decided': 'Keputusan atas pesan Anda',
  'decided.message_held': 'Pesan Anda ditahan untuk ditinjau', 'decided.message_released': 'Pesan Anda diloloskan', 'decided.message_blocked': 'Pesan Anda ditolak', 'decided.message_deleted': 'Pesan Anda dihapus',
  'group.about': 'Tentang kelompok', 'group.gone': 'Kelompok ini tidak ada, atau Anda tidak boleh melihatnya.', 'policy': 'Peninjauan pesan',
  'policy.flag_at': 'Jumlah laporan sampai pesan ditandai', 'policy.hide_at': 'Jumlah laporan sampai pesan disembunyikan', 'policy.auto_hide': 'Sembunyikan pesan setelah laporan sebanyak itu, paling lama satu jam', 'policy.newcomer_hours': 'Lama pesan anggota baru ditahan (jam)', 'policy.newcomer_hours.hint': 'Di obrolan semua anggota; 0: tidak ditahan.', 'policy.edge_pod_outside': 'Isi obrolan tertutup dan urusan boleh dikirim ke Edge-Pod di luar server ini', 'policy.auto_hold': 'Langsung tahan pesan jika Edge-Pod mengusulkannya', 'policy.range': '{what}: {from} sampai {to}',
  'more': 'Lainnya', 'prefs': 'Pengaturan pemberitahuan', 'prefs.kinds': 'Beri tahu saya tentang', 'level': 'Beri tahu saya tentang', 'level.all': 'Semuanya', 'level.mentions': 'Sebutan dan balasan', 'level.none': 'Tidak ada', 'blocks': 'Diblokir', 'block': 'Blokir', 'block.who': 'Blokir {name}', 'block.end': 'Buka blokir', 'block.done': 'Diblokir. Anda tidak akan menerima pesan langsung atau pemberitahuan dari {name}.',
  'push.on': 'Beri tahu saya di perangkat ini', 'push.off': 'Hentikan pemberitahuan di perangkat ini', 'push.denied': 'Peramban tidak mengizinkan pemberitahuan dari halaman ini.', 'mention.here': 'semua anggota', 'mention.names': 'Anggota yang bisa disebut',
  'search': 'Cari', 'search.here': 'Cari di obrolan ini', 'search.submit': 'Cari', 'search.query': 'Kata', 'search.hint': 'Juga "frasa", from:nama, in:obrolan, before:2026-01-31, has:file, has:link', 'search.none': 'Tidak ditemukan.', 'search.case': 'Urusan', 'search.group': 'Kelompok',
  'file.attach': 'Lampirkan berkas', 'file.open': 'Buka berkas', 'file.save': 'Simpan', 'file.remove': 'Hapus', 'file.list': 'Berkas pesan ini',
  'today': 'Hari ini', 'yesterday': 'Kemarin',
  'error.noAnswer': 'Server tidak bisa dihubungi. Periksa jaringan Anda, lalu coba lagi.', 'error.credentials': 'Alamat email atau kata sandi salah.', 'error.forbidden': 'Anda tidak boleh melakukan ini.', 'error.notFound': 'Tidak ada, atau Anda tidak boleh melihatnya.',
  'error.slow': 'Terlalu banyak percobaan. Tunggu sebentar.', 'error.exists': 'Alamat email atau nama pengguna ini sudah dipakai.', 'error.gateClosed': 'Waktunya sudah habis.', 'error.other': 'Tidak berhasil.',
}

export const languages = { id, en }
type Language = keyof typeof languages

export const languageModel = new Model()
let now: Language = chosen()

function chosen(): Language {
  const kept = kv.get('language')
  if (kept === 'id' || kept === 'en') return kept
  return navigator.languages.map((l) => l.slice(0, 2)).find((l): l is Language => l === 'id' || l === 'en') ?? 'en'
}

export const language = (): Language => now

export function setLanguage(to: Language): void {
  now = to
  kv.set('language', to)
  document.documentElement.lang = to
  languageModel.changed()
}
document.documentElement.lang = now

/** Returns a function for the text of a key in the present language, with its {parts}. */
export function translator<K extends string>(of: Record<Language, Record<K, string>>) {
  return (key: K, parts: Record<string, string | number> = {}): string =>
    of[now][key].replace(/\{(\w+)\}/g, (_, name: string) => String(parts[name] ?? ''))
}
export const t = translator<Key>(languages)

/** Whether there is such a text, for keys that depend on what the server sends. */
export function known(key: string): key is Key {
  return key in en
}

const forms = new Map<string, Intl.DateTimeFormat>()
function format(at: number, options: Intl.DateTimeFormatOptions): string {
  const key = now + JSON.stringify(options)
  let form = forms.get(key)
  if (!form) forms.set(key, (form = new Intl.DateTimeFormat(now === 'id' ? 'id-ID' : 'en-GB', options)))
  return form.format(at)
}

export const time = (at: number) => format(at, { hour: '2-digit', minute: '2-digit' })
export const dateTime = (at: number) => format(at, { dateStyle: 'medium', timeStyle: 'short' })
/** With the zone: Indonesia has three. */
export const deadline = (at: number) => format(at, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })
export const dayKey = (at: number) => new Date(at).toDateString()

export function day(at: number): string {
  if (dayKey(at) === dayKey(Date.now())) return t('today')
  if (dayKey(at) === dayKey(Date.now() - 86_400_000)) return t('yesterday')
  return format(at, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })
}

export function dayOrTime(at: number): string {
  return dayKey(at) === dayKey(Date.now()) ? time(at) : format(at, { day: 'numeric', month: 'short' })
}

/** How long until a time, in the two largest units. */
export function left(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  const units: Array<[number, 'day' | 'hour' | 'minute' | 'second']> = [[Math.floor(s / 86400), 'day'], [Math.floor(s / 3600) % 24, 'hour'], [Math.floor(s / 60) % 60, 'minute'], [s % 60, 'second']]
  const first = units.findIndex(([n]) => n > 0)
  return units.slice(first < 0 ? 3 : first, first < 0 ? 4 : first + 2).filter(([n], i) => n > 0 || i === 0)
    .map(([n, unit]) => new Intl.NumberFormat(now, { style: 'unit', unit, unitDisplay: 'short' }).format(n)).join(' ')
}

/** A number of bytes, in KB or MB. */
export const size = (n: number) => new Intl.NumberFormat(now, { style: 'unit', unit: n < 1e6 ? 'kilobyte' : 'megabyte', maximumFractionDigits: n < 1e6 ? 0 : 1 }).format(n < 1e6 ? Math.ceil(n / 1000) : n / 1e6)

/** A stage of a case is a word of the community, in its own language. */
export const stageName = (stage: string) => stage.charAt(0).toUpperCase() + stage.slice(1)

/** What a thread is called: its name, that of its group, or its place. */
export function titleOf(room: Room): string {
  const view = room.view
  if (!view) return ''
  return view.name || view.with?.name || (view.scope_id.startsWith('ent-') && room.home.groupName(view.scope_id)) || view.scope_id.toUpperCase()
}
