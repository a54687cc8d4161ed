// What concerns the user, and what they want to be notified of.
import type { rest } from '@gotong/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { dayOrTime, known, t, type Key } from './i18n.ts'
import type { Home } from './home.ts'
import { useModel } from './platform.ts'
import { Queue } from './Review.tsx'
import { Avatar, clean, explain, Icon, Name, type IconName } from './ui.tsx'

type Item = rest.NotificationsNotification

const icons: Partial<Record<Item['kind'], IconName>> = { siaga: 'warn', removed: 'out', invited: 'people', added: 'people', gate_opened: 'case', gate_closing: 'clock', decided: 'check', declined: 'close' }

export function Inbox({ home }: { home: Home }) {
  useModel(home)
  const [list, setList] = useState<Item[]>()
  const [next, setNext] = useState<string>()
  const [error, setError] = useState('')
  const looks = useRef(0)
  const look = async (cursor?: string) => {
    const mine = ++looks.current
    try {
      const { body } = await home.client.request('GET', '/v1/notifications', { query: { include_read: true, limit: 30, cursor } })
      if (mine !== looks.current) return // a later look has begun
      setList((before) => cursor ? [...before ?? [], ...body.items] : body.items)
      setNext(body.next_cursor)
      setError('')
    } catch (e) {
      if (mine === looks.current) setError(explain(e))
    }
  }
  useEffect(() => void look(), [home.inboxTurn, home.connected])
  const readAll = async () => {
    try {
      await home.client.request('POST', '/v1/notifications/read', { body: { up_to: list![0]!.notification_id } })
      await look()
      home.countInbox()
    } catch (e) {
      setError(explain(e))
    }
  }
  return <>
    <header class="bar"><a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip title">{t('inbox')}</h1>
      {list?.some((i) => !i.read_at_ms) && <button type="button" class="plain" onClick={readAll}>{t('inbox.readAll')}</button>}</header>
    <div class="scroll page">
      <p class="error" role="alert">{error}</p>
      <Queue home={home} />
      <ul class="list cards inbox">{list?.map((i) => <Entry key={i.notification_id} home={home} item={i} />)}</ul>
      {list?.length === 0 && <p class="soft">{t('inbox.none')}</p>}
      {next && <p class="center"><button type="button" class="link" onClick={() => look(next)}>{t('more')}</button></p>}
      <Week home={home} />
      <Preferences home={home} />
    </div>
  </>
}

function Entry({ home, item: i }: { home: Home; item: Item }) {
  const [kind, id] = (i.stream ?? '/').split('/') as [string, string]
  const to = kind === 'thread' ? `#/t/${id}${i.message_id ? `/${i.message_id}` : ''}` : kind === 'case' ? `#/c/${id}` : undefined
  const decision = 'decided.' + (i.decision ?? '').replace('.', '_')
  const what = i.kind === 'decided' ? t(known(decision) ? decision : 'inbox.decided') : t(known('inbox.' + i.kind) ? ('inbox.' + i.kind) as Key : 'inbox')
  const icon = icons[i.kind]
  const text = <>
    {i.actor && !icon ? <Avatar name={i.actor.name} id={i.actor.user_id} /> : <span class="avatar emoji" aria-hidden="true"><Icon name={icon ?? 'bell'} /></span>}
    <span class="item-text">
      <span class="item-line"><strong class="clip">{i.actor && <><Name>{i.actor.name}</Name> · </>}{what}</strong><time class="soft" dateTime={new Date(i.created_at_ms).toISOString()}>{dayOrTime(i.created_at_ms)}</time></span>
      <span class="soft clip" dir="auto">{[i.title, i.body ?? i.description].filter(Boolean).map((s) => clean(s!)).join(' · ')}</span>
    </span>
    {!i.read_at_ms && <i class="dot"><span class="unseen">{t('inbox.unread')}</span></i>}
  </>
  const read = () => void home.client.request('POST', '/v1/notifications/{id}/read', { params: { id: i.notification_id } }).then(home.countInbox, () => {})
  return <li>{to ? <a class="item" href={to} onClick={read}>{text}</a> : <div class="item">{text}</div>}</li>
}

/** The weekly digest: how much of what there was. */
function Week({ home }: { home: Home }) {
  const [week, setWeek] = useState<rest.NotificationsDigest>()
  const [error, setError] = useState('')
  const look = () => home.client.request('GET', '/v1/notifications/weekly-digest').then(({ body }) => setWeek(body), (e) => setError(explain(e)))
  return <details class="week" onToggle={(e) => { if (e.currentTarget.open) void look() }}>
    <summary>{t('week')}</summary>
    <p class="error" role="alert">{error}</p>
    {week?.events.length === 0 && <p class="soft">{t('inbox.none')}</p>}
    <ul class="events">{week?.events.map(({ count, newest: n }) => <li key={n.notification_id}>{count} × {known('inbox.' + n.kind) ? t(('inbox.' + n.kind) as Key) : n.kind} {n.title && <span class="soft" dir="auto">{clean(n.title)}</span>}</li>)}</ul>
  </details>
}

function Preferences({ home }: { home: Home }) {
  const [kinds, setKinds] = useState<Record<string, boolean>>()
  const [blocks, setBlocks] = useState<rest.NotificationsUser[]>([])
  const [error, setError] = useState('')
  const get = async () => {
    const [p, b] = await Promise.all([home.client.request('GET', '/v1/notifications/preferences'), home.client.request('GET', '/v1/blocks')])
    setKinds(p.body.kinds)
    setBlocks(b.body.items)
  }
  const change = (run: Promise<unknown>) => run.then(get).catch((e) => setError(explain(e)))
  return <details onToggle={(e) => { if (e.currentTarget.open) void change(Promise.resolve()) }}>
    <summary>{t('prefs')}</summary>
    <p class="error" role="alert">{error}</p>
    <fieldset class="choice"><legend>{t('prefs.kinds')}</legend>
      {Object.entries(kinds ?? {}).map(([kind, on]) => <label key={kind}><input type="checkbox" checked={on} onChange={(e) =>
        void change(home.client.request('PATCH', '/v1/notifications/preferences', { body: { kinds: { [kind]: e.currentTarget.checked } } }))} />
        {known('inbox.' + kind) ? t(('inbox.' + kind) as Key) : kind}</label>)}</fieldset>
    {blocks.length > 0 && <><h2>{t('blocks')}</h2><ul class="list people">{blocks.map((u) => <li key={u.user_id} class="item"><Avatar name={u.name} id={u.user_id} />
      <strong class="clip item-text"><Name>{u.name}</Name></strong><button type="button" class="plain" aria-label={`${t('block.end')}: ${clean(u.name)}`}
        onClick={() => change(home.client.request<unknown>('DELETE', '/v1/blocks/{user_id}', { params: { user_id: u.user_id } }))}>{t('block.end')}</button></li>)}</ul></>}
  </details>
}
