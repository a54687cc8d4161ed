// One message in the list, one that is on its way, and what can be done with one.
import type { Command } from '@gotong/client'
import { useState } from 'preact/hooks'
import { dateTime, day, dayKey, known, t, time, type Key } from './i18n.ts'
import { Files } from './Files.tsx'
import { memo } from './platform.ts'
import type { Room, Row } from './room.ts'
import { Grounds } from './Review.tsx'
import { summary } from './Sidebar.tsx'
import type { Aim } from './ThreadScreen.tsx'
import { Avatar, clean, Dialog, explain, Form, hueOf, Icon, Name, Named, spoken, Text } from './ui.tsx'

const together = 5 * 60_000 // ms between messages of one group

/** Whether a message begins a group, which shows its author once. */
export function startsGroup(row: Row, before: Row | undefined): boolean {
  return !before || before.userId !== row.userId || before.name !== row.name || row.at - before.at > together || dayKey(row.at) !== dayKey(before.at)
}

export function DayLine({ row, before }: { row: Row; before: Row | undefined }) {
  if (before && dayKey(before.at) === dayKey(row.at)) return null
  return <li class="day" data-id={'day' + row.id}><span>{day(row.at)}</span></li>
}

interface RowProps {
  row: Row
  room: Room
  first: boolean
  answered: Row | null | undefined // null: it is not in the window
  tab: boolean
  shown: boolean
  change: Command | undefined
  onActive: (id: string) => void
  onMenu: (menu: { row: Row; at: DOMRect }) => void
  onReplies: (row: Row) => void
}

export const MessageRow = memo(({ row, room, first, answered, tab, shown, change, onActive, onMenu, onReplies }: RowProps) => {
  const mine = row.userId === room.home.me.userId
  const name = clean(row.name)
  const body = change?.type === 'message.edit' && change.state !== 'failed' ? (change.data as { body: string }).body : row.body
  const hidden = row.deleted || (row.held && row.body === '') || row.withheld || row.erased
  const note = [row.pinned && !hidden && '📌', row.imported && t('message.imported'), row.held && !hidden && t('message.held'), row.warning && !hidden && `⚠ ${known('ground.' + row.warning) ? t(('ground.' + row.warning) as Key) : row.warning}`, row.edited && !hidden && t('message.edited')].filter(Boolean).map((s) => s + ' · ').join('')
  return <li class={`row${mine ? ' mine' : ''}${first ? ' first' : ''}${shown ? ' shown' : ''}`} data-row data-id={row.id} tabIndex={tab ? 0 : -1} onFocus={() => onActive(row.id)}
    onKeyDown={(e) => {
      if (e.key !== 'Enter' || e.target !== e.currentTarget) return
      e.preventDefault() // else the same key chooses the first action
      onMenu({ row, at: e.currentTarget.querySelector('.bubble')!.getBoundingClientRect() })
    }}>
    {!mine && (first ? <Avatar name={name} id={row.userId} /> : <span class="avatar-space" />)}
    <div class="stack">
      <span class={first && !mine ? 'author' : 'unseen'} style={{ '--hue': String(hueOf(row.userId)) }}><Name>{name}</Name></span>
      <div class="bubble-line">
        <div class={hidden ? 'bubble off' : 'bubble'}>
          {answered !== undefined && <button type="button" class="quoted" tabIndex={tab ? 0 : -1} onClick={() => void room.show(row.replyTo!).catch(() => spoken.say(t('message.gone')))}><Quote row={answered} /></button>}
          {hidden ? <p class="text"><em>{summary(row)}</em></p> : <p class="text" dir="auto">{body === row.body ? <Named text={body} mentions={row.mentions} me={room.names} /> : <Text>{body}</Text>}{!change && <Space beside={note + time(row.at)} text={body} />}</p>}
          {!hidden && row.files && row.files.length > 0 && <Files room={room} list={row.files} tab={tab} />}
          <span class="meta">{note}<time dateTime={new Date(row.at).toISOString()} title={dateTime(row.at)}>{time(row.at)}</time>
            {change && <Way command={change} state={change.state} room={room} />}</span>
        </div>
        {!row.deleted && <button type="button" class="icon-button row-menu" tabIndex={tab ? 0 : -1} aria-haspopup="dialog" aria-label={t('message.actions', { name })} title={t('message.actions', { name })}
          onClick={(e) => onMenu({ row, at: e.currentTarget.getBoundingClientRect() })}><Icon name="more" /></button>}
      </div>
      {row.reactions.length > 0 && <div class="reactions">{row.reactions.map((r) => {
        const on = r.users.includes(room.home.me.userId)
        return <button type="button" key={r.emoji} tabIndex={tab ? 0 : -1} aria-pressed={on} aria-label={t('react.by', { emoji: r.emoji, n: r.count })} onClick={() => room.react(row, r.emoji)}>{r.emoji}<span>{r.count}</span></button>
      })}</div>}
      {row.replies > 0 && <button type="button" class="link replies" tabIndex={tab ? 0 : -1} aria-haspopup="dialog" onClick={() => onReplies(row)}>{row.replies === 1 ? t('replies.one') : t('replies.count', { n: row.replies })}</button>}
      {change?.state === 'failed' && <Failed command={change} room={room} />}
    </div>
  </li>
})

/** Room at the end of a text for the time, which stands in the corner. A text from right to left ends in another corner. */
function Space({ beside, text }: { beside: string; text: string }) {
  if (/^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u.test(text)) return <br />
  return <span class="space" style={{ width: beside.length * 0.43 + 0.7 + 'rem' }} />
}

function Quote({ row }: { row: Row | null }) {
  return <span class="quote">{row ? <><b><Name>{row.name}</Name></b> <span class="clip" dir="auto">{summary(row)}</span></> : <span class="clip">{t('message.gone')}</span>}</span>
}

/** How far a command has come. */
function Way({ command, state, room }: { command: Command; state: Command['state']; room: Room }) {
  const label = state === 'failed' ? t('message.failed') : state === 'done' ? t('message.sent') : room.home.connected ? t('message.sending') : t('message.waiting')
  return <span class={'way ' + state} title={label}><Icon name={state === 'failed' ? 'warn' : state === 'done' ? 'check' : 'clock'} /><span class={state === 'done' ? 'unseen' : ''}>{label}</span></span>
}

function Failed({ command, room }: { command: Command; room: Room }) {
  const detail = command.problem && 'detail' in command.problem ? command.problem.detail : ''
  return <div class="failed" role="group" aria-label={t('message.failed')}>
    <span>{detail || t('message.failed')}</span>
    <button type="button" class="link" onClick={() => command.retry()}>{t('retry')}</button>
    <button type="button" class="link" onClick={() => room.home.discard(command)}>{t('discard')}</button>
  </div>
}

export const PendingRow = memo(({ command, state, room, known }: { command: Command; state: Command['state']; room: Room; known: Map<string, Row>; connected: boolean }) => {
  const { body, reply_to: replyTo } = command.data as { body: string; reply_to?: string }
  return <li class="row mine first pending" data-row data-id={command.requestId} tabIndex={-1}>
    <div class="stack">
      <div class="bubble-line"><div class="bubble">
        {replyTo && <Quote row={known.get(replyTo) ?? null} />}
        <p class="text" dir="auto"><Text>{body || '📎'}</Text></p>
        <span class="meta"><time dateTime={new Date(command.at).toISOString()}>{time(command.at)}</time><Way command={command} state={state} room={room} /></span>
      </div></div>
      {state === 'failed' && <Failed command={command} room={room} />}
    </div>
  </li>
})

const usual = ['👍', '❤️', '🙏', '😂', '😮', '💪']
const editable = 15 * 60_000 // ms

export function MessageMenu({ room, row, at, onAim, onClose }: { room: Room; row: Row; at: DOMRect; onAim: (aim: Aim) => void; onClose: () => void }) {
  const [free, setFree] = useState<string>()
  const [sure, setSure] = useState(false)
  const me = room.home.me
  const mine = row.userId === me.userId
  const moderates = room.view?.my_role === 'owner' || room.view?.my_role === 'admin' || me.role === 'moderator' || me.role === 'admin'
  const closed = room.view?.archived_at_ms !== undefined && room.view.archived_at_ms > 0
  const hidden = row.held || row.withheld || row.erased
  const act = (run: () => void) => () => {
    run()
    onClose()
  }
  const react = (emoji: string) => act(() => room.react(row, emoji))
  const [asking, ask] = useState<'report' | 'appeal'>()
  const content_id = `${room.id}:${row.id}`
  if (asking) return <Dialog label={t(asking === 'report' ? 'act.report' : 'act.appeal')} onClose={onClose}>
    <Form submit={t(asking === 'report' ? 'act.report' : 'act.appeal')} run={async (d) => {
      const text = d.text!.trim()
      if (asking === 'report') await room.home.client.request<unknown>('POST', '/v1/reports', { body: { content_id, reason: d.reason as 'other', ...(text ? { text } : {}) } })
      else await room.home.client.request<unknown>('POST', '/v1/moderations/{content_id}/appeal', { params: { content_id }, body: text ? { reason: text } : {} })
      spoken.say(t('act.sent'))
      onClose()
    }} extra={<button type="button" class="plain" onClick={onClose}>{t('cancel')}</button>}>
      <p class="soft">{t(asking === 'report' ? 'act.report.text' : 'act.appeal.text')}</p>
      {asking === 'report' && <Grounds />}
      <label>{t('act.why')}<textarea name="text" rows={3} maxLength={500} dir="auto" /></label>
    </Form></Dialog>
  return <Dialog label={t('message.actions', { name: clean(row.name) })} class="menu" at={at} onClose={onClose}>
    {!closed && !hidden && <div class="emoji-row" role="group" aria-label={t('act.react')}>
      {usual.map((e) => <button type="button" key={e} aria-pressed={row.reactions.some((r) => r.emoji === e && r.users.includes(me.userId))} onClick={react(e)}>{e}</button>)}
      <button type="button" aria-expanded={free !== undefined} aria-label={t('act.emoji')} title={t('act.emoji')} onClick={() => setFree(free === undefined ? '' : undefined)}><Icon name="smile" /></button>
    </div>}
    {free !== undefined && <form class="inline" onSubmit={(e) => {
      e.preventDefault()
      if (isOne(free)) react(free.trim())()
      else spoken.say(t('react.notOne'))
    }}><input autofocus value={free} maxLength={24} aria-label={t('act.emoji')} placeholder="🎉" class={free !== '' && !isOne(free) ? 'short wrong' : 'short'} onInput={(e) => setFree(e.currentTarget.value)} />
      <button class="primary" aria-disabled={!isOne(free)}>{t('act.react')}</button></form>}
    {!closed && <button type="button" class="menu-item" onClick={act(() => onAim({ reply: row }))}><Icon name="reply" />{t('act.reply')}</button>}
    {!closed && (!row.held || row.pinned) && (moderates || room.view?.with) && <button type="button" class="menu-item" onClick={act(() => room.pin(row))}><Icon name="pin" />{t(row.pinned ? 'act.unpin' : 'act.pin')}</button>}
    {!hidden && navigator.clipboard && <button type="button" class="menu-item" onClick={act(() => void navigator.clipboard.writeText(row.body))}><Icon name="copy" />{t('act.copy')}</button>}
    {mine && !hidden && !closed && Date.now() - row.at < editable && <button type="button" class="menu-item" onClick={act(() => onAim({ edit: row }))}><Icon name="edit" />{t('act.edit')}</button>}
    <button type="button" class="menu-item" onClick={act(() => void room.markUnread(row).then(() => { location.hash = '#/' }, (e) => spoken.say(explain(e))))}><Icon name="check" />{t('act.unread')}</button>
    {moderates && !row.erased ? <a class="menu-item" href={'#/review/' + encodeURIComponent(content_id)}><Icon name="flag" />{t('act.review')}</a>
      : !mine && !hidden && <button type="button" class="menu-item" onClick={() => ask('report')}><Icon name="flag" />{t('act.report')}</button>}
    {mine && row.held && <button type="button" class="menu-item" onClick={() => ask('appeal')}><Icon name="hand" />{t('act.appeal')}</button>}
    {(mine || moderates) && (sure
      ? <div class="sure"><p>{t('act.delete.sure')}</p><div class="buttons"><button type="button" class="primary danger" onClick={act(() => room.remove(row))}>{t('act.delete')}</button><button type="button" class="plain" onClick={() => setSure(false)}>{t('cancel')}</button></div></div>
      : <button type="button" class="menu-item danger" onClick={() => setSure(true)}><Icon name="trash" />{t('act.delete')}</button>)}
  </Dialog>
}

/** Whether a text is one sign, as people count. The server decides whether it is an emoji. */
function isOne(text: string): boolean {
  const s = text.trim()
  if (s === '' || !/\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(s)) return false
  return 'Segmenter' in Intl ? [...new Intl.Segmenter().segment(s)].length === 1 : s.length <= 16
}
