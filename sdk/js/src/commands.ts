import type { StreamEvent } from './follow.js'
import { Pace } from './pace.js'
import { requestId, Timer, type Platform } from './platform.js'
import { Problem, UnknownOutcome } from './problem.js'
import type { Ack, Error as ErrorFrame, Receipt } from './wire.js'

/** A command to a stream. */
export interface CommandRequest {
  /** The stream, or the kind alone in a command that creates one: "thread". */
  stream: string
  type: string
  data: unknown
  /** Chosen by the application, to repeat a command of an earlier page. Default: a new UUIDv7. */
  requestId?: string
}

const longestFrame = 64 << 10 // bytes
const mostOnTheWay = 16

/**
 * A command on its way. Await it for the receipt; it throws a Problem if the
 * server rejects it, and an UnknownOutcome if it was given up without an answer.
 */
export class Command implements PromiseLike<Receipt> {
  readonly stream: string
  readonly type: string
  readonly data: unknown
  readonly requestId: string
  /** When it was made, in ms since 1970, for the display. */
  readonly at: number
  /** "waiting" to be sent, "sent", "done" but not yet seen in the stream, or "failed". */
  state: 'waiting' | 'sent' | 'done' | 'failed' = 'waiting'
  /** Why it failed. */
  problem: Problem | UnknownOutcome | undefined
  /** The same bytes each time it is sent. @internal */
  readonly frame: string
  /** Its event is in the stream: it is no longer shown, and the answer may still come. @internal */
  seen = false
  /** @internal */
  receipt: Receipt | undefined
  #settled!: Promise<Receipt>
  /** @internal */
  resolve!: (receipt: Receipt) => void
  /** @internal */
  reject!: (why: unknown) => void

  /** @internal */
  constructor(
    private readonly list: Commands,
    platform: Platform,
    readonly id: string,
    { stream, type, data, requestId: given }: CommandRequest,
  ) {
    this.stream = stream
    this.type = type
    this.data = data
    this.requestId = given ?? requestId(platform)
    this.at = platform.now()
    this.frame = JSON.stringify({ op: 'command', id, request_id: this.requestId, stream, type, data: data ?? {} })
    this.renew()
  }

  then<A = Receipt, B = never>(
    fulfilled?: ((receipt: Receipt) => A | PromiseLike<A>) | null,
    rejected?: ((why: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#settled.then(fulfilled, rejected)
  }

  /** Gives it up. It may have taken effect, if it was sent. */
  discard(): void {
    this.list.discard(this)
  }

  /** Marks it as rejected: for an application that sent it another way, as by REST under the same request id. */
  fail(problem: Problem): void {
    this.list.rejected(this, problem)
  }

  /** Sends a failed command again, with the same request id and the same bytes. Await it anew. */
  retry(): this {
    this.list.retry(this)
    return this
  }

  /** @internal */
  renew(): void {
    this.state = 'waiting'
    this.problem = this.receipt = undefined
    this.#settled = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.#settled.catch(() => {}) // whoever awaits it learns of it
  }
}

/** What the list needs of its client. @internal */
export interface CommandsOwner {
  readonly platform: Platform
  /** Commands were added, or changed. */
  pendingChanged(): void
  /** How far the application has handled a stream; undefined if it does not follow it. */
  handledUpTo(stream: string): number | undefined
}

/**
 * The commands that wait for an answer, and those that are answered but not yet
 * seen in their stream: an application lays them over the log. They are matched
 * by request id only. @internal
 */
export class Commands {
  list: readonly Command[] = []
  #pace: Pace
  #timer: Timer
  #ids = 0
  #send: ((frame: string) => boolean) | undefined

  constructor(private readonly owner: CommandsOwner) {
    this.#pace = new Pace(owner.platform)
    this.#timer = new Timer(owner.platform, () => this.flush())
  }

  /** Something waits to be sent or answered. */
  get unanswered(): boolean {
    return this.list.some(c => c.state === 'waiting' || c.state === 'sent')
  }

  add(request: CommandRequest): Command {
    const command = new Command(this, this.owner.platform, `c${++this.#ids}`, request)
    this.list = [...this.list, command]
    if (new TextEncoder().encode(command.frame).length > longestFrame) {
      this.#fail(command, new Problem({ status: 413, code: 'too_large', detail: 'The command does not fit into a frame of 64 KiB.' }))
    }
    this.flush()
    this.owner.pendingChanged()
    return command
  }

  /** A connection can carry commands: all without an answer are sent, in order. */
  attach(send: (frame: string) => boolean): void {
    this.#send = send
    this.#unsend()
    this.flush()
  }

  /** The connection is gone. What was sent may or may not have taken effect. */
  detach(): void {
    this.#send = undefined
    this.#unsend()
  }

  #unsend(): void {
    for (const command of this.list) if (command.state === 'sent') command.state = 'waiting'
  }

  /** Sends what may be sent now: of each stream one command, so that none overtakes one that has to be repeated. */
  flush(): void {
    const wait = this.#pace.wait()
    if (wait > 0) return this.#timer.set(wait)
    const busy = new Set(this.list.filter(c => c.state === 'sent').map(c => c.stream))
    for (const command of this.list) {
      if (command.state !== 'waiting' || busy.has(command.stream)) continue
      if (busy.size >= mostOnTheWay || !this.#send?.(command.frame)) return
      command.state = 'sent'
      busy.add(command.stream)
    }
  }

  /** An answer came. Returns false if it answers no command. */
  answered(frame: Ack | ErrorFrame): boolean {
    const command = this.list.find(c => c.id === frame.id && c.state === 'sent')
    if (!command) return false
    if (frame.op === 'ack') {
      this.#pace.succeed()
      this.#succeed(command, frame.receipt)
    } else {
      const problem = new Problem(frame.problem)
      if (problem.unknown) {
        command.state = 'waiting'
        this.#pace.fail(problem.retryAfter)
      } else this.#fail(command, problem)
    }
    this.flush()
    this.owner.pendingChanged()
    return true
  }

  #succeed(command: Command, receipt: Receipt): void {
    command.state = 'done'
    command.receipt = receipt
    command.resolve(receipt)
    const last = receipt.seq[1]
    const handled = this.owner.handledUpTo(command.stream)
    if (command.seen || last === undefined || handled === undefined || handled >= last) this.#remove(command)
  }

  #fail(command: Command, problem: Problem | UnknownOutcome): void {
    command.state = 'failed'
    command.problem = problem
    command.reject(problem)
  }

  /** Events are about to be handled: what they answer is no longer an echo. Its receipt may come later. */
  seen(stream: string, events: readonly StreamEvent[]): void {
    const ids = new Set(events.map(e => e.request_id))
    this.#hide(c => c.stream === stream && ids.has(c.requestId))
  }

  /** The stream was handled up to here. */
  reached(stream: string, seq: number): void {
    this.#hide(c => c.stream === stream && c.state === 'done' && (c.receipt?.seq[1] ?? 0) <= seq)
  }

  #hide(which: (command: Command) => boolean): void {
    const found = this.list.filter(which)
    for (const command of found) {
      if (command.state === 'done') this.#remove(command)
      else command.seen = true
    }
    if (found.length > 0) this.owner.pendingChanged()
  }

  discard(command: Command): void {
    if (!this.list.includes(command)) return
    this.#remove(command)
    if (command.state !== 'failed') command.reject(new UnknownOutcome(command.requestId, 'it was discarded'))
    this.owner.pendingChanged()
  }

  rejected(command: Command, problem: Problem): void {
    if (command.state === 'failed' || !this.list.includes(command)) return
    this.#fail(command, problem)
    this.owner.pendingChanged()
  }

  retry(command: Command): void {
    if (command.state !== 'failed' || !this.list.includes(command)) return
    command.renew()
    this.flush()
    this.owner.pendingChanged()
  }

  /** The server closed the connection because of a frame: those that were sent must not be repeated. */
  failSent(why: string): void {
    for (const command of this.list) {
      if (command.state === 'sent') this.#fail(command, new UnknownOutcome(command.requestId, why))
    }
    this.owner.pendingChanged()
  }

  close(): void {
    this.#timer.clear()
    this.#send = undefined
    const list = this.list
    this.list = []
    for (const c of list) if (c.state !== 'failed' && c.state !== 'done') c.reject(new UnknownOutcome(c.requestId, 'the client was closed'))
  }

  #remove(command: Command): void {
    this.list = this.list.filter(c => c !== command)
  }
}
