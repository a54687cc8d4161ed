import type { Commands } from './commands.js'
import type { Follow } from './follow.js'
import type { End, Link, LinkHost, Transport, Why } from './link.js'
import { Pace } from './pace.js'
import { PollLink } from './poll.js'
import { Timer, type LifeEvent, type Platform } from './platform.js'
import { Problem, SignedOut } from './problem.js'
import { SSELink } from './sse.js'
import type { Tokens } from './tokens.js'
import { WebSocketLink } from './websocket.js'
import type { AccessRevoked, Error as ErrorFrame, ResyncRequired, ServerFrame, Signalled } from './wire.js'

/** The state of a client's connection. */
export interface State {
  /**
   * "idle": nothing to do. "connecting". "online". "waiting" for the next try
   * at retryAt. "offline": the same, and the system has no network. "ended":
   * no further try; reason says why.
   */
  name: 'idle' | 'connecting' | 'online' | 'waiting' | 'offline' | 'ended'
  transport?: Transport
  /** When the next try starts, in ms since 1970. */
  retryAt?: number
  /** Why the last try ended, in words. */
  reason?: string
  /** What the server answered, or the provider threw. */
  error?: unknown
}

/** What a connection needs of its client. @internal */
export interface ConnectionOwner {
  readonly platform: Platform
  readonly tokens: Tokens
  readonly ticket: (() => Promise<string>) | undefined
  readonly transports: readonly Transport[]
  readonly commands: Commands
  address(path: string, query?: URLSearchParams): string
  follows(): Iterable<Follow>
  stateChanged(state: State): void
  signalled(signal: Signalled): void
}

const mostStrikes = 3 // links in a row that delivered nothing: the next transport
const mostUnauthorized = 2 // tokens in a row that were rejected
const badFrameCodes = [1002, 1003, 1007, 1009]

/**
 * Keeps a client connected. There is at most one link, and at most one
 * candidate of a better transport beside it. Whatever happens, only wake()
 * starts a link, and only when its pace allows. What an earlier link reports is
 * dropped. @internal
 */
export class Connection implements LinkHost {
  state: State = { name: 'idle' }
  #link: Link | undefined
  #candidate: Link | undefined
  #level = 0 // the transport that worked last
  #climbAt = 0
  #strikes = 0
  #unauthorized = 0
  #ended = false
  #last: Pick<State, 'reason' | 'error'> = {}
  #pace: Pace
  #timer: Timer
  #listening: Array<() => void>

  constructor(private readonly owner: ConnectionOwner) {
    const { platform } = owner
    this.#pace = new Pace(platform)
    this.#timer = new Timer(platform, () => this.wake())
    const on = (type: LifeEvent, run: (event: { persisted?: boolean }) => void) => platform.listen(type, run)
    this.#listening = [
      on('online', () => this.#awake('network')),
      on('offline', () => this.#link?.check('look')),
      on('visibilitychange', () => platform.hidden() || this.#awake('look')),
      on('pageshow', event => event.persisted && this.#awake('frozen')),
      on('resume', () => this.#awake('frozen')),
    ]
  }

  // What links ask for.

  get platform(): Platform { return this.owner.platform }
  get tokens(): Tokens { return this.owner.tokens }
  get ticket(): (() => Promise<string>) | undefined { return this.owner.ticket }

  address(path: string, query?: URLSearchParams): string {
    return this.owner.address(path, query)
  }

  ready(): Follow[] {
    return [...this.owner.follows()].filter(f => f.ready)
  }

  // When to do what.

  /** Looks at the clock and does what is due. It may be called at any time, any number of times. */
  wake(): void {
    this.#timer.clear()
    if (this.#ended) return
    const pulling = this.#link && this.#link.transport !== 'websocket'
    if (pulling && this.ready().length === 0) this.#hangUp() // it would have nothing to ask for
    if (this.#link) this.#tend(this.#link)
    else if (!this.#needed()) this.#show({ name: 'idle' })
    else if (this.#pace.wait() > 0) this.#sleep(this.#pace.wait())
    else this.#connect()
  }

  /** There is something to follow or to send. */
  #needed(): boolean {
    return [...this.owner.follows()].length > 0 || this.owner.commands.unanswered
  }

  /** Waits for the next try. */
  #sleep(wait: number): void {
    this.#timer.set(wait)
    const name = this.platform.online() ? 'waiting' : 'offline'
    this.#show({ name, retryAt: this.platform.now() + wait, ...this.#last })
  }

  /** Looks after the link: streams that may be asked for again, better transports. */
  #tend(link: Link): void {
    const waits = this.#waits()
    link.update()
    if (this.#level > 0 && link.good && !this.#candidate) {
      const left = this.#climbAt - this.platform.mono()
      if (left <= 0) return this.#climb(0)
      waits.push(left)
    }
    if (waits.length > 0) this.#timer.set(Math.min(...waits))
  }

  /** How long streams must wait before they may be asked for. It is read before what it decides: time passes in between. */
  #waits(): number[] {
    return [...this.owner.follows()].map(f => f.pace.wait()).filter(wait => wait > 0)
  }

  /** Starts a link. */
  #connect(): void {
    const { transports } = this.owner
    const waits = this.#waits()
    if (this.ready().length === 0) {
      if (!this.owner.commands.unanswered) {
        if (waits.length > 0) this.#sleep(Math.min(...waits))
        return
      }
      if (transports[0] === 'websocket') this.#level = 0 // the others carry no commands
    }
    this.#pace.begin()
    const link = (this.#link = this.#make(this.#level))
    this.#show({ name: 'connecting', transport: link.transport, ...this.#last })
    link.open()
  }

  #make(level: number): Link {
    switch (this.owner.transports[level]) {
      case 'websocket': return new WebSocketLink(this)
      case 'sse': return new SSELink(this)
      default: return new PollLink(this)
    }
  }

  /** Tries a better transport beside the link that works. */
  #climb(level: number): void {
    this.#climbAt = this.platform.mono() + this.platform.times.climb
    this.#candidate = this.#make(level)
    this.#candidate.open()
    this.#timer.set(this.platform.times.climb)
  }

  #hangUp(): void {
    this.#link?.close()
    this.#candidate?.close()
    this.#link = this.#candidate = undefined
    this.owner.commands.detach()
  }

  /** The page woke up, or the network changed. */
  #awake(why: Why): void {
    if (this.#link?.good) this.#link.check(why)
    else this.#pace.hurry()
    this.wake()
  }

  // What links report.

  /** A link has delivered its first frame. If it is the candidate, it takes over. */
  works(link: Link): void {
    if (link === this.#candidate) {
      this.#link?.close()
      this.#link = link
      this.#candidate = undefined
      this.#level = this.owner.transports.indexOf(link.transport)
    }
    if (link !== this.#link) return
    this.#strikes = this.#unauthorized = 0
    this.#climbAt = this.platform.mono() + this.platform.times.climb
    this.#last = {}
    this.#show({ name: 'online', transport: link.transport })
    this.wake()
  }

  ended(link: Link, end: End): void {
    if (end.token && isUnauthorized(end)) this.tokens.refuse(end.token)
    if (link === this.#candidate) {
      this.#candidate = undefined
      const next = this.owner.transports.indexOf(link.transport) + 1
      if (next < this.#level && this.#link?.good) this.#climb(next)
      return
    }
    if (link !== this.#link) return
    if (badFrameCodes.includes(end.code!)) this.owner.commands.failSent(end.reason)
    this.#hangUp()
    this.#last = { reason: end.reason, error: end.problem ?? end.error }
    if (this.#final(end)) return this.end({ name: 'ended', ...this.#last })
    const next = this.#nextLevel(link, end)
    if (link.good && this.platform.mono() - link.since > this.platform.times.lasting) this.#pace.succeed()
    if (next <= this.#level || !end.blocked) this.#pace.fail(end.wait ?? end.problem?.retryAfter)
    this.#level = next
    this.wake()
  }

  /** No further try would help. */
  #final(end: End): boolean {
    if (isUnauthorized(end)) return ++this.#unauthorized > mostUnauthorized
    const forbidden = end.problem?.status === 403 && end.problem.code !== ''
    return end.error instanceof SignedOut || end.code === 4400 || forbidden
  }

  /** A transport that delivers nothing is left for the next one, and the last one for the first. */
  #nextLevel(link: Link, end: End): number {
    const answered = end.problem !== undefined && end.problem.code !== ''
    const unreachable = link.transport === 'websocket' && !end.blocked && end.code === undefined
    if (link.good || answered || unreachable) return this.#level
    if (!end.blocked && ++this.#strikes < mostStrikes) return this.#level
    this.#strikes = 0
    return (this.#level + 1) % this.owner.transports.length
  }

  received(link: Link, frame: ServerFrame): void {
    if (link !== this.#link) return
    if (frame.op === 'welcome') return this.#welcomed(link as WebSocketLink, frame.heartbeat_ms)
    if (frame.op === 'going_away') return link.away(frame.retry_after_ms)
    if ((frame.op === 'ack' || frame.op === 'error') && this.owner.commands.answered(frame)) return this.#progress()
    const follow = link.carries(frame)
    if (!follow) return
    switch (frame.op) {
      case 'subscribed': {
        const fault = follow.begun(frame.cursor)
        if (fault) link.fail({ reason: fault })
        return
      }
      case 'events':
        return this.#events(link, follow, follow.accept(frame))
      case 'signal':
        return this.owner.signalled(frame)
      case 'access_revoked':
      case 'resync_required':
      case 'error':
        return this.#over(link, follow, frame)
    }
  }

  /** The server has ended the subscription of a stream. */
  #over(link: Link, follow: Follow, frame: AccessRevoked | ResyncRequired | ErrorFrame): void {
    const problem = frame.op === 'error' ? new Problem(frame.problem) : undefined
    if (problem?.status === 401) return link.fail({ reason: problem.message, problem })
    link.over(follow)
    if (problem) follow.refused(problem)
    else if (frame.op === 'access_revoked') follow.revoked()
    else if (frame.op === 'resync_required') {
      if (frame.reason === 'read_failed') follow.pace.fail() // its cursor stays valid
      else follow.reset(frame.reason)
    }
    this.wake()
  }

  #welcomed(link: WebSocketLink, heartbeat: number): void {
    link.heartbeat(heartbeat)
    this.owner.commands.attach(frame => link.send(frame))
    link.update()
  }

  #events(link: Link, follow: Follow, outcome: ReturnType<Follow['accept']>): void {
    if (outcome === 'fresh') this.#progress()
    if (outcome === 'gap') follow.pace.fail()
    if (outcome === 'gap' || outcome === 'paused') {
      link.drop(follow)
      this.wake()
    }
  }

  /** Something arrived that moves the application on. */
  #progress(): void {
    this.#pace.succeed()
  }

  // The end.

  /** Sends a signal, if that is possible now. */
  signal(stream: string, type: string): boolean {
    const link = this.#link
    return link instanceof WebSocketLink && link.signal(stream, type)
  }

  /** Reports what the user looks at, if that is possible now. */
  active(stream: string | null): boolean {
    const link = this.#link
    return link instanceof WebSocketLink && link.active(stream)
  }

  /** Tries now, also after an end that was not the application's own. */
  retry(): void {
    this.#ended = false
    this.#unauthorized = 0
    this.#pace.hurry()
    this.wake()
  }

  /** Stops trying. */
  end(state: State): void {
    this.#ended = true
    this.#timer.clear()
    this.#hangUp()
    this.#show(state)
  }

  /** Ends for good: nothing comes back to life. */
  close(): void {
    for (const off of this.#listening) off()
    this.#listening = []
    this.end({ name: 'ended', reason: 'closed' })
  }

  #show(state: State): void {
    const was = this.state
    this.state = state
    const same = was.name === state.name && was.transport === state.transport && was.reason === state.reason
    const moved = Math.abs((was.retryAt ?? 0) - (state.retryAt ?? 0)) > 20 // less is the rounding of timers
    if (!same || moved) this.owner.stateChanged(state)
  }
}

function isUnauthorized(end: End): boolean {
  return end.problem?.status === 401 || end.code === 4401
}
