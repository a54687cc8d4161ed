// One thread: its messages, and the place to write.
import type { Command } from '@gotong/client'
import type { RefObject } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Beside } from './Beside.tsx'
import { Details } from './Details.tsx'
import { Upload, Uploads } from './Files.tsx'
import { t, titleOf } from './i18n.ts'
import type { Home } from './home.ts'
import { MessageRow, PendingRow, DayLine, startsGroup, MessageMenu } from './Message.tsx'
import { kv, soon, useModel } from './platform.ts'
import { most, type Room, type Row } from './room.ts'
import { summary } from './Sidebar.tsx'
import { Avatar, clean, Icon, IconButton, Name, spoken } from './ui.tsx'

/** What the composer answers or changes. */
export interface Aim { reply?: Row; edit?: Row }

export function ThreadScreen({ home, id, at }: { home: Home; id: string; at: string }) {
  const room = home.room(id)
  useModel(room, home)
  const [aim, setAim] = useState<Aim>({})
  const [details, setDetails] = useState(false)
  const [pins, setPins] = useState(false)
  useEffect(() => {
    room.open = true
    room.kept = false
    void room.load()
    room.countPins()
    room.onNews = (rows) => {
      if (document.visibilityState === 'visible') spoken.say(...rows.map((r) => `${clean(r.name)}: ${summary(r)}`))
    }
    const keep = () => room.keep()
    addEventListener('pagehide', keep)
    return () => {
      removeEventListener('pagehide', keep)
      room.open = false
      room.onNews = undefined
      room.keep()
    }
  }, [room])
  const led = useRef('') // once: the window may be loaded again, at the end
  useEffect(() => { // a link to one message
    const link = id + at
    if (!room.loaded || led.current === link) return
    led.current = link
    if (at) void room.show(at).catch(() => spoken.say(t('message.gone')))
  }, [at, room.loaded])
  useEffect(() => { // while the user looks, no push announces what they see
    const look = () => home.look(document.visibilityState === 'visible' && document.hasFocus() ? room.stream : null)
    const timer = setInterval(look, 30_000)
    look()
    addEventListener('focus', look)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearInterval(timer)
      removeEventListener('focus', look)
      document.removeEventListener('visibilitychange', look)
      home.look(null)
    }
  }, [room, home.connected])
  useEffect(() => { // a connection has come back
    if (home.connected && !room.loaded && !room.loading) void room.load()
  }, [home.connected])
  if (room.gone || (room.failed && room.rows.length === 0 && home.connected && !room.view?.my_role)) {
    return <div class="empty"><h1>{t('thread.gone')}</h1><a href="#/">{t('back')}</a></div>
  }
  const view = room.view
  const name = titleOf(room)
  return <>
    <header class="bar">
      <a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a>
      <Avatar name={name} id={view?.with?.user_id ?? id} icon={view?.icon} />
      <div class="title">
        <h1 class="clip"><Name>{name || t('loading')}</Name></h1>
        <p class="soft clip">{about(room)}</p>
      </div>
      <a class="icon-button" href={'#/search/' + encodeURIComponent(`in:${view?.name && !/["\s]/.test(view.name) ? view.name : id} `)} title={t('search.here')} aria-label={t('search.here')}><Icon name="search" /></a>
      <IconButton icon="people" label={t('members.details')} onClick={() => setDetails(true)} />
    </header>
    {room.pins > 0 && <button type="button" class="link pins" aria-haspopup="dialog" onClick={() => setPins(true)}><Icon name="pin" /> {t('pins.count', { n: room.pins })}</button>}
    {pins && <Beside room={room} onClose={() => setPins(false)} />}
    <Messages room={room} onAim={setAim} />
    {view?.archived_at_ms ? <p class="closed soft"><Icon name="archive" /> {t('thread.archived')}</p>
      : <Composer room={room} aim={aim} onAim={setAim} />}
    {details && <Details room={room} onClose={() => setDetails(false)} />}
  </>
}

/** The line below the name: who types, or what the thread is about. */
function about(room: Room): string {
  const typists = room.typists
  if (typists.length === 1) return t('typing.one', { name: clean(typists[0]!) })
  if (typists.length > 1) return t('typing.some', { n: typists.length })
  const { view } = room
  const parts = view ? [view.topic, !view.with && t('members.count', { n: view.member_count })] : []
  if (room.present && room.present.count > (view?.with ? 1 : 0)) parts.push(t('members.here', { n: room.present.count }))
  return parts.filter(Boolean).join(' · ')
}

/** Where the reader is: at the end, or with one row at an offset from the top. */
interface Place { end: boolean; id: string; offset: number }

function Messages({ room, onAim }: { room: Room; onAim: (aim: Aim) => void }) {
  useModel(room)
  const box = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLOListElement>(null)
  const place = useRef<Place>({ end: true, id: '', offset: 0 })
  const placed = useRef(false)
  const sought = useRef('')
  const [above, setAbove] = useState(false)
  const [active, setActive] = useState('')
  const [skipped, setSkipped] = useState(false)
  const [menu, setMenu] = useState<{ row: Row; at: DOMRect }>()
  const [asked, setAsked] = useState<Row>()
  const { rows, divider } = room
  const pending = room.pending
  const unreadAt = divider === undefined ? undefined : rows.find((r) => r.n > divider && r.userId !== room.home.me.userId)?.id

  const remember = () => {
    const b = box.current!
    place.current.end = room.atEnd && b.scrollHeight - b.scrollTop - b.clientHeight < 60
    room.enough = place.current.end ? Math.min(most, Math.max(90, b.clientHeight >> 3)) : most // rows are about 30 px high
    const first = rowAt(list.current!, b.scrollTop)
    if (first) Object.assign(place.current, { id: first.dataset.id, offset: first.offsetTop - b.scrollTop })
    setAbove(b.scrollHeight - b.scrollTop - b.clientHeight > 400 || !room.atEnd)
    if (place.current.end) room.fresh = 0
  }
  const see = () => {
    const b = box.current
    if (!b || document.visibilityState !== 'visible' || !document.hasFocus() || !room.loaded) return
    const last = place.current.end ? room.rows.at(-1) : room.rows.find((r) => r.id === rowAt(list.current!, b.scrollTop + b.clientHeight - 40)?.dataset.id)
    if (last) room.saw(last)
  }
  const restore = () => {
    const b = box.current
    if (!b || !list.current) return // the thread was left meanwhile
    if (place.current.end) b.scrollTop = b.scrollHeight
    else {
      const el = [...list.current.children].find((c) => (c as HTMLElement).dataset.id === place.current.id) as HTMLElement | undefined
      const off = el ? el.offsetTop - b.scrollTop - place.current.offset : 0
      if (Math.abs(off) >= 1) b.scrollBy({ top: off, behavior: 'instant' as ScrollBehavior })
    }
  }
  const more = () => {
    const b = box.current!
    if (b.scrollTop < b.clientHeight * 1.5) void room.older()
    if (b.scrollHeight - b.scrollTop - b.clientHeight < b.clientHeight * 1.5) void room.newer()
  }
  useLayoutEffect(() => {
    if (!placed.current && room.loaded) { // the first time: at the first unread message, else at the end
      placed.current = true
      const at = list.current?.querySelector<HTMLElement>('[data-id="divider"]')
      if (at) place.current = { end: false, id: 'divider', offset: 96 }
    }
    if (room.shown && room.shown !== sought.current && list.current?.querySelector(`[data-id="${CSS.escape(room.shown)}"]`)) {
      sought.current = room.shown
      place.current = { end: false, id: room.shown, offset: 96 }
    }
    restore()
    remember()
    see()
    if (room.loaded) more()
  })
  useEffect(() => {
    const sized = new ResizeObserver(restore)
    sized.observe(box.current!)
    room.onSent = () => {
      if (room.unread > 0 && !place.current.end) setSkipped(true) // they can still go back to what they have not read
      place.current.end = true
      restore()
    }
    addEventListener('focus', see)
    document.addEventListener('visibilitychange', see)
    return () => {
      sized.disconnect()
      removeEventListener('focus', see)
      document.removeEventListener('visibilitychange', see)
    }
  }, [])

  const move = (e: KeyboardEvent) => {
    const at = (e.target as HTMLElement).closest<HTMLElement>('li[data-row]')
    const step = { ArrowUp: -1, ArrowDown: 1 }[e.key]
    if (!at || step === undefined) return
    const all = [...list.current!.querySelectorAll<HTMLElement>('li[data-row]')]
    const next = all[all.indexOf(at) + step]
    e.preventDefault()
    if (next) {
      setActive(next.dataset.id!)
      next.focus()
    }
  }
  const known = new Map(rows.map((r) => [r.id, r]))
  const tab = known.has(active) ? active : rows.at(-1)?.id
  const overlay = overlays(pending)
  return <div class="messages" aria-busy={!room.loaded}>
    <div class="scroll" ref={box} onScroll={() => { remember(); see(); more() }}>
      <p class="soft center begin">{room.loading === 'first' || room.loading === 'older' ? t('loading')
        : room.loaded && room.atStart ? rows.length === 0 && pending.length === 0 ? t('thread.none') : t('thread.begin') : ''}</p>
      <ol ref={list} class="rows" aria-label={t('thread.messages')} onKeyDown={move}>
        {rows.flatMap((row, i) => {
          const before = rows[i - 1]
          return [
            <DayLine key={'day' + row.id} row={row} before={before} />,
            unreadAt === row.id && <li key="divider" data-id="divider" class="divider"><span>{t('thread.unread')}</span></li>,
            <MessageRow key={row.id} row={row} room={room} first={startsGroup(row, before) || unreadAt === row.id} answered={row.replyTo ? known.get(row.replyTo) ?? null : undefined}
              tab={row.id === tab} shown={row.id === room.shown} change={overlay.get(row.id)} onActive={setActive} onMenu={setMenu} onReplies={setAsked} />,
          ]
        })}
        {room.atEnd && pending.filter((c) => c.type === 'message.post').map((c) =>
          <PendingRow key={c.requestId} command={c} state={c.state} room={room} known={known} connected={room.home.connected} />)}
      </ol>
      {room.failed && <p class="center"><span class="error">{t('thread.failed')}</span> <button type="button" class="link" onClick={() => room.load()}>{t('retry')}</button></p>}
    </div>
    {skipped && unreadAt && <button type="button" class="to-end to-unread" onClick={() => {
      place.current = { end: false, id: 'divider', offset: 96 }
      restore()
      setSkipped(false)
    }}><Icon name="down" /><b>{t('thread.toUnread')}</b></button>}
    {(above || room.fresh > 0) && rows.length > 0 && <button type="button" class="to-end" onClick={() => {
      place.current.end = true
      void room.toEnd().then(() => { restore(); room.changed() })
    }} aria-label={t('thread.toEnd')}><Icon name="down" />{room.fresh > 0 && <b>{t('thread.fresh', { n: room.fresh })}</b>}</button>}
    {asked && <Beside room={room} of={known.get(asked.id) ?? asked} onClose={() => setAsked(undefined)} />}
    {menu && <MessageMenu room={room} row={known.get(menu.row.id) ?? menu.row} at={menu.at} onAim={onAim} onClose={() => setMenu(undefined)} />}
  </div>
}

/** The first row that reaches below this place. */
function rowAt(list: HTMLElement, top: number): HTMLElement | undefined {
  const rows = list.children
  let low = 0
  let high = rows.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    const el = rows[middle] as HTMLElement
    if (el.offsetTop + el.offsetHeight > top) high = middle
    else low = middle + 1
  }
  return rows[low] as HTMLElement | undefined
}

/** Changes of messages that are on their way, by message. */
function overlays(pending: readonly Command[]): Map<string, Command> {
  const map = new Map<string, Command>()
  for (const c of pending) {
    const id = (c.data as { message_id?: string }).message_id
    if (id) map.set(id, c)
  }
  return map
}

const longest = 4000
const coarse = matchMedia('(pointer: coarse)')

function Composer({ room, aim, onAim }: { room: Room; aim: Aim; onAim: (aim: Aim) => void }) {
  const key = room.home.draftKey(room.id)
  const [text, setText] = useState(() => kv.get(key) ?? '')
  const field = useRef<HTMLTextAreaElement>(null)
  const typed = useRef(0)
  useDraft(key, text, aim.edit !== undefined)
  useLayoutEffect(() => {
    const f = field.current!
    f.style.height = 'auto'
    f.style.height = Math.min(f.scrollHeight, 160) + 'px'
  }, [text])
  useEffect(() => {
    if (aim.edit) setText(aim.edit.body)
    if (aim.edit || aim.reply) setTimeout(() => field.current?.focus(), 0) // after the menu has given the focus back
  }, [aim])
  useEffect(() => {
    if (!coarse.matches) field.current?.focus()
  }, [])
  const [files, setFiles] = useState<Upload[]>([])
  useModel(...files)
  const picker = useRef<HTMLInputElement>(null)
  const attach = (list: FileList | null | undefined) => {
    if (list && list.length > 0) setFiles([...files, ...[...list].slice(0, 10 - files.length).map((f) => new Upload(room, f))])
  }
  const empty = files.some((u) => !u.id) || (text.trim() === '' && files.length === 0)
  const names = useNames(room, text, field, setText)
  const count = [...text.trim()].length
  const send = () => {
    const body = text.replace(/^(?:\s*\n)+/, '').trimEnd()
    if (empty || count > longest) return
    if (aim.edit) room.edit(aim.edit, body)
    else {
      void room.toEnd()
      room.post(body, aim.reply?.id, files.map((u) => u.id!))
      setFiles([])
      room.onSent?.()
    }
    kv.delete(key)
    setText(aim.edit ? kv.get(key) ?? '' : '')
    onAim({})
    field.current?.focus()
  }
  const cancel = () => {
    if (aim.edit) setText(kv.get(key) ?? '')
    onAim({})
  }
  return <form class="composer" onSubmit={(e) => { e.preventDefault(); send() }}>
    {(aim.reply || aim.edit) && <div class="aim"><Icon name={aim.edit ? 'edit' : 'reply'} />
      <span class="clip"><b>{aim.edit ? t('message.editing') : t('message.replyTo', { name: clean(aim.reply!.name) })}</b> <span class="soft" dir="auto">{summary(aim.edit ?? aim.reply!)}</span></span>
      <IconButton icon="close" label={t('cancel')} onClick={cancel} /></div>}
    {names.list.length > 0 && <ul id="names" class="names" role="listbox" aria-label={t('mention.names')}>{names.list.map((n, i) =>
      <li key={n.name} id={'name' + i} role="option" aria-selected={i === names.at} onMouseDown={(e) => { e.preventDefault(); names.choose(i) }}>
        <Avatar name={n.shown} id={n.id} /><span class="clip"><b>@<Name>{n.name}</Name></b> {n.shown !== n.name && <span class="soft"><Name>{n.shown}</Name></span>}</span></li>)}</ul>}
    <Uploads list={files} onRemove={(u) => { u.discard(); setFiles(files.filter((f) => f !== u)) }} />
    <div class="field" onDragOver={(e) => e.preventDefault()} onDrop={(e) => { e.preventDefault(); attach(e.dataTransfer?.files) }}>
      <input ref={picker} type="file" multiple hidden onChange={(e) => { attach(e.currentTarget.files); e.currentTarget.value = '' }} />
      {!aim.edit && <IconButton icon="clip" label={t('file.attach')} onClick={() => picker.current!.click()} />}
      <textarea ref={field} rows={1} value={text} dir="auto" aria-label={t('compose')} aria-autocomplete="list" aria-controls={names.list.length > 0 ? 'names' : undefined}
        aria-activedescendant={names.list.length > 0 ? 'name' + names.at : undefined} onKeyUp={names.look} onClick={names.look} onPaste={(e) => attach(e.clipboardData?.files)} placeholder={t('compose')} enterkeyhint={coarse.matches ? 'enter' : 'send'}
        onInput={(e) => {
          setText(e.currentTarget.value)
          if (Date.now() - typed.current > 3000 && e.currentTarget.value !== '' && !aim.edit) {
            typed.current = Date.now()
            room.home.client.signal(room.stream, 'typing')
          }
        }}
        onKeyDown={(e) => {
          if (names.key(e)) return
          if (e.key === 'Escape' && (aim.edit || aim.reply)) cancel()
          if (e.key !== 'Enter' || e.shiftKey || e.isComposing || e.keyCode === 229 || coarse.matches) return
          e.preventDefault()
          send()
        }} />
      <button class="send" aria-label={t('compose.send')} title={t('compose.send')} aria-disabled={empty || count > longest}><Icon name={aim.edit ? 'check' : 'send'} /></button>
    </div>
    {count > longest && <p class="error" role="status">{t('compose.long', { n: count - longest })}</p>}
  </form>
}

/** The members whose names begin with what stands after an @ before the caret. */
function useNames(room: Room, text: string, field: RefObject<HTMLTextAreaElement | null>, setText: (text: string) => void) {
  const [word, setWord] = useState<string>()
  const [at, setAt] = useState(0)
  const look = () => {
    const f = field.current!
    const found = /(?:^|[^\p{L}\p{N}@._-])@([\p{L}\p{N}._-]{0,64})$/u.exec(f.value.slice(0, f.selectionStart))?.[1]
    if (found === word) return
    setWord(found)
    setAt(0)
    if (found !== undefined && !room.members) void room.loadMembers().catch(() => {})
  }
  useEffect(look, [text])
  const begins = (s: string | undefined) => s?.toLowerCase().startsWith(word!.toLowerCase())
  const list = word === undefined ? [] : [
    ...(room.members ?? []).filter((m) => m.username && m.user_id !== room.home.me.userId && !m.left_at_ms && (begins(m.username) || m.name?.split(' ').some(begins)))
      .map((m) => ({ id: m.user_id, name: m.username!, shown: m.name ?? m.username! })),
    ...(begins('here') ? [{ id: 'here', name: 'here', shown: t('mention.here') }] : []),
  ].slice(0, 6)
  const choose = (i: number) => {
    const f = field.current!
    const caret = f.selectionStart
    const before = f.value.slice(0, caret - word!.length) + list[i]!.name + ' '
    setText(before + f.value.slice(caret))
    setWord(undefined)
    setTimeout(() => f.setSelectionRange(before.length, before.length), 0)
  }
  const key = (e: KeyboardEvent): boolean => {
    if (list.length === 0 || e.isComposing) return false
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') setAt((at + (e.key === 'ArrowDown' ? 1 : list.length - 1)) % list.length)
    else if (e.key === 'Enter' || e.key === 'Tab') choose(at)
    else if (e.key === 'Escape') setWord(undefined)
    else return false
    e.preventDefault()
    return true
  }
  return { list, at, look, choose, key }
}

/** Keeps a draft on this device, 300 ms after the last change and when the page is hidden. */
function useDraft(key: string, text: string, editing: boolean): void {
  const now: RefObject<{ key: string; text: string; editing: boolean }> = useRef({ key, text, editing })
  now.current = { key, text, editing }
  const write = useRef(() => {
    const { key, text, editing } = now.current!
    if (editing || kv.get('login') === null) return // the draft waits until the edit is done; after a sign-out there is none
    if (text.trim() === '') kv.delete(key)
    else kv.set(key, text)
  })
  const later = useRef(soon(300, () => write.current()))
  useEffect(() => later.current(), [text])
  useEffect(() => {
    const hide = () => document.visibilityState === 'hidden' && write.current()
    document.addEventListener('visibilitychange', hide)
    return () => {
      document.removeEventListener('visibilitychange', hide)
      write.current()
    }
  }, [])
}
