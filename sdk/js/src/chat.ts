import type { Client } from './client.js'
import { Timer } from './platform.js'
import type { Answer } from './request.js'
import type { ChatMark, ChatMessageView, ChatReadCursor, ChatSetMark, ChatUnread } from './rest.js'
import type { Signalled } from './wire.js'

const typingLasts = 6000 // ms after the last signal
const typingEvery = 3000 // ms between two signals of one's own

/** Lists the replies to a message, oldest first, as far as this user may see them. Deleted ones have no text. */
export async function replies(client: Client, threadId: string, messageId: string): Promise<ChatMessageView[]> {
  const all: ChatMessageView[] = []
  for (let after: string | undefined; ; ) {
    const { body, headers }: Answer<ChatMessageView[]> = await client.request('GET', '/v1/chat/threads/{id}/messages/{mid}/replies', {
      params: { id: threadId, mid: messageId }, query: { after_seq: after, limit: 200 },
    })
    all.push(...body)
    after = headers.get('x-next-seq') ?? undefined
    if (after === undefined || headers.get('x-has-more') !== 'true') return all
  }
}

/** Lists the pinned messages of a thread, at most 50, the newest pin first. */
export async function pins(client: Client, id: string): Promise<ChatMessageView[]> {
  return (await client.request('GET', '/v1/chat/threads/{id}/pins', { params: { id } })).body
}

/** Puts a message on the list of pinned messages, or takes it off. */
export async function pin(client: Client, id: string, messageId: string, on = true): Promise<ChatMessageView> {
  const answer = await client.request(on ? 'PUT' : 'DELETE', '/v1/chat/threads/{id}/messages/{mid}/pin', { params: { id, mid: messageId } })
  return answer.body as ChatMessageView
}

/** Asks for the threads with unread messages, and how many. The server counts, so that all devices of a user agree. */
export async function unread(client: Client): Promise<ChatUnread[]> {
  const all: ChatUnread[] = []
  for (let cursor: string | undefined; ; ) {
    const { body, headers }: Answer<ChatUnread[]> = await client.request('GET', '/v1/chat/unread', { query: { cursor } })
    all.push(...body)
    cursor = headers.get('x-next-cursor') ?? undefined
    if (cursor === undefined) return all
  }
}

/** Marks a thread as read up to a message. Within a generation, a mark only moves forward. Other devices get a signal "read". */
export function markRead(client: Client, threadId: string, messageId: string, generation?: number): Promise<ChatReadCursor> {
  return mark(client, threadId, { message_id: messageId, generation })
}

/** Marks a message and all after it as unread, which begins a new generation. */
export function markUnread(client: Client, threadId: string, messageId: string, generation?: number): Promise<ChatReadCursor> {
  return mark(client, threadId, { message_id: messageId, generation, unread: true })
}

async function mark(client: Client, id: string, body: ChatSetMark): Promise<ChatReadCursor> {
  const answer = await client.request('POST', '/v1/chat/threads/{id}/read-cursor', { params: { id }, body })
  return answer.body as ChatReadCursor
}

/** Marks all threads as read, or those of a scope. */
export async function readAll(client: Client, scopeId?: string): Promise<void> {
  await client.request('POST', '/v1/chat/unread/read', { body: { scope_id: scopeId } })
}

/** Whether the mark a holds where both are known, in whatever order they arrived. */
export function replaces(a: ChatMark, b: ChatMark | undefined): boolean {
  return !b || a.generation > b.generation || (a.generation === b.generation && a.n > b.n)
}

/** Who types in a stream that is followed, and who is present. Both are forgotten when nothing renews them. */
export class People {
  /** How many are present, and who, if they are not too many to list; undefined while that is not known. */
  present: { present: number; users?: string[] } | undefined
  readonly #typing = new Map<string, { actor: NonNullable<Signalled['actor']>; until: number }>()
  readonly #expire: Timer
  readonly #off: Array<() => void>
  #typed = -Infinity

  /** Changed is called at each change. */
  constructor(
    private readonly client: Client,
    private readonly stream: string,
    private readonly changed: () => void,
  ) {
    this.#expire = new Timer(client.platform, () => this.#forgetLate())
    this.#off = [client.on('signal', signal => this.#take(signal)), client.on('state', ({ name }) => name !== 'online' && this.#forget())]
  }

  /** The others who are typing. */
  get typing(): Array<NonNullable<Signalled['actor']>> {
    return [...this.#typing.values()].map(t => t.actor)
  }

  /** The user types: call it at each key. The others get at most one signal in three seconds. */
  typed(): void {
    const now = this.client.platform.mono()
    if (now - this.#typed >= typingEvery && this.client.signal(this.stream, 'typing')) this.#typed = now
  }

  /** This user's message is there: they no longer type. */
  posted(userId: string): void {
    if (this.#typing.delete(userId)) this.changed()
  }

  close(): void {
    for (const off of this.#off) off()
    this.#expire.clear()
  }

  #take({ stream, type, actor, data }: Signalled): void {
    if (stream !== this.stream) return
    if (type === 'presence' && typeof data?.present === 'number') {
      this.present = { present: data.present, users: data.users }
      this.changed()
    } else if (type === 'typing' && actor) {
      this.#typing.set(actor.user_id, { actor, until: this.client.platform.mono() + typingLasts })
      this.#forgetLate()
    }
  }

  /** Without a connection, nothing is known. */
  #forget(): void {
    this.present = undefined
    this.#typing.clear()
    this.#expire.clear()
    this.changed()
  }

  #forgetLate(): void {
    const now = this.client.platform.mono()
    for (const [id, { until }] of this.#typing) if (until <= now) this.#typing.delete(id)
    const left = [...this.#typing.values()].map(t => t.until - now)
    if (left.length > 0) this.#expire.set(Math.min(...left))
    this.changed()
  }
}
