// The list of threads and cases, and the account.
import { useEffect, useState } from 'preact/hooks'
import { dayOrTime, stageName, t, titleOf } from './i18n.ts'
import type { Home } from './home.ts'
import type { Matter } from './matter.ts'
import { pushed, pushOff, pushOn } from './push.ts'
import { useModel, useTick } from './platform.ts'
import type { Room } from './room.ts'
import { LanguageSwitch } from './SignIn.tsx'
import { Avatar, clean, Dialog, explain, Form, Icon, IconButton, Name, spoken } from './ui.tsx'

export function Sidebar({ home, view, id }: { home: Home; view: string; id: string }) {
  useModel(home)
  const [account, setAccount] = useState(false)
  const { threads, cases } = home
  const Lists = view === '' ? 'main' : 'nav' // on a phone, it is all that is shown
  return <div class="sidebar">
    <header class="bar">
      {view === '' && <h1 class="unseen">Gotong</h1>}
      <button type="button" class="who" onClick={() => setAccount(true)}>
        <Avatar name={home.me.username} id={home.me.userId} here={home.connected} /><span class="clip"><span class="unseen">{t('account')}: </span><Name>{home.me.username}</Name></span>
      </button>
      <a class="icon-button bell" href="#/inbox" title={t('inbox')} aria-current={view === 'inbox' ? 'page' : undefined}><Icon name="bell" /><span class="unseen">{t('inbox')}</span>
        {home.inbox > 0 && <b class="count"><span aria-hidden="true">{home.inbox}</span><span class="unseen">{t('unread', { n: home.inbox })}</span></b>}</a>
      <a class="icon-button" href="#/search" title={t('search')} aria-label={t('search')}><Icon name="search" /></a>
      <a class="icon-button" href="#/find" title={t('find.title')} aria-label={t('find.title')}><Icon name="plus" /></a>
    </header>
    <Connection home={home} />
    <Lists class="scroll" aria-label={t('nav')}>
      <div class="heading"><h2 id="threads">{t('threads')}</h2>
        {home.unread > 0 && <button type="button" class="link" onClick={() => void home.readAll().catch((e) => spoken.say(explain(e)))}>{t('inbox.readAll')}</button>}</div>
      <ul aria-labelledby="threads" class="list">
        {threads.map((r) => <ThreadItem key={r.id} room={r} here={view === 't' && id === r.id} />)}
      </ul>
      {threads.length === 0 && <p class="soft inset">{home.loaded ? <>{t('threads.none')} <a href="#/find">{t('find.title')}</a></> : t('loading')}</p>}
      {cases.length > 0 && <>
        <h2 id="cases">{t('cases')}</h2>
        <ul aria-labelledby="cases" class="list">
          {cases.map((m) => <CaseItem key={m.id} matter={m} here={view === 'c' && id === m.id} />)}
        </ul>
      </>}
    </Lists>
    {account && <Me home={home} onClose={() => setAccount(false)} />}
  </div>
}

function ThreadItem({ room, here }: { room: Room; here: boolean }) {
  useModel(room)
  const view = room.view!
  const name = titleOf(room)
  const { last } = room
  const typists = room.typists
  return <li><a class="item" href={'#/t/' + room.id} aria-current={here ? 'page' : undefined}>
    <Avatar name={name} id={view.with?.user_id ?? room.id} icon={view.icon} />
    <span class="item-text">
      <span class="item-line"><strong class="clip"><Name>{name}</Name></strong>{view.privacy_level === 'private' && !view.with && <Icon name="lock" />}
        {last && <time class="soft" dateTime={new Date(last.at).toISOString()}>{dayOrTime(last.at)}</time>}</span>
      <span class="item-line soft">
        <span class="clip">{typists.length > 0 ? <em>{t('typing.one', { name: clean(typists[0]!) })}</em>
          : last ? <>{last.userId === room.home.me.userId ? `${t('you')}: ` : !view.with && <><Name>{last.name}</Name>: </>}{summary(last)}</> : view.topic ?? ''}</span>
        {view.muted && <><Icon name="mute" /><span class="unseen">{t('thread.muted')}</span></>}
        {room.mentions > 0 && room.unread > 0 && <b class="count"><span aria-hidden="true">@</span><span class="unseen">{t('unread.mentions', { n: room.mentions })}</span></b>}
        {room.unread > 0 && <b class={view.muted ? 'count quiet' : 'count'}><span aria-hidden="true">{room.unread > 99 ? '99+' : room.unread}</span>
          <span class="unseen">{t('unread', { n: room.unread })}</span></b>}
      </span>
    </span>
  </a></li>
}

/** A message in one line. */
export function summary(row: { body: string; files?: Array<{ file_name: string }>; deleted?: boolean; held?: boolean; withheld?: boolean; erased?: boolean }): string {
  if (row.deleted) return t('message.deleted')
  if (row.held && row.body === '') return t('message.held')
  if (row.withheld || row.erased) return t('message.hidden')
  return (row.body || (row.files ?? []).map((f) => '📎 ' + clean(f.file_name)).join(', ')).slice(0, 200).replace(/\s+/g, ' ')
}

function CaseItem({ matter, here }: { matter: Matter; here: boolean }) {
  useModel(matter)
  const view = matter.view!
  return <li><a class="item" href={'#/c/' + matter.id} aria-current={here ? 'page' : undefined}>
    <span class="avatar emoji square" aria-hidden="true"><Icon name="case" /></span>
    <span class="item-text">
      <span class="item-line"><strong class="clip" dir="auto">{clean(view.title)}</strong></span>
      <span class="item-line soft"><span class="clip">{stageName(view.active_stage)}</span>
        {view.open_transition_id && <span class="tag">{t('case.open')}</span>}</span>
    </span>
  </a></li>
}

/** Whether the page is connected, once it has not been for some time. */
export function Connection({ home }: { home: Home }) {
  useModel(home)
  const away = !home.connected
  useTick(1000, away)
  const { state, offlineSince, waiting } = home
  const long = away && offlineSince !== undefined && Date.now() - offlineSince > 2000
  const seconds = state.retryAt ? Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000)) : undefined
  return <div class={long ? 'connection' : 'connection hidden'}>
    <span role="status">{long && <>{state.name === 'offline' ? t('conn.offline') : t('conn.away')}{waiting > 0 && ' · ' + t('conn.waiting', { n: waiting })}</>}</span>
    {long && <span class="row">{seconds !== undefined && seconds > 0 && <span aria-hidden="true">{t('conn.retry', { n: seconds })}</span>}
      <button type="button" class="link" onClick={() => home.client.connect()}>{t('conn.now')}</button></span>}
    {long && home.stale && <span class="soft">{t('conn.stale')}</span>}
  </div>
}

/** Pushes to this device, where the server sends them and the browser can get them. */
function PushSwitch({ home }: { home: Home }) {
  const [on, set] = useState<boolean>()
  const [error, setError] = useState('')
  useEffect(() => void pushed(home).then(set), [])
  if (on === undefined) return null
  const change = async () => {
    try {
      set(on ? await pushOff(home) : await pushOn(home))
      setError('')
    } catch (e) {
      setError(e instanceof DOMException ? t('push.denied') : explain(e))
    }
  }
  return <><button type="button" class="plain" aria-pressed={on} onClick={change}><Icon name={on ? 'mute' : 'bell'} /> {on ? t('push.off') : t('push.on')}</button>
    <p class="error" role="alert">{error}</p></>
}

function Me({ home, onClose }: { home: Home; onClose: () => void }) {
  const [name, setName] = useState<string>()
  useEffect(() => void home.client.request('GET', '/v1/auth/me').then(({ body }) => setName(body.name === body.username ? '' : body.name ?? ''), () => {}), [])
  const leave = async () => {
    home.close()
    await home.session.signOut()
    location.replace(location.pathname) // nothing of this user stays in memory either
  }
  return <Dialog label={t('account')} onClose={onClose}>
    <div class="account"><Avatar name={home.me.username} id={home.me.userId} /><h2><Name>{home.me.username}</Name></h2>
      <IconButton icon="close" label={t('close')} onClick={onClose} /></div>
    {name !== undefined && <Form submit={t('save')} run={async (d) => {
      await home.client.request('PUT', '/v1/auth/me/name', { body: { name: d.name!.trim() } })
      spoken.say(t('saved'))
      onClose()
    }}>
      <label>{t('account.name')}<input name="name" defaultValue={name} maxLength={40} placeholder={home.me.username} /><small class="soft">{t('account.name.hint')}</small></label>
    </Form>}
    <h3>{t('language')}</h3>
    <LanguageSwitch />
    <PushSwitch home={home} />
    <p><a href="#/account" onClick={onClose}>{t('account.manage')}</a></p>
    {!isSecureContext && <p class="soft">{t('account.insecure')}</p>}
    <div class="buttons"><button type="button" class="plain danger" onClick={leave}><Icon name="out" /> {t('account.signOut')}</button>
      <a class="plain" href="/docs">API</a></div>
    <p class="soft">{home.waiting > 0 ? t('account.unsent', { n: home.waiting }) : t('account.wipes')}</p>
  </Dialog>
}
