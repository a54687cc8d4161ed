import { formatCursor, parseCursor, type CursorStore, type Position } from './cursor.js'
import { Pace } from './pace.js'
import type { Platform } from './platform.js'
import { Problem } from './problem.js'
import type { Events } from './wire.js'

/** An event of a stream. Its type is that of api/asyncapi.json, by kind of stream and type of event. */
export type StreamEvent = Events['events'][number]

/** The seq that a call of onEvents accounts for: from < seq <= to. */
export interface Range {
  from: number
  to: number
}

/** Where and how to follow a stream. */
export interface FollowOptions {
  /**
   * Where to begin: a cursor, or "start" for the first event that the user may
   * see. Without it: where an earlier follow of this stream stopped, else at
   * the stored cursor, else now.
   */
  from?: string
  /**
   * Handles events, in ascending seq, each once. The cursor moves when it has
   * returned or its promise is fulfilled, and the next call comes after that.
   * If it throws, the stream is no longer followed and its cursor stays.
   */
  onEvents(events: StreamEvent[], range: Range): unknown
  /**
   * A subscription has begun, at first and after each break, before its events.
   * Signals from before are lost: read now what they would have announced. Long-poll
   * calls it at first only.
   */
  onBegun?(): unknown
  /**
   * The server cannot continue from the cursor: "epoch_changed",
   * "cursor_ahead", "cursor_invalid", or the reason of resync_required. Forget
   * what you hold of the stream. It is followed from "start", or from the
   * cursor that this returns.
   */
  onReset?(reason: string): string | void | Promise<string | void>
  /** The user may not read the stream, or no longer may: delete what you hold of it. It is no longer followed. */
  onRevoked?(problem?: Problem): unknown
  /** The stream is no longer followed: onEvents threw this, or the server cannot serve the next event. */
  onError?(error: unknown): unknown
}

/** What a Follow needs of its client. @internal */
export interface FollowOwner {
  readonly platform: Platform
  readonly cursors: CursorStore | undefined
  /** The follow is ready again, or no longer followed. */
  changed(follow: Follow): void
  /** Events are about to be handled. */
  handling(follow: Follow, events: StreamEvent[]): void
  /** Events up to here were handled. */
  handled(follow: Follow, to: number): void
}

/** Codes that say that the cursor is at fault, not the user's rights. */
const cursorCodes = ['epoch_changed', 'cursor_ahead', 'cursor_invalid']

/** Batches that may wait for their handler before the stream is paused. */
const mostWaiting = 64

type Work = { events: StreamEvent[]; to: number } | (() => unknown)

/** A stream that is followed. */
export class Follow {
  /** @internal Decides when the stream may be asked for again. */
  readonly pace: Pace
  #received: Position | undefined
  #handled: Position | undefined
  #start = false
  #loading = false
  #behind = false
  #closed = false
  /** A later follow of the same stream keeps the cursor now. @internal */
  replaced = false
  #work: Work[] = []
  #current: Work | undefined

  /** @internal */
  constructor(
    private readonly owner: FollowOwner,
    readonly stream: string,
    private readonly options: FollowOptions,
    earlier?: Follow,
  ) {
    this.pace = new Pace(owner.platform)
    const from = options.from ?? earlier?.next
    if (from !== undefined) this.#place(from)
    else void this.#load()
  }

  /** The cursor up to which events were handled; undefined before the server has named one. */
  get cursor(): string | undefined {
    return this.#handled && formatCursor(this.#handled)
  }

  /** True once the stream is no longer followed. */
  get closed(): boolean {
    return this.#closed
  }

  /** Stops following. No further call of onEvents begins. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#work = []
    this.owner.changed(this)
  }

  /** The cursor after the events that are being handled now. @internal */
  get next(): string | undefined {
    const busy = this.#current
    if (typeof busy === 'object' && this.#handled) return formatCursor({ ...this.#handled, seq: busy.to })
    return this.cursor ?? (this.#start ? 'start' : undefined)
  }

  /** Where to ask from: a cursor, "start", or undefined for now. @internal */
  get from(): string | undefined {
    if (this.#received) return formatCursor(this.#received)
    return this.#start ? 'start' : undefined
  }

  /** The stream may be asked for now. @internal */
  get ready(): boolean {
    return !this.#closed && !this.#loading && !this.#behind && this.pace.wait() === 0
  }

  #place(from: string): void {
    const at = parseCursor(from)
    if (!at && from !== 'start') throw new TypeError(`not a cursor: ${from}`)
    this.#start = from === 'start'
    this.#received = at
    this.#handled = at && { ...at }
  }

  async #load(): Promise<void> {
    this.#loading = true
    let stored: string | null | undefined
    try {
      stored = await this.owner.cursors?.get(this.stream)
    } catch {
      // No storage: follow from now.
    }
    if (parseCursor(stored)) this.#place(stored!)
    this.#loading = false
    this.owner.changed(this)
  }

  /** The server has begun at this cursor. Returns what is wrong with it, if anything is. @internal */
  begun(cursor: string): string | undefined {
    const at = parseCursor(cursor)
    const mine = this.#received
    if (!at) return 'a subscription without a cursor'
    if (mine && (at.epoch !== mine.epoch || at.seq > mine.seq)) return 'a subscription that begins elsewhere than asked'
    if (!mine) {
      this.#received = at
      this.#handled = { ...at }
    }
    if (this.options.onBegun) {
      this.#work.push(() => this.options.onBegun!())
      this.#run()
    }
    return undefined
  }

  /**
   * Takes a frame of events. "gap" means that the stream must be asked for
   * again from its cursor, "paused" that it will be when the handler has caught
   * up. @internal
   */
  accept(frame: Events): 'fresh' | 'old' | 'gap' | 'paused' {
    const mine = this.#received
    if (!mine) return 'gap'
    if (frame.to <= mine.seq) return 'old'
    if (frame.from > mine.seq) return 'gap'
    if (this.#work.length >= mostWaiting) {
      this.#behind = true
      return 'paused'
    }
    const { seq } = mine
    mine.seq = frame.to
    this.pace.succeed()
    this.#work.push({ events: (frame.events as StreamEvent[]).filter(e => e.seq > seq), to: frame.to })
    this.#run()
    return 'fresh'
  }

  /** The server refused to serve the stream. @internal */
  refused(problem: Problem): void {
    if (cursorCodes.includes(problem.code)) this.reset(problem.code)
    else if (problem.passes) this.pace.fail(problem.retryAfter)
    else if (problem.unknown) this.#end(() => this.options.onError?.(problem))
    else this.revoked(problem)
  }

  /** The server cannot continue from the cursor. @internal */
  reset(reason: string): void {
    this.pace.fail()
    this.forget()
    this.#loading = true // until the application has said where to continue
    this.#replaceWork(async () => {
      const from = await this.options.onReset?.(reason)
      this.#place(typeof from === 'string' && from !== '' ? from : 'start')
      this.#loading = false
      this.owner.changed(this)
    })
  }

  /** The user may not read the stream. @internal */
  revoked(problem?: Problem): void {
    this.#end(() => this.options.onRevoked?.(problem))
    this.forget()
  }

  /** Drops the cursor. @internal */
  forget(): void {
    this.#received = this.#handled = undefined
    this.#store(cursors => cursors.delete(this.stream))
  }

  #end(tell: () => unknown): void {
    if (this.#closed) return
    this.#replaceWork(tell)
    this.#closed = true
    this.owner.changed(this)
  }

  /** What has not been handled is dropped; only this is left to do. */
  #replaceWork(work: () => unknown): void {
    this.#work = [work]
    this.#behind = false
    this.#run()
  }

  /** Works off what waits, one after the other. */
  #run(): void {
    while (!this.#current && this.#work.length > 0) {
      const work = (this.#current = this.#work.shift()!)
      try {
        const result = typeof work === 'function' ? work() : this.#handle(work.events, work.to)
        if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
          void Promise.resolve(result).then(
            () => this.#done(work),
            error => this.#broke(error),
          ).then(() => this.#run())
          return
        }
        this.#done(work)
      } catch (error) {
        this.#broke(error)
      }
    }
  }

  #handle(events: StreamEvent[], to: number): unknown {
    this.owner.handling(this, events)
    const from = this.#handled!.seq
    return events.length > 0 ? this.options.onEvents(events, { from, to }) : undefined
  }

  /** Only now does the cursor move. */
  #done(work: Work): void {
    this.#current = undefined
    if (typeof work === 'object' && this.#handled) {
      this.#handled.seq = work.to
      const cursor = formatCursor(this.#handled)
      if (!this.replaced) this.#store(cursors => cursors.set(this.stream, cursor))
      this.owner.handled(this, work.to)
    }
    if (this.#behind && this.#work.length === 0) {
      this.#behind = false
      this.owner.changed(this)
    }
  }

  /** A handler threw. Going on would lose the events, so this stream stops, loudly. */
  #broke(error: unknown): void {
    this.#current = undefined
    this.#work = []
    const { onError } = this.options
    this.#end(() => onError?.(error))
    if (!onError) this.owner.platform.setTimeout(() => { throw error }, 0)
  }

  #store(act: (cursors: CursorStore) => unknown): void {
    try {
      const { cursors } = this.owner
      if (cursors) void Promise.resolve(act(cursors)).catch(() => {})
    } catch {
      // Cursors are a cache.
    }
  }
}
