import { Commands, type Command, type CommandRequest } from './commands.js'
import { Connection, type State } from './connection.js'
import { parseCursor, type CursorStore } from './cursor.js'
import { Follow, type FollowOptions, type StreamEvent } from './follow.js'
import type { Transport } from './link.js'
import { defaultPlatform, type Platform } from './platform.js'
import { request, type Request } from './request.js'
import { Tokens, type TokenProvider } from './tokens.js'
import type { Signalled } from './wire.js'

export interface ClientOptions {
  /** The server's http or https address, such as location.origin. It may have a path. */
  url: string
  /** Returns the access token. It is asked at the start, and again when the server rejects the last one. */
  token?: TokenProvider
  /**
   * Instead of a token, for pages that must not hold one: returns a fresh
   * ticket of POST /v1/realtime/tickets for each connection. Long-polling and
   * request() need a token.
   */
  ticket?: () => Promise<string>
  /** Where cursors are kept over a reload. Default: nowhere. */
  cursors?: CursorStore
  /** Best first. Default: websocket, sse, poll. */
  transports?: Transport[]
  /** Replaces parts of the environment, such as a WebSocket for Node 20. */
  platform?: Partial<Platform>
}

/** What a client reports to {@link Client.on}. */
export interface ClientEvents {
  /** The state of the connection changed. */
  state: State
  /** Somebody types, is present, or you set a read mark on another device. It may be lost. */
  signal: Signalled
  /** The list of pending commands changed. */
  pending: readonly Command[]
}

type Listener<E extends keyof ClientEvents> = (event: ClientEvents[E]) => void

const mostStreams = 32 // that one connection may follow

/**
 * A client of one Gotong server, for one user. It connects while there is
 * something to follow or to send, and keeps the connection alive.
 */
export class Client {
  /** @internal */
  readonly platform: Platform
  /** @internal */
  readonly tokens: Tokens
  /** @internal */
  readonly ticket: (() => Promise<string>) | undefined
  /** @internal */
  readonly transports: readonly Transport[]
  /** @internal */
  readonly cursors: CursorStore | undefined
  /** @internal */
  readonly commands: Commands
  readonly #base: string
  readonly #follows = new Map<string, Follow>()
  readonly #listeners = new Map<keyof ClientEvents, Set<Listener<any>>>()
  readonly #closing = new AbortController()
  readonly #connection: Connection

  constructor(options: ClientOptions) {
    this.#base = options.url.replace(/[?#].*/, '').replace(/\/+$/, '')
    if (!/^https?:\/\/./.test(this.#base)) throw new TypeError(`not an http or https address: ${options.url}`)
    this.platform = { ...defaultPlatform(), ...options.platform }
    this.tokens = new Tokens(options.token)
    this.ticket = options.token ? undefined : options.ticket
    this.cursors = options.cursors
    this.transports = (options.transports ?? ['websocket', 'sse', 'poll']).filter(
      t => (t !== 'websocket' || this.platform.WebSocket) && (t !== 'poll' || !this.ticket),
    )
    if (this.transports.length === 0) throw new TypeError('no transport is possible here')
    this.commands = new Commands(this)
    this.#connection = new Connection(this)
  }

  /** The state of the connection. */
  get state(): State {
    return this.#connection.state
  }

  /** Commands that wait for an answer, failed, or are answered but not yet seen in their stream, in order. */
  get pending(): readonly Command[] {
    return this.commands.list.filter(c => !c.seen)
  }

  /** Calls run at each such event. Returns a function that ends this. */
  on<E extends keyof ClientEvents>(event: E, run: Listener<E>): () => void {
    const all = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, all.add(run))
    return () => void all.delete(run)
  }

  /**
   * Follows a stream. A stream is followed once: an earlier follow of it ends,
   * and the new one continues after it, unless options.from says otherwise.
   */
  follow(stream: string, options: FollowOptions): Follow {
    this.#mustBeOpen()
    const earlier = this.#follows.get(stream)
    if (!earlier && this.#follows.size >= mostStreams) throw new RangeError(`a client follows at most ${mostStreams} streams`)
    const follow = new Follow(this, stream, options, earlier)
    if (earlier) earlier.replaced = true
    this.#follows.set(stream, follow)
    earlier?.close()
    this.#wakeSoon()
    return follow
  }

  /**
   * Sends a command, and repeats it with the same request id and the same bytes
   * until it is answered. It needs the WebSocket, and waits while there is none.
   */
  command(command: CommandRequest): Command {
    this.#mustBeOpen()
    const made = this.commands.add(command)
    this.#wakeSoon()
    return made
  }

  /** Tells the others who follow a stream something that may be lost, such as "typing". Returns whether it was sent. */
  signal(stream: string, type: string): boolean {
    return this.#connection.signal(stream, type)
  }

  /**
   * Reports that the user looks at a stream, or null: at none, so that no push announces its messages. It holds for a minute: repeat
   * it every 30 seconds while the user looks. Returns whether it was sent.
   */
  active(stream: string | null): boolean {
    return this.#connection.active(stream)
  }

  /** Sends a REST request. Throws a Problem if the server rejects it. */
  request: Request = (method: string, path: string, options: any = {}): Promise<any> => {
    this.#mustBeOpen()
    return request(this, method, path, options)
  }

  /** Tries to connect soon, also after the state "ended", for example when the user has signed in again. */
  connect(): void {
    this.#mustBeOpen()
    if (this.state.name === 'ended') this.tokens.forget()
    this.#connection.retry()
  }

  /**
   * Ends everything, for good. Commands without an answer fail with
   * UnknownOutcome. Forget deletes the stored cursors too: do so at sign-out.
   */
  close({ forget = false } = {}): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#connection.close()
    const follows = [...this.#follows.values()]
    this.#follows.clear()
    for (const follow of follows) follow.close()
    if (forget) for (const follow of follows) follow.forget()
    this.commands.close()
    this.tokens.forget()
    this.#listeners.clear()
  }

  /** After the caller has finished, so that streams that are followed together are asked for together. */
  #wakeSoon(): void {
    queueMicrotask(() => this.#connection.wake())
  }

  #mustBeOpen(): void {
    if (this.#closing.signal.aborted) throw new Error('the client is closed')
  }

  #tell<E extends keyof ClientEvents>(event: E, value: ClientEvents[E]): void {
    for (const run of [...(this.#listeners.get(event) ?? [])]) {
      try {
        run(value)
      } catch (error) {
        this.platform.setTimeout(() => { throw error }, 0) // loudly, but the client goes on
      }
    }
  }

  // What the parts ask for.

  /** @internal */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** @internal */
  address(path: string, query?: URLSearchParams): string {
    const text = query?.toString()
    return this.#base + path + (text ? `?${text}` : '')
  }

  /** @internal */
  follows(): Iterable<Follow> {
    return this.#follows.values()
  }

  /** @internal */
  stateChanged(state: State): void {
    this.#tell('state', state)
  }

  /** @internal */
  signalled(signal: Signalled): void {
    this.#tell('signal', signal)
  }

  /** @internal */
  pendingChanged(): void {
    this.#tell('pending', this.pending)
  }

  /** @internal */
  changed(follow: Follow): void {
    if (follow.closed && this.#follows.get(follow.stream) === follow) this.#follows.delete(follow.stream)
    this.#connection.wake()
  }

  /** @internal */
  handling(follow: Follow, events: StreamEvent[]): void {
    this.commands.seen(follow.stream, events)
  }

  /** @internal */
  handled(follow: Follow, to: number): void {
    this.commands.reached(follow.stream, to)
  }

  /** @internal */
  handledUpTo(stream: string): number | undefined {
    return parseCursor(this.#follows.get(stream)?.cursor)?.seq
  }
}
