// Everything of the user who is signed in: the connection, the threads and
// cases, what is on its way, and what is unread.
import { Client, Problem, type Command, type Follow, type State, type rest } from '@gotong/client'
import { t } from './i18n.ts'
import { Matter } from './matter.ts'
import { copies, kv, Model, soon } from './platform.ts'
import { pushed } from './push.ts'
import { Room, type ThreadView } from './room.ts'
import type { Login, Session } from './session.ts'
import { spoken } from './ui.tsx'

const followed = 24 // threads that are followed at once; the server allows 32 streams: these, the cases, the account, and what is open
const followedCases = 4

interface Unsent { stream: string; type: string; data: unknown; requestId: string }

export class Home extends Model {
  readonly client: Client
  readonly rooms = new Map<string, Room>()
  readonly matters = new Map<string, Matter>()
  readonly groups = new Map<string, string>() // names
  state: State
  /** Since when the page has not been connected, in ms since 1970; undefined while it is. */
  offlineSince: number | undefined = Date.now()
  loaded = false
  /** Unread in the inbox, up to 99, and how often it has changed. */
  inbox = 0
  inboxTurn = 0
  /** The lists are those of an earlier visit. */
  stale = false
  #closed = false
  #account: Follow | undefined
  #moved: string | undefined // the newest notification that the user was added or removed
  #posting = new Set<string>() // request ids that are on their way by REST
  #timer: ReturnType<typeof setTimeout> | undefined
  #countAgain: ReturnType<typeof setTimeout> | undefined

  constructor(readonly session: Session, readonly me: Login) {
    super()
    this.client = new Client({ url: location.origin, token: session.token })
    this.state = this.client.state
    this.client.on('state', (state) => this.#stateChanged(state))
    this.client.on('pending', () => this.#pendingChanged())
    this.client.on('signal', (s) => {
      if (s.type === 'inbox') this.countInbox()
      this.rooms.get(s.stream.slice('thread/'.length))?.signalled(s)
    })
    document.addEventListener('visibilitychange', this.#seen)
  }

  #seen = () => {
    if (document.visibilityState === 'visible' && this.loaded) this.refreshSoon()
  }

  close(): void {
    this.#closed = true
    document.removeEventListener('visibilitychange', this.#seen)
    clearTimeout(this.#timer)
    clearTimeout(this.#countAgain)
    this.client.close({ forget: true })
  }

  async start(): Promise<void> {
    const kept = await copies.get<{ threads: ThreadView[]; cases: rest.CasesCaseView[] }>(this.#key('lists'))
    if (kept && !this.loaded) {
      this.stale = true
      this.#take(kept.threads, kept.cases)
    }
    this.#resend()
    this.#followAccount()
    if (globalThis.Notification?.permission === 'granted') void pushed(this) // each start renews the subscription
    await this.refresh()
  }

  /** Reads the lists anew. */
  async refresh(): Promise<void> {
    try {
      const [threads, cases] = await Promise.all([this.#threads(), this.client.request('GET', '/v1/cases', { query: { limit: 100 } })])
      this.loaded = true
      this.stale = false
      this.#take(threads, cases.body, true)
      void copies.put(this.#key('lists'), { threads, cases: cases.body })
      this.countInbox()
      this.#follow()
    } catch {
      clearTimeout(this.#timer) // reads end after some tries; the connection goes on trying, and calls again
      if (!this.loaded) this.#timer = setTimeout(() => void this.refresh(), 10_000)
    }
    this.changed()
  }

  refreshSoon = soon(500, () => void this.refresh())

  async #threads(): Promise<ThreadView[]> {
    const list: ThreadView[] = []
    let cursor: string | undefined
    do {
      const page = await this.client.request('GET', '/v1/chat/threads', { query: { limit: 200, cursor } })
      list.push(...page.body)
      cursor = page.headers.get('x-has-more') === 'true' ? page.headers.get('x-next-cursor') ?? undefined : undefined
    } while (cursor && list.length < 1000)
    return list
  }

  #take(threads: ThreadView[], cases: rest.CasesCaseView[], whole = false): void {
    for (const view of threads) this.room(view.thread_id).setView(view)
    for (const view of cases) this.matter(view.case_id).setView(view)
    if (!whole) return
    const here = new Set(threads.map((t) => t.thread_id))
    for (const room of this.rooms.values()) if (room.view?.my_role && !here.has(room.id) && !room.open) this.forget(room)
    const mine = new Set(cases.map((c) => c.case_id))
    for (const id of this.matters.keys()) if (!mine.has(id)) this.matters.delete(id)
  }

  room(id: string): Room {
    let room = this.rooms.get(id)
    if (!room) this.rooms.set(id, (room = new Room(this, id)))
    return room
  }

  matter(id: string): Matter {
    let matter = this.matters.get(id)
    if (!matter) this.matters.set(id, (matter = new Matter(this, id)))
    return matter
  }

  /** Deletes what this device holds of a thread: the user may no longer read it. */
  forget(room: Room): void {
    this.rooms.delete(room.id)
    room.close()
    void copies.delete(this.#key('thread/' + room.id))
    kv.delete(this.draftKey(room.id))
    for (const command of this.client.pending) if (command.stream === room.stream) this.discard(command)
    this.changed()
  }

  /** The threads to show, newest first. */
  get threads(): Room[] {
    return [...this.rooms.values()].filter((r) => r.view?.my_role).sort((a, b) => b.time - a.time)
  }

  get cases(): Matter[] {
    return [...this.matters.values()].filter((m) => m.view).sort((a, b) => b.view!.updated_at_ms - a.view!.updated_at_ms)
  }

  get unread(): number {
    return this.threads.reduce((n, r) => n + (r.view?.muted ? 0 : r.unread), 0)
  }

  /** The server signals there that the inbox changed; what changed before the subscription began is counted then. */
  #followAccount(): void {
    if (this.#account && !this.#account.closed) return
    this.#account = this.client.follow('user/' + this.me.userId, { onEvents: () => {}, onBegun: this.countInbox, onError: () => {} })
  }

  #follow(): void {
    this.threads.slice(0, followed).forEach((r) => r.follow())
    this.cases.slice(0, followedCases).forEach((m) => m.follow())
  }

  /** Asks the server how much is unread: it alone knows what other devices have read. */
  countSoon = soon(400, async () => {
    const { body } = await this.client.request('GET', '/v1/chat/unread').catch(() => ({ body: [] as rest.ChatUnread[] }))
    for (const u of body) this.rooms.get(u.thread_id)?.counted(u.unread, u.n, u.mentions)
    this.changed()
  })

  async readAll(): Promise<void> {
    await this.client.request<unknown>('POST', '/v1/chat/unread/read', { body: {} })
    for (const room of this.threads) room.unread = room.mentions = 0
    this.countSoon()
    this.changed()
  }

  /** Counts the inbox. Who was added to a thread or removed from one since the last count has another list of threads. */
  countInbox = soon(300, async () => {
    clearTimeout(this.#countAgain)
    try {
      const [{ body }, { body: { items } }] = await Promise.all([
        this.client.request('GET', '/v1/notifications/unread-count'),
        this.client.request('GET', '/v1/notifications', { query: { limit: 10, include_read: true } }),
      ])
      const moved = items.find((i) => i.kind === 'added' || i.kind === 'removed')?.notification_id ?? ''
      if (this.#moved !== undefined && moved !== this.#moved) this.refreshSoon()
      this.#moved = moved
      this.inbox = body.unread_count
      this.inboxTurn++
      this.changed()
    } catch { // no later signal makes up for this one
      if (!this.#closed) this.#countAgain = setTimeout(this.countInbox, 10_000)
    }
  })

  /** Reports that the user looks at a stream, or at none, so that no push announces its messages. */
  look(stream: string | null): void {
    if (this.client.active(stream) || !this.connected) return
    void this.client.request<unknown>('PUT', '/v1/realtime/active', { body: stream ? { stream } : {} }).catch(() => {})
  }

  /** The name of a group, which a thread without a name of its own bears. */
  groupName(id: string): string | undefined {
    if (!this.groups.has(id)) {
      this.groups.set(id, '')
      void this.client.request('GET', '/v1/groups/{id}', { params: { id } }).then(({ body }) => {
        this.groups.set(id, body.name)
        this.changed()
      }, () => {})
    }
    return this.groups.get(id) || undefined
  }

  #stateChanged(state: State): void {
    if (this.#closed) return // its end is not that of the login
    const was = this.state.name
    this.state = state
    if (state.name === 'online') {
      this.offlineSince = undefined
      this.#followAccount() // unless it is followed
      if (was !== 'online' && this.loaded) {
        this.countSoon()
        this.countInbox() // long-poll reports no begin after a break
      }
      if (!this.loaded || this.stale) this.refreshSoon()
    } else {
      this.offlineSince ??= Date.now()
      for (const room of this.rooms.values()) room.silent()
    }
    if (state.name === 'ended') void this.session.token('refused').catch(() => {}) // ends the session if nothing is valid any more
    this.#pendingChanged()
  }

  get connected(): boolean {
    return this.state.name === 'online'
  }

  // What is on its way, kept over a reload under its request ids.

  send(stream: string, type: string, data: unknown, requestId?: string): Command {
    const command = this.client.command({ stream, type, data, requestId })
    const key = `outbox.${this.me.userId}.${command.requestId}`
    kv.set(key, JSON.stringify({ stream, type, data, requestId: command.requestId } satisfies Unsent))
    const done = () => kv.delete(key)
    command.then(done, () => { // a failed one is kept until it is discarded
      if (this.client.pending.includes(command)) spoken.say(t('news.failed'))
      else done()
    })
    return command
  }

  discard(command: Command): void {
    kv.delete(`outbox.${this.me.userId}.${command.requestId}`)
    command.discard()
  }

  #resend(): void {
    const begin = `outbox.${this.me.userId}.`
    for (const key of kv.keys().filter((k) => k.startsWith(begin)).sort()) {
      const u = kv.json<Unsent>(key)
      if (u) this.send(u.stream, u.type, u.data, u.requestId)
    }
  }

  /** How many commands wait for the network. */
  get waiting(): number {
    return this.client.pending.filter((c) => c.state === 'waiting' || c.state === 'sent').length
  }

  /**
   * Where no WebSocket gets through, messages go by REST, under the same request
   * id: the server takes the first of the two. Other commands wait, because their
   * request by REST counts as another one.
   */
  #postByRest(): void {
    if (!this.connected || this.state.transport === 'websocket') return
    const busy = new Set<string>() // streams with an earlier message without an answer: none overtakes another
    for (const command of this.client.pending) {
      if (command.type !== 'message.post' || command.state === 'failed' || command.state === 'done' || busy.has(command.stream)) continue
      busy.add(command.stream)
      if (command.state !== 'waiting' || this.#posting.has(command.requestId)) continue
      this.#posting.add(command.requestId)
      const id = command.stream.slice('thread/'.length)
      void this.client.request('POST', '/v1/chat/threads/{id}/messages/send', {
        params: { id }, body: command.data as rest.ChatSend, idempotencyKey: command.requestId,
      }).then(() => this.discard(command), (e) => {
        this.#posting.delete(command.requestId)
        if (e instanceof Problem && !e.unknown) command.fail(e)
      })
    }
  }

  #pendingChanged(): void {
    this.#postByRest()
    for (const room of this.rooms.values()) if (room.open) room.changed()
    this.changed()
  }

  #key(name: string): string {
    return `${this.me.userId}/${name}`
  }

  copyKey(room: Room): string {
    return this.#key('thread/' + room.id)
  }

  draftKey(id: string): string {
    return `draft.${this.me.userId}.${id}`
  }
}
