// What lies beside the list of messages: the replies to one, and the pinned ones.
import { useEffect, useState } from 'preact/hooks'
import { dateTime, t } from './i18n.ts'
import { useModel } from './platform.ts'
import type { Room, Row } from './room.ts'
import { summary } from './Sidebar.tsx'
import { Dialog, explain, Form, Name } from './ui.tsx'

/** The replies to a message with a place to answer or, without one, the pinned messages. */
export function Beside({ room, of, onClose }: { room: Room; of?: Row; onClose: () => void }) {
  useModel(room)
  const [rows, setRows] = useState<Row[]>()
  const [error, setError] = useState('')
  const [sent, setSent] = useState(0)
  useEffect(() => {
    let alive = true
    room.listed(of).then((list) => { if (alive) setRows(list) }, (e) => { if (alive) setError(explain(e)) })
    return () => { alive = false }
  }, [room.turn, sent])
  const line = (r: Row) => <><strong class="clip"><Name>{r.name}</Name></strong> <time class="soft" dateTime={new Date(r.at).toISOString()}>{dateTime(r.at)}</time><span class="beside-text" dir="auto">{r.deleted || r.withheld || r.erased || r.body === '' ? <em>{summary(r)}</em> : r.body}</span></>
  const label = of ? t('replies') : t('pins')
  return <Dialog label={label} class="sheet beside" onClose={onClose}>
    <h2>{label}</h2>
    {of && <p class="item"><span class="item-text">{line(of)}</span></p>}
    <p class="error" role="alert">{error}</p>
    {!rows && !error && <p class="soft">{t('loading')}</p>}
    <ul class="list cards" aria-label={label}>{rows?.map((r) => <li key={r.id}>
      <button type="button" class="item" onClick={() => { onClose(); void room.show(r.id) }}><span class="item-text">{line(r)}</span></button></li>)}</ul>
    {rows?.length === 0 && <p class="soft" role="status">{t(of ? 'replies.none' : 'pins.none')}</p>}
    {of && !room.view?.archived_at_ms && !of.deleted && <Form submit={t('act.reply')} run={async (d) => {
      if (d.body!.trim() === '') return
      await room.post(d.body!.trim(), of.id)
      setSent(sent + 1)
    }}><label>{t('compose')}<textarea key={sent} name="body" rows={2} maxLength={4000} dir="auto" required /></label></Form>}
    <button type="button" class="plain" onClick={onClose}>{t('close')}</button>
  </Dialog>
}
