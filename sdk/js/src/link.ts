import type { Follow } from './follow.js'
import { Timer, type Platform } from './platform.js'
import type { Problem } from './problem.js'
import type { Tokens } from './tokens.js'
import type { ServerFrame } from './wire.js'

/** A way to follow streams, best first. */
export type Transport = 'websocket' | 'sse' | 'poll'

/** Why a link ended. */
export interface End {
  /** In words, for people. */
  reason: string
  /** The server's answer, if there was one. */
  problem?: Problem
  /** The close code of a WebSocket. */
  code?: number
  /** Milliseconds that the server asked to wait. */
  wait?: number
  /** The server can be reached, but not over this transport. */
  blocked?: boolean
  /** The token that was sent. */
  token?: string
  /** What the token or ticket provider threw. */
  error?: unknown
}

/** What a link needs of its connection. */
export interface LinkHost {
  readonly platform: Platform
  readonly tokens: Tokens
  /** Instead of a token: returns a fresh ticket for each attempt. */
  readonly ticket: (() => Promise<string>) | undefined
  address(path: string, query?: URLSearchParams): string
  /** The streams that may be asked for now. */
  ready(): Follow[]
  /** A sign that the link works: its first frame or answer. */
  works(link: Link): void
  received(link: Link, frame: ServerFrame): void
  ended(link: Link, end: End): void
}

/** What happened outside: the page had stopped, the network may be another one, or somebody looks. */
export type Why = 'frozen' | 'network' | 'look'

/** A subscription of a link. */
interface Carried {
  follow: Follow
  id: string
  live: boolean
}

/**
 * One try of one transport, from its first byte to its end. A link that was
 * closed calls nobody any more, whatever its socket or request still does.
 */
export abstract class Link {
  abstract readonly transport: Transport
  readonly since: number
  closed = false
  /** It has delivered something. Being open proves nothing. */
  good = false
  protected readonly carried = new Map<string, Carried>()
  protected token: string | undefined
  #heard: number
  #heardAt: number
  #deadline: Timer
  #away: Timer
  #awayUntil: number | undefined

  constructor(protected readonly host: LinkHost) {
    const { platform } = host
    this.since = this.#heard = platform.mono()
    this.#heardAt = platform.now()
    this.#deadline = new Timer(platform, () => this.late())
    this.#away = new Timer(platform, () => this.fail({ reason: 'the server is going away' }))
  }

  /** Begins. What goes wrong is reported by the host's ended. */
  open(): void {
    this.expect()
    this.begin().catch(error => this.fail({ reason: String(error), error }))
  }

  protected abstract begin(): Promise<void>

  /** From now on, something must be delivered in time. */
  protected expect(): void {
    this.#deadline.set(this.host.platform.times.open)
  }

  /** Nothing was delivered in time. */
  protected late(): void {
    this.fail({ reason: 'no answer in time' })
  }

  /** Asks for the streams that are ready now, and no longer for others. */
  abstract update(): void

  /** Something happened outside: is the server still there? */
  abstract check(why: Why): void

  /** Sends a frame. Returns false if this transport or its state does not allow it. */
  send(_text: string): boolean {
    return false
  }

  /** Ends the subscription of a stream. */
  drop(follow: Follow): void {
    if (this.carried.get(follow.stream)?.follow === follow) this.carried.delete(follow.stream)
  }

  /** The server has ended the subscription of a stream by itself. */
  over(follow: Follow): void {
    this.carried.delete(follow.stream)
  }

  /** Returns the stream that a frame is about, unless it belongs to an earlier subscription. */
  carries(frame: ServerFrame): Follow | undefined {
    const { stream, id } = frame as { stream?: string; id?: string }
    // An answer to a frame that was not even read names no stream.
    const carried = this.carried.get(stream ?? '') ?? [...this.carried.values()].find(c => id && c.id === id)
    if (!carried || carried.follow.closed) return undefined
    if (frame.op === 'subscribed') {
      if ((id ?? '') !== carried.id) return undefined
      carried.live = true
    }
    if (frame.op === 'error') return id === undefined || id === carried.id ? carried.follow : undefined
    return carried.live ? carried.follow : undefined
  }

  /** The server stops. If it does not end the link by itself, the link ends after this time. */
  away(ms: number): void {
    if (this.#awayUntil !== undefined) return
    this.#awayUntil = this.host.platform.mono() + ms
    this.#away.set(ms)
  }

  close(): void {
    this.closed = true
    this.#deadline.clear()
    this.#away.clear()
  }

  /** Ends the link, and says why. */
  fail(end: End): void {
    if (this.closed) return
    this.close()
    const left = this.#awayUntil === undefined ? 0 : this.#awayUntil - this.host.platform.mono()
    if (left > 0) end.wait = left
    end.token ??= this.token
    this.host.ended(this, end)
  }

  /** Bytes arrived. */
  protected hear(): void {
    this.#heard = this.host.platform.mono()
    this.#heardAt = this.host.platform.now()
  }

  /** Milliseconds since bytes arrived. The wall clock counts too: the other one may stand still in sleep. */
  protected get silence(): number {
    return Math.max(this.host.platform.mono() - this.#heard, this.host.platform.now() - this.#heardAt)
  }

  /** The transport works. */
  protected works(): void {
    this.#deadline.clear()
    this.hear()
    if (this.good || this.closed) return
    this.good = true
    this.host.works(this)
  }

  /** Takes a frame as text. */
  protected deliver(text: string): void {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // It is checked below.
    }
    this.take(value)
  }

  protected take(value: unknown): void {
    if (this.closed) return
    const fault = faultOf(value as ServerFrame)
    if (fault) return this.fail({ reason: fault })
    this.works()
    if (!this.closed) this.host.received(this, value as ServerFrame)
  }
}

/** Returns what is wrong with a frame, if anything is. An events frame must not contradict itself: it moves a cursor. */
function faultOf(frame: ServerFrame | null | undefined): string | undefined {
  if (typeof frame?.op !== 'string') return 'a frame that cannot be read'
  if (frame.op !== 'events') return undefined
  const { from, to, events } = frame
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from || !Array.isArray(events)) {
    return 'an events frame without a range'
  }
  let last = from
  for (const event of events) {
    if (!(event?.seq > last && event.seq <= to)) return 'events out of order, or outside the range of their frame'
    last = event.seq
  }
  return undefined
}
