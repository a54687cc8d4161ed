// One thread: its window of messages, which moves over the history, and what
// happens in it.
import { Problem, type Command, type Follow, type StreamEvent, type rest, type wire } from '@gotong/client'
import type { Home } from './home.ts'
import { copies, Model, soon } from './platform.ts'

export type ThreadView = rest.ChatThreadView

export interface Row {
  id: string
  seq: number
  n: number
  userId: string
  name: string
  /** The name came with an import: an owner or admin of the thread typed it. */
  imported?: boolean
  body: string
  at: number
  replyTo?: string
  revision: number
  edited?: boolean
  deleted?: boolean
  withheld?: boolean
  held?: boolean
  /** A moderator published it with this warning. */
  warning?: string
  erased?: boolean
  reactions: Reaction[]
  replies: number
  /** The count holds the replies up to this seq. */
  repliesAt: number
  pinned?: boolean
  mentions?: Mention[]
  files?: rest.ThreadAttachment[]
  requestId?: string
}

/** A place in a text, in code points, that names a user, all members or a role. */
export type Mention = rest.ChatMention

export interface Reaction { emoji: string; users: string[]; count: number }

const page = 60
export const most = 300 // rows of a window; more make a new message slow to draw
const kept = 50 // rows of the copy on this device
const typingFor = 6000 // ms

export class Room extends Model {
  readonly stream: string
  view: ThreadView | undefined
  rows: Row[] = []
  /** The window reaches the beginning, or the end, of the thread. */
  atStart = false
  atEnd = true
  loaded = false
  /** The rows are those of an earlier visit. */
  stale = false
  loading: 'first' | 'older' | 'newer' | undefined
  failed = false
  last: Row | undefined
  unread = 0
  mentions = 0 // of the user, among the unread messages
  n = 0
  /** The user had read up to this n when the thread was opened. */
  divider: number | undefined
  open = false
  /** How many rows to keep above new ones; fewer while its reader is at the end, and has messages drawn as they come. */
  enough = most
  gone = false
  typing = new Map<string, { name: string; until: number }>()
  present: { count: number; users?: Set<string> } | undefined
  members: rest.ChatMemberView[] | undefined
  /** Messages that came while the window did not reach the end, or its reader was above it. */
  fresh = 0
  /** For the screen reader. */
  onNews: ((rows: Row[]) => void) | undefined
  /** The user has written: their message is shown. */
  onSent: (() => void) | undefined
  #follow: Follow | undefined
  #late: StreamEvent[] | undefined // what came while a page was on its way
  #marked = 0
  #generation = 0 // of the read mark
  #want: Row | undefined
  /** The user marked messages here as unread: seeing them reads them only when the thread is opened again. */
  kept = false

  constructor(readonly home: Home, readonly id: string) {
    super()
    this.stream = 'thread/' + id
  }

  setView(view: ThreadView): void {
    if (this.view && view.seq < this.view.seq) return // an answer from before the last event
    this.view = view
    this.n = Math.max(this.n, view.n ?? 0)
    if (view.unread !== undefined) this.unread = view.unread
    if (view.mentions !== undefined) this.mentions = view.mentions
    this.changed()
  }

  /** When something last happened here that the list sorts by. */
  get time(): number {
    return Math.max(this.last?.at ?? 0, this.view?.updated_at_ms ?? 0)
  }

  get epoch(): string {
    return (this.#follow?.cursor ?? this.view?.as_of ?? '').split(':')[0]!
  }

  follow(): void {
    if (this.#follow && !this.#follow.closed) return
    if (!this.view?.as_of || this.gone) return
    try {
      this.#follow = this.home.client.follow(this.stream, {
        from: this.view.as_of,
        onEvents: (events) => this.#take(events),
        onReset: () => this.#reset(),
        onRevoked: () => this.#revoked(),
        onError: () => { this.#follow = undefined },
      })
    } catch { /* as many streams as the server allows: the counts come by REST */ }
    if (!this.last) void this.#preview()
  }

  close(): void {
    this.#follow?.close()
    this.rows = []
    this.last = undefined
    this.gone = true
    this.changed()
  }

  #revoked(): void {
    this.home.forget(this)
    this.home.refreshSoon() // the copy of the list has its name
  }

  async #reset(): Promise<string | undefined> {
    this.rows = []
    this.loaded = false
    this.last = undefined
    this.n = this.#marked = this.#generation = 0 // of another history, which may have been longer
    this.#want = undefined
    void copies.delete(this.home.copyKey(this))
    const { body } = await this.home.client.request('GET', '/v1/chat/threads/{id}', { params: { id: this.id } })
    this.view = undefined
    this.setView(body)
    if (this.open) void this.load()
    return body.as_of
  }

  async #preview(): Promise<void> {
    const got = await this.#messages({ limit: 1 }).catch(() => undefined)
    const row = got?.rows.at(-1)
    if (row && (!this.last || row.seq > this.last.seq)) {
      this.last = row
      this.changed()
      this.home.changed()
    }
  }

  async #messages(query: { limit: number; before_seq?: string; after_seq?: string }) {
    const { body, headers } = await this.home.client.request('GET', '/v1/chat/threads/{id}/messages', { params: { id: this.id }, query })
    const at = seqOf(headers)
    return { rows: body.map((m: rest.ChatMessageView) => rowOf(m, at)), more: headers.get('x-has-more') === 'true', next: headers.get('x-next-seq') ?? undefined }
  }

  /** Opens the window: where the user stopped reading, or at the end. */
  async load(end = false): Promise<void> {
    if (this.loading || this.loaded) return
    this.loading = 'first'
    this.failed = false
    if (this.rows.length === 0) {
      const copy = await copies.get<Row[]>(this.home.copyKey(this))
      if (copy && this.rows.length === 0) {
        this.rows = copy
        this.stale = true
        this.changed()
      }
    }
    const { params } = { params: { id: this.id } }
    try {
      if (!this.view?.my_role) this.setView((await this.home.client.request('GET', '/v1/chat/threads/{id}', { params })).body)
      if (!this.view?.my_role) throw new Error('not a member')
      this.#late = []
      this.follow()
      const mark = await this.home.client.request('GET', '/v1/chat/threads/{id}/read-cursor', { params }).then((a) => a.body, () => undefined)
      this.divider = this.unread > 0 ? mark?.n ?? this.n - this.unread : undefined
      if (mark) this.#mark(mark.generation, mark.n)
      const far = !end && mark && this.unread > page - 10
      if (far) {
        await this.#around(mark.seq)
      } else {
        const got = await this.#messages({ limit: page })
        this.rows = got.rows
        this.atStart = !got.more
        this.atEnd = true
      }
      this.loaded = true
      this.stale = false
    } catch {
      this.failed = true
    }
    this.#loadedSome()
  }

  async older(): Promise<void> {
    if (this.loading || !this.loaded || this.atStart) return
    await this.#more('older', async () => {
      const got = await this.#messages({ limit: page, before_seq: `${this.epoch}:${this.rows[0]?.seq ?? 0}` })
      let rows = [...got.rows, ...this.rows]
      if (rows.length > most) {
        rows = rows.slice(0, most)
        this.atEnd = false
      }
      this.rows = rows
      this.atStart = !got.more
    })
  }

  async newer(): Promise<void> {
    if (this.loading || !this.loaded || this.atEnd) return
    await this.#more('newer', async () => {
      const got = await this.#messages({ limit: page, after_seq: `${this.epoch}:${this.rows.at(-1)?.seq ?? 0}` })
      this.#append(got.rows)
      this.atEnd = !got.more
    })
  }

  async #more(what: 'older' | 'newer', run: () => Promise<void>): Promise<void> {
    this.loading = what
    this.#late = []
    this.failed = false
    this.changed()
    try {
      await run()
    } catch {
      this.failed = true
    }
    this.#loadedSome()
  }

  #loadedSome(): void {
    this.loading = undefined
    const late = this.#late
    this.#late = undefined
    if (late) this.#apply(late)
    this.changed()
  }

  /** The message that was looked for, which the window then holds. */
  shown = ''

  /** Moves the window to a message. */
  async show(id: string): Promise<void> {
    if (!this.rows.some((r) => r.id === id)) {
      const { body } = await this.home.client.request('GET', '/v1/chat/threads/{id}/messages/{mid}', { params: { id: this.id, mid: id } })
      await this.#more('newer', () => this.#around(body.seq))
    }
    this.shown = id
    this.changed()
  }

  async #around(seq: number): Promise<void> {
    const [before, after] = await Promise.all([
      this.#messages({ limit: 20, before_seq: `${this.epoch}:${seq + 1}` }), this.#messages({ limit: page, after_seq: `${this.epoch}:${seq}` }),
    ])
    this.rows = [...before.rows, ...after.rows]
    this.atStart = !before.more
    this.atEnd = !after.more
  }

  /** Leaves the history for the newest messages. */
  async toEnd(): Promise<void> {
    this.fresh = 0
    while (this.loading) await new Promise((done) => setTimeout(done, 50)) // what comes then would be of another place
    if (this.atEnd) return
    this.loaded = false
    this.rows = []
    this.unread = 0
    await this.load(true)
  }

  #append(rows: Row[]): void {
    let all = [...this.rows, ...rows]
    if (all.length > this.enough + page / 2) {
      all = all.slice(-this.enough)
      this.atStart = false
    }
    this.rows = all
  }

  // Events.

  #take(events: StreamEvent[]): void {
    this.#late?.push(...events)
    this.#apply(events)
    this.changed()
    this.home.changed()
    if (this.loaded) this.#keepSoon()
  }

  #apply(events: StreamEvent[]): void {
    const news: Row[] = []
    for (const e of events) this.#one(e as wire.EventsThread['events'][number], news)
    if (news.length === 0) return
    const known = new Set(this.rows.map((r) => r.id))
    const added = news.filter((r) => !known.has(r.id) && r.seq > (this.rows.at(-1)?.seq ?? 0))
    if (this.loaded && this.atEnd) this.#append(added)
    else if (this.loaded) this.fresh += added.length
    const others = added.filter((r) => r.userId !== this.home.me.userId && !r.deleted)
    if (others.length > 0) this.onNews?.(others)
  }

  #one(e: wire.EventsThread['events'][number], news: Row[]): void {
    const me = this.home.me.userId
    switch (e.type) {
      case 'message.posted': {
        const row = rowOfEvent(e)
        this.typing.delete(row.userId)
        if (row.n > this.n && row.userId !== me && !row.deleted) {
          this.unread = Math.min(999, this.unread + 1)
          if (row.mentions?.some(this.names)) this.mentions++
        }
        this.n = Math.max(this.n, row.n)
        if (!this.last || row.seq > this.last.seq) this.last = row
        news.push(row)
        if (row.replyTo) {
          this.turn++
          for (const r of news) if (r.id === row.replyTo) counted(r, row.seq)
          this.#change(row.replyTo, (r) => counted({ ...r }, row.seq))
        }
        return
      }
      case 'message.edited': {
        const { message_id, revision, body, mentions } = e.data
        return this.#change(message_id, (r) => revision <= r.revision ? r
          : { ...r, revision, edited: true, ...(body === undefined ? {} : { body, mentions: mentions as Mention[], withheld: false }) })
      }
      case 'message.deleted':
        this.home.countSoon()
        this.turn++
        this.countPins()
        return this.#change(e.data.message_id, (r) => ({ ...r, deleted: true, body: '', reactions: [], pinned: false }))
      case 'message.pinned':
      case 'message.unpinned':
        this.turn++
        this.countPins()
        return this.#change(e.data.message_id, (r) => ({ ...r, pinned: e.type === 'message.pinned' }))
      case 'message.reacted': {
        const { message_id, emoji, on } = e.data
        return this.#change(message_id, (r) => ({ ...r, reactions: reacted(r.reactions, emoji, e.actor.user_id, on) }))
      }
      case 'message.held':
      case 'message.blocked':
        return this.#change(e.data.target_seq, (r) => ({ ...r, held: true, body: r.userId === me ? r.body : '' })) // its author still sees the text
      case 'message.released':
        return void this.#again(e.data.target_seq)
      case 'content.erased':
        return this.#change(e.data.seq, (r) => ({ ...r, erased: true, body: '' }))
      default:
        this.#changedThread(e)
    }
  }

  /** Reads the thread itself again after an event about it. */
  #changedThread(e: { type: string }): void {
    if (e.type.startsWith('member.')) this.members = undefined
    if (/^(member|thread)\./.test(e.type)) this.#viewSoon()
  }

  #viewSoon = soon(300, async () => {
    const { body } = await this.home.client.request('GET', '/v1/chat/threads/{id}', { params: { id: this.id } }).catch(() => ({ body: undefined }))
    if (body) this.setView(body)
    if (this.open && !this.members) this.loadMembers().catch(() => undefined) // read again with the next change
    this.home.changed()
  })

  #change(which: string | number, to: (row: Row) => Row): void {
    const is = (r: Row) => r.id === which || r.seq === which
    const i = this.rows.findIndex(is)
    if (i >= 0) {
      this.rows = [...this.rows]
      this.rows[i] = to(this.rows[i]!)
    }
    if (this.last && is(this.last)) this.last = i >= 0 ? this.rows[i] : to(this.last)
  }

  /** The replies to a message, or without one the pinned messages, the newest pin first. */
  async listed(of?: Row): Promise<Row[]> {
    const { client } = this.home
    const answer = of ? await client.request('GET', '/v1/chat/threads/{id}/messages/{mid}/replies', { params: { id: this.id, mid: of.id }, query: { limit: 200 } })
      : await client.request('GET', '/v1/chat/threads/{id}/pins', { params: { id: this.id } })
    return answer.body.map((m) => rowOf(m, seqOf(answer.headers)))
  }

  /** Incremented when a message of the thread is pinned or unpinned, or answers another. */
  turn = 0
  pins = 0

  countPins = soon(300, async () => {
    const pins = await this.listed().catch(() => undefined)
    if (pins) this.pins = pins.length
    this.changed()
  })

  pin(row: Row): Command {
    return this.home.send(this.stream, row.pinned ? 'message.unpin' : 'message.pin', { message_id: row.id })
  }

  /** Reads one message again. */
  async #again(seq: number): Promise<void> {
    const row = this.rows.find((r) => r.seq === seq)
    if (!row) return
    try {
      const { body, headers } = await this.home.client.request('GET', '/v1/chat/threads/{id}/messages/{mid}', { params: { id: this.id, mid: row.id } })
      this.#change(seq, () => rowOf(body, seqOf(headers)))
      this.changed()
    } catch (e) {
      if (!(e instanceof Problem) || e.unknown) setTimeout(() => void this.#again(seq), 5000)
    }
  }

  signalled(s: wire.Signalled): void {
    if (s.type === 'typing' && s.actor && s.actor.user_id !== this.home.me.userId) {
      this.typing.set(s.actor.user_id, { name: s.actor.name ?? '', until: Date.now() + typingFor })
      setTimeout(() => this.changed(), typingFor + 50)
    } else if (s.type === 'presence' && s.data) {
      this.present = { count: s.data.present ?? 0, users: s.data.users && new Set(s.data.users) }
    } else if (s.type === 'read') {
      if ((s.data?.generation ?? 0) > this.#generation) this.kept = true // on another device
      this.#mark(s.data?.generation ?? 0, s.data?.n ?? 0)
      this.home.countSoon()
    }
    this.changed()
  }

  /** The connection is gone: nobody knows who types or is present. */
  silent(): void {
    if (this.typing.size === 0 && !this.present) return
    this.typing.clear()
    this.present = undefined
    this.changed()
  }

  get typists(): string[] {
    const now = Date.now()
    return [...this.typing.values()].filter((t) => t.until > now).map((t) => t.name)
  }

  // Reading.

  /** The server has counted; n is the newest message that it counted. */
  counted(unread: number, n: number, mentions = 0): void {
    if (n < this.n) return this.home.countSoon() // something has come since
    this.n = n
    this.unread = unread
    this.mentions = mentions
    this.changed()
  }

  /** Of two marks, that of the higher generation counts, and in one generation the higher one. */
  #mark(generation: number, n: number): void {
    if (generation < this.#generation || (generation === this.#generation && n <= this.#marked)) return
    this.#generation = generation
    this.#marked = n
    this.#want = undefined
  }

  /** Marks a message and all after it as unread. */
  async markUnread(row: Row): Promise<void> {
    this.kept = true
    const { body } = await this.home.client.request<rest.ChatReadCursor>('POST', '/v1/chat/threads/{id}/read-cursor', { params: { id: this.id }, body: { message_id: row.id, unread: true } })
    this.#mark(body.generation, body.n)
    this.home.countSoon()
  }

  /** The user has seen this message. */
  saw(row: Row): void {
    if (this.kept || row.n <= this.#marked || row.n <= (this.#want?.n ?? 0) || this.stale) return
    this.#want = row
    this.#markSoon()
  }

  #markSoon = soon(300, async () => {
    const row = this.#want
    if (!row || row.n <= this.#marked) return
    const params = { id: this.id }
    try {
      await this.home.client.request('POST', '/v1/chat/threads/{id}/read-cursor', { params, body: { message_id: row.id, generation: this.#generation } })
      this.#mark(this.#generation, row.n)
      if (row.n >= this.n) this.unread = this.mentions = 0
      this.home.countSoon()
    } catch {
      this.#want = undefined
    }
    this.home.changed()
    if (this.#want && this.#want.n > row.n) this.#markSoon()
  })

  // Writing.

  /** Whether a mention names the user of this page. */
  names = (m: Mention): boolean => m.user_id === this.home.me.userId || m.group === 'here' || (m.role !== undefined && m.role === this.view?.my_role)

  post(body: string, replyTo?: string, files: string[] = []): Command {
    return this.home.send(this.stream, 'message.post', { body, ...(replyTo ? { reply_to: replyTo } : {}), ...(files.length > 0 ? { attachments: files } : {}) })
  }

  edit(row: Row, body: string): Command {
    return this.home.send(this.stream, 'message.edit', { message_id: row.id, revision: row.revision, body })
  }

  remove(row: Row): Command {
    return this.home.send(this.stream, 'message.delete', { message_id: row.id })
  }

  react(row: Row, emoji: string): Command {
    const mine = row.reactions.some((r) => r.emoji === emoji && r.users.includes(this.home.me.userId))
    return this.home.send(this.stream, 'message.react', { message_id: row.id, emoji, on: !mine })
  }

  get pending(): readonly Command[] {
    return this.home.client.pending.filter((c) => c.stream === this.stream)
  }

  async loadMembers(): Promise<void> {
    const { body } = await this.home.client.request('GET', '/v1/chat/threads/{id}/members', { params: { id: this.id }, query: { limit: 200 } })
    this.members = body
    this.changed()
  }

  // The copy on this device.

  #keepSoon = soon(1000, () => this.keep())

  keep(): void {
    if (this.loaded && this.atEnd && !this.gone) void copies.put(this.home.copyKey(this), this.rows.slice(-kept))
  }
}

function seqOf(headers: Headers): number {
  return Number(headers.get('x-as-of')?.split(':')[1] ?? 0)
}

/** Adds a reply unless the server has counted it. */
function counted(row: Row, seq: number): Row {
  if (seq > row.repliesAt) {
    row.replies = Math.min(999, (row.replies ?? 0) + 1) // a copy of an earlier version has none
    row.repliesAt = seq
  }
  return row
}

function rowOf(m: rest.ChatMessageView, repliesAt: number): Row {
  return {
    id: m.message_id, seq: m.seq, n: m.n, userId: m.author_id, name: m.sent_by ?? m.author.name, imported: m.sent_by !== undefined, body: m.body,
    at: m.sent_at_ms ?? m.created_at_ms, replyTo: m.reply_to, revision: m.revision, edited: m.edited_at_ms !== undefined,
    deleted: m.deleted_at_ms !== undefined, withheld: m.withheld, held: m.held, warning: m.warning, erased: m.erased, requestId: m.request_id, mentions: m.mentions, files: m.attachments,
    reactions: m.reactions.map((r) => ({ emoji: r.emoji, users: r.user_ids, count: r.count })), replies: m.replies ?? 0, repliesAt, pinned: m.pinned,
  }
}

function rowOfEvent(e: wire.EventThreadMessagePosted): Row {
  const d = e.data as wire.EventThreadMessagePosted['data'] & { sent_by?: string; sent_at_ms?: number }
  return {
    id: e.id, seq: e.seq, n: d.n, userId: e.actor.user_id, name: d.sent_by ?? e.actor.name ?? '', imported: d.sent_by !== undefined, body: d.body ?? '',
    at: d.sent_at_ms ?? Date.parse(e.at), replyTo: d.reply_to, revision: d.revision ?? 0, edited: (d.edited_at_ms ?? 0) > 0,
    deleted: (d.deleted_at_ms ?? 0) > 0, withheld: d.withheld, held: d.held || d.rejected, warning: d.warning, erased: (e as { erased?: boolean }).erased, requestId: e.request_id, mentions: d.mentions as Mention[], files: d.attachments,
    reactions: Object.entries(d.reactions ?? {}).map(([emoji, users]) => ({ emoji, users, count: users.length })), replies: 0, repliesAt: 0, pinned: d.pinned,
  }
}

function reacted(list: Reaction[], emoji: string, user: string, on: boolean): Reaction[] {
  const old = list.find((r) => r.emoji === emoji)
  if ((old?.users.includes(user) ?? false) === on) return list
  if (!old) return [...list, { emoji, users: [user], count: 1 }]
  const next = { emoji, users: on ? [...old.users, user] : old.users.filter((u) => u !== user), count: old.count + (on ? 1 : -1) }
  return next.count > 0 ? list.map((r) => (r === old ? next : r)) : list.filter((r) => r !== old)
}
