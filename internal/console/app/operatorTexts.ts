// The texts of the operators' page, in Indonesian and English.
import { translator } from './i18n.ts'

const en = {
  'title': 'Operators', 'door.text': 'On the machine of the server, this command prints a link to this page, valid for an hour:', 'door.ended': 'The link is no longer valid.',
  'pause': 'Pause', 'resume': 'Resume', 'paused': 'Paused', 'version': 'Version', 'started': 'Started',
  'healthy': 'Healthy', 'unhealthy': 'Not healthy: {why}', 'away': 'The server does not answer.', 'draining': 'It is shutting down',
  'why.check': '{name}: {what}', 'why.store': 'The store rejects writes', 'why.stopped': 'Reader {name} has stopped', 'why.dead': '{n} dead jobs', 'why.damage': 'The log is damaged', 'why.hooks': '{n} webhooks fail',
  'checks': 'Checks', 'check': 'Check', 'state': 'State', 'ok': 'OK',
  'table': 'Table', 'time': 'Time', 'none': 'None.', 'minute': 'last minute',
  'sessions': 'Sessions', 'ws': 'WebSocket', 'sse': 'Server-sent events', 'poll': 'Long poll', 'total': 'Total', 'subscriptions': 'Subscriptions', 'catching': 'Reading pages', 'waiting': 'Waiting for a page', 'stale': 'Checking access', 'number': 'Number', 'what': 'What',
  'commits': 'Commits per second', 'commit.ok': 'Committed/s', 'commit.no': 'Rejected/s', 'latency': 'Commit latency', 'p50': 'Half within', 'p99': '99% within',
  'delivery': 'From commit to connection', 'lag': 'Lag of readers', 'lag.max': 'Commits behind', 'memory': 'Memory', 'goroutines': 'Goroutines',
  'look': 'Look up', 'look.label': 'Stream, or stream and seq', 'look.hint': 'thread/0192… or thread/0192…:17', 'look.submit': 'Look up', 'look.bad': 'Enter a stream such as thread/0192…, and after a colon a seq.', 'look.nothing': 'There is no such stream.',
  'event': 'Event {seq} of {stream}', 'event.type': 'Type', 'event.id': 'Id', 'event.audience': 'Audience', 'event.all': 'all members', 'event.prev': 'Previous link', 'event.link': 'Link', 'event.data': 'Commitment to the data', 'event.content': 'Commitment to the content', 'event.private': 'What the event says is not shown here.', 'event.raw': 'As JSON', 'event.newest': 'Newest event',
  'proof.checked': 'Checked: this event is in the log. The checkpoint of {size} commits is signed with the given key.', 'proof.wrong': 'Wrong: {why}.', 'proof.not': 'Not checked: {why}.', 'proof.busy': 'Checking …',
  'proof.key': 'Verifier key', 'proof.keyHint': 'gotong audit checkpoint --keys prints it. Without it, no signature is checked.', 'proof.check': 'Check', 'proof.covers': 'This page checks the header, the chain, the tree and the signature, not the text.',
  'streams': 'Streams with the newest commits', 'stream': 'Stream', 'head': 'Head', 'partition': 'Partition', 'position': 'Position', 'last': 'Newest event',
  'readers': 'Readers', 'reader': 'Reader', 'behind': 'Behind (commits)', 'behind.s': 'Behind (s)', 'stopped': 'Stopped at',
  'jobs': 'Jobs', 'queue': 'Queue', 'job.waiting': 'Waiting', 'job.running': 'Running', 'job.dead': 'Dead', 'job.late': 'Late (s)', 'job': 'Job', 'job.failures': 'Failures', 'error': 'Error', 'job.retry': 'Retry', 'job.retried': 'Job {id} is due now.', 'job.more': 'Only the first {n} jobs were counted.',
  'hooks': 'Webhooks', 'hook': 'Webhook', 'hook.host': 'Receiver', 'hook.home': 'Home', 'hook.dead': 'Dead letters', 'hook.blocked': 'Waiting streams', 'hook.good': 'Last success', 'hook.off': 'Disabled ({why})', 'hook.failing': 'Failing since {time}', 'hook.log': 'Deliveries of {id}', 'hook.status': 'Status', 'hook.took': 'Took (ms)', 'hook.replay': 'Send dead letters again', 'hook.replayed': 'The dead letters of {id} are being sent again.',
  'gates': 'Open gates', 'gate': 'Gate', 'gate.step': 'Step', 'gate.phase': 'Phase', 'gate.closes': 'Closes', 'gate.part': 'Took part', 'gate.of': '{n} of {voters}',
  'storage': 'Storage', 'db': 'Database', 'wal': 'Write-ahead log', 'free': 'Free on the disk', 'nodes': 'Nodes', 'node': 'Node', 'node.at': 'Last look', 'bus': 'Messages between nodes', 'bus.up': 'Connected', 'bus.down': 'Not connected', 'bus.in': 'Received', 'bus.out': 'Sent',
} as const
type Key = keyof typeof en

const id: Record<Key, string> = {
  'title': 'Operator', 'door.text': 'Di mesin server, perintah ini mencetak tautan ke halaman ini, yang berlaku satu jam:', 'door.ended': 'Tautan ini tidak berlaku lagi.',
  'pause': 'Jeda', 'resume': 'Lanjutkan', 'paused': 'Dijeda', 'version': 'Versi', 'started': 'Dimulai',
  'healthy': 'Sehat', 'unhealthy': 'Tidak sehat: {why}', 'away': 'Server tidak menjawab.', 'draining': 'Server sedang berhenti',
  'why.check': '{name}: {what}', 'why.store': 'Penyimpanan menolak penulisan', 'why.stopped': 'Pembaca {name} berhenti', 'why.dead': '{n} tugas mati', 'why.damage': 'Log rusak', 'why.hooks': '{n} webhook gagal',
  'checks': 'Pemeriksaan', 'check': 'Pemeriksaan', 'state': 'Keadaan', 'ok': 'Baik',
  'table': 'Tabel', 'time': 'Waktu', 'none': 'Tidak ada.', 'minute': 'menit terakhir',
  'sessions': 'Sesi', 'ws': 'WebSocket', 'sse': 'Server-sent events', 'poll': 'Long poll', 'total': 'Total', 'subscriptions': 'Langganan', 'catching': 'Membaca halaman', 'waiting': 'Menunggu halaman', 'stale': 'Memeriksa hak akses', 'number': 'Jumlah', 'what': 'Keterangan',
  'commits': 'Commit per detik', 'commit.ok': 'Diterima/dtk', 'commit.no': 'Ditolak/dtk', 'latency': 'Latensi commit', 'p50': 'Separuh dalam', 'p99': '99% dalam',
  'delivery': 'Dari commit ke sambungan', 'lag': 'Ketertinggalan pembaca', 'lag.max': 'Tertinggal (commit)', 'memory': 'Memori', 'goroutines': 'Goroutine',
  'look': 'Cari', 'look.label': 'Stream, atau stream dan seq', 'look.hint': 'thread/0192… atau thread/0192…:17', 'look.submit': 'Lihat', 'look.bad': 'Tulis stream seperti thread/0192…, lalu seq sesudah titik dua.', 'look.nothing': 'Stream itu tidak ada.',
  'event': 'Peristiwa {seq} dari {stream}', 'event.type': 'Jenis', 'event.id': 'Id', 'event.audience': 'Untuk', 'event.all': 'semua anggota', 'event.prev': 'Mata rantai sebelumnya', 'event.link': 'Mata rantai', 'event.data': 'Komitmen data', 'event.content': 'Komitmen isi', 'event.private': 'Isi peristiwa tidak ditampilkan di sini.', 'event.raw': 'Sebagai JSON', 'event.newest': 'Peristiwa terbaru',
  'proof.checked': 'Terbukti: peristiwa ini ada di log. Checkpoint atas {size} commit ditandatangani dengan kunci yang diberikan.', 'proof.wrong': 'Salah: {why}.', 'proof.not': 'Tidak diperiksa: {why}.', 'proof.busy': 'Memeriksa …',
  'proof.key': 'Kunci verifikasi', 'proof.keyHint': 'gotong audit checkpoint --keys mencetaknya. Tanpa kunci, tanda tangan tidak diperiksa.', 'proof.check': 'Periksa', 'proof.covers': 'Halaman ini memeriksa header, rantai, pohon, dan tanda tangan, bukan teksnya.',
  'streams': 'Stream dengan commit terbaru', 'stream': 'Stream', 'head': 'Ujung', 'partition': 'Partisi', 'position': 'Posisi', 'last': 'Peristiwa terbaru',
  'readers': 'Pembaca', 'reader': 'Pembaca', 'behind': 'Tertinggal (commit)', 'behind.s': 'Tertinggal (dtk)', 'stopped': 'Berhenti di',
  'jobs': 'Tugas', 'queue': 'Antrean', 'job.waiting': 'Menunggu', 'job.running': 'Berjalan', 'job.dead': 'Mati', 'job.late': 'Terlambat (dtk)', 'job': 'Tugas', 'job.failures': 'Kegagalan', 'error': 'Kesalahan', 'job.retry': 'Ulangi', 'job.retried': 'Tugas {id} dijalankan sekarang.', 'job.more': 'Hanya {n} tugas pertama yang dihitung.',
  'hooks': 'Webhook', 'hook': 'Webhook', 'hook.host': 'Penerima', 'hook.home': 'Milik', 'hook.dead': 'Kiriman gagal', 'hook.blocked': 'Stream menunggu', 'hook.good': 'Terakhir berhasil', 'hook.off': 'Dimatikan ({why})', 'hook.failing': 'Gagal sejak {time}', 'hook.log': 'Kiriman {id}', 'hook.status': 'Status', 'hook.took': 'Lama (md)', 'hook.replay': 'Kirim ulang yang gagal', 'hook.replayed': 'Kiriman gagal dari {id} sedang dikirim ulang.',
  'gates': 'Keputusan terbuka', 'gate': 'Keputusan', 'gate.step': 'Langkah', 'gate.phase': 'Tahap', 'gate.closes': 'Ditutup', 'gate.part': 'Ikut serta', 'gate.of': '{n} dari {voters}',
  'storage': 'Penyimpanan', 'db': 'Basis data', 'wal': 'Write-ahead log', 'free': 'Sisa ruang disk', 'nodes': 'Node', 'node': 'Node', 'node.at': 'Terakhir terlihat', 'bus': 'Pesan antarnode', 'bus.up': 'Tersambung', 'bus.down': 'Tidak tersambung', 'bus.in': 'Diterima', 'bus.out': 'Dikirim',
}

export const t = translator<Key>({ id, en })
