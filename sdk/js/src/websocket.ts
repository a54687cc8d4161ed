import type { Follow } from './follow.js'
import { Link, type LinkHost } from './link.js'
import { requestId, Timer, type Socket } from './platform.js'
import { problemOf } from './problem.js'

const subprotocol = 'gotong.v1'
const defaultHeartbeat = 25_000
const leastHeartbeat = 100 // ms: a server cannot make a client ping without a pause
const closeFollowsError = 1000 // ms: some sockets report an error and never a close

/** Follows streams and sends commands over a WebSocket. */
export class WebSocketLink extends Link {
  readonly transport = 'websocket'
  #socket: Socket | undefined
  #opened = false
  #heartbeat = defaultHeartbeat
  #ids = 0
  // The watch is set anew from each frame: a timer that is set while a message
  // is handled stays exact in a hidden page, an interval does not.
  #watch: Timer
  #pingDue: number | undefined
  #lateOnce = false
  #asking = false

  constructor(host: LinkHost) {
    super(host)
    this.#watch = new Timer(host.platform, () => this.#look())
  }

  protected async begin(): Promise<void> {
    const { host } = this
    const query = new URLSearchParams()
    if (host.ticket) query.set('ticket', await host.ticket())
    else this.token = await host.tokens.get()
    if (this.closed) return
    const url = host.address('/v1/realtime/ws', query).replace(/^http/, 'ws')
    let socket: Socket
    try {
      socket = new host.platform.WebSocket!(url, [subprotocol])
    } catch (error) {
      return this.fail({ reason: String(error), blocked: true })
    }
    this.#socket = socket
    socket.onopen = () => {
      this.#opened = true
      if (socket.protocol !== subprotocol) this.fail({ reason: 'not a Gotong server', blocked: true })
      else if (this.token) socket.send(JSON.stringify({ op: 'auth', token: this.token }))
    }
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') return this.fail({ reason: 'a binary frame' })
      this.#watch.set(this.#heartbeat)
      this.#pingDue = undefined
      this.#lateOnce = false
      this.deliver(data)
    }
    const dead = new Timer(host.platform, () => void this.#ended(1006, ''))
    socket.onerror = () => dead.set(closeFollowsError)
    socket.onclose = ({ code, reason }) => {
      dead.clear()
      void this.#ended(code, reason)
    }
  }

  /** The welcome names the interval of the server's signs of life. */
  heartbeat(ms: number): void {
    if (ms >= leastHeartbeat) this.#heartbeat = ms
    this.#watch.set(this.#heartbeat)
  }

  override send(text: string): boolean {
    const socket = this.#socket
    if (this.closed || !socket || socket.readyState !== 1) return false
    socket.send(text)
    return true
  }

  update(): void {
    if (!this.good) return
    for (const { follow } of [...this.carried.values()]) if (follow.closed) this.drop(follow)
    for (const follow of this.host.ready()) {
      const carried = this.carried.get(follow.stream)
      if (carried?.follow === follow) continue
      if (carried) this.drop(carried.follow)
      const id = `s${++this.#ids}`
      if (!this.send(JSON.stringify({ op: 'subscribe', id, stream: follow.stream, cursor: follow.from }))) continue
      follow.pace.begin()
      this.carried.set(follow.stream, { follow, id, live: false })
    }
  }

  override drop(follow: Follow): void {
    if (this.carried.get(follow.stream)?.follow !== follow) return
    super.drop(follow)
    this.send(JSON.stringify({ op: 'unsubscribe', id: `u${++this.#ids}`, stream: follow.stream }))
  }

  /** Sends a signal to the others who follow a stream. It may be lost. */
  signal(stream: string, type: string): boolean {
    const free = this.#socket !== undefined && this.#socket.bufferedAmount < 16 << 10
    return free && this.carried.get(stream)?.live === true && this.send(JSON.stringify({ op: 'signal', stream, type }))
  }

  active(stream: string | null): boolean {
    return this.good && this.send(JSON.stringify({ op: 'active', ...(stream !== null && { stream }) }))
  }

  check(): void {
    if (this.good) this.#ping(this.host.platform.times.pongSoon)
  }

  /** Asks for a sign of life. After a long silence, as in sleep, there is little time left for it. */
  #ping(within: number): void {
    if (this.silence > 2 * this.#heartbeat) within = Math.min(within, this.host.platform.times.wake)
    this.send('{"op":"ping","id":"p"}')
    this.#pingDue = this.host.platform.mono() + within
    this.#watch.set(within)
  }

  /** Nothing was received for a while. The clock decides what that means. */
  #look(): void {
    const { platform } = this.host
    const { pong, wake } = platform.times
    const now = platform.mono()
    if (this.#pingDue === undefined) {
      this.#ping(pong)
    } else if (now < this.#pingDue) {
      this.#watch.set(this.#pingDue - now)
    } else if (now > this.#pingDue + wake && !this.#lateOnce) {
      // This call came late: the page was throttled or frozen, and the answer
      // may be queued behind it.
      this.#lateOnce = true
      this.#ping(wake)
    } else {
      this.fail({ reason: 'nothing was received from the server' })
    }
  }

  override close(): void {
    super.close()
    this.#watch.clear()
    const socket = this.#socket
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.onerror = () => {} // in Node, an error that nobody handles ends the program
    try {
      socket.close(1000)
    } catch {
      // It never opened.
    }
  }

  protected override late(): void {
    if (this.#opened || this.#asking) this.fail({ reason: 'no answer in time', code: this.#opened ? 1006 : undefined })
    else void this.#refused()
  }

  async #ended(code: number, reason: string): Promise<void> {
    if (this.closed) return
    if (!this.#opened) return this.#refused()
    const [, wait] = /retry_after_ms[ :=]*(\d+)/.exec(reason ?? '') ?? []
    this.fail({ reason: `closed ${code} ${reason ?? ''}`.trim(), code, wait: wait ? Number(wait) : undefined })
  }

  /**
   * A page does not learn why an upgrade was refused. The ticket operation says why:
   * it fails as the upgrade would have, or shows that the server can be reached.
   */
  async #refused(): Promise<void> {
    const reason = 'the WebSocket could not be opened'
    if (this.#asking) return
    if (!this.token) return this.fail({ reason, code: 1006 })
    const { host } = this
    this.#asking = true
    this.expect()
    try {
      const answer = await host.platform.fetch(host.address('/v1/realtime/tickets'), {
        method: 'POST',
        headers: { authorization: `Bearer ${this.token}`, 'idempotency-key': requestId(host.platform) },
      })
      if (answer.ok) return this.fail({ reason, blocked: true })
      const problem = await problemOf(answer)
      this.fail({ reason: problem.message, problem })
    } catch {
      this.fail({ reason: 'the server cannot be reached' })
    }
  }
}
