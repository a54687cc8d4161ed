import { Client, type ClientOptions, type State } from '../src/index.js'
import { defaultTimes } from '../src/times.js'
import type { LifeEvent, Platform, Socket } from '../src/platform.js'

/** A socket whose other end is the test. */
export class FakeSocket implements Socket {
  readyState = 0
  protocol = 'gotong.v1'
  bufferedAmount = 0
  onopen: ((event: any) => void) | null = null
  onmessage: ((event: any) => void) | null = null
  onerror: ((event: any) => void) | null = null
  onclose: ((event: any) => void) | null = null
  readonly sent: any[] = []
  readonly raw: string[] = []
  closed = false

  constructor(
    private readonly world: World,
    readonly url: string,
  ) {
    if (!world.countSubscriptions) world.attempts.push(world.time)
    world.sockets.push(this)
    world.onSocket?.(this)
  }

  send(text: string): void {
    this.raw.push(text)
    this.sent.push(JSON.parse(text))
    this.world.onFrame?.(this, JSON.parse(text))
  }

  close(): void {
    this.closed = true
    this.readyState = 3
  }

  // What the test's server does.

  open(): this {
    this.readyState = 1
    this.onopen?.({})
    return this
  }

  welcome(): this {
    if (this.readyState === 0) this.open()
    return this.say({ op: 'welcome', session: 'S', epoch: 'aaaa', heartbeat_ms: 25_000 })
  }

  say(frame: object): this {
    this.onmessage?.({ data: JSON.stringify(frame) })
    return this
  }

  end(code = 1006, reason = ''): void {
    this.readyState = 3
    this.onerror?.({})
    this.onclose?.({ code, reason })
  }

  /** Answers the newest subscription of a stream. */
  subscribed(stream = thread, cursor = 'aaaa:0'): this {
    const ask = this.of('subscribe').filter(f => f.stream === stream).pop()
    return this.say({ op: 'subscribed', id: ask.id, stream, cursor, head: 0 })
  }

  /** Sends the events with from < seq <= to. */
  events(from: number, to: number, stream = thread): this {
    return this.say(eventsFrame(from, to, stream))
  }

  of(op: string): any[] {
    return this.sent.filter(frame => frame.op === op)
  }
}

export const thread = 'thread/one'

export function eventsFrame(from: number, to: number, stream = thread): object {
  const events = Array.from({ length: to - from }, (_, i) => {
    const seq = from + 1 + i
    return { seq, id: `e${seq}`, type: 'message.posted', request_id: `r${seq}`, data: { n: seq, body: `b${seq}` } }
  })
  return { op: 'events', stream, from, to, events }
}

/** A platform in which time passes only when the test says so. */
export class World {
  time = 0
  /** How far the wall clock has gone while the monotonic one stood still. */
  slept = 0
  hidden = false
  online = true
  randomness: () => number = () => 0.5
  sockets: FakeSocket[] = []
  onSocket: ((socket: FakeSocket) => void) | undefined
  onFrame: ((socket: FakeSocket, frame: any) => void) | undefined
  /** Answers requests. */
  serve: (request: FakeRequest) => Response | Promise<Response> = () => new Promise(() => {})
  requests: FakeRequest[] = []
  /** When connections and requests of the realtime addresses began. */
  attempts: number[] = []
  /** Attempts are subscriptions, not connections. */
  countSubscriptions = false
  states: State[] = []
  readonly #timers = new Map<number, { at: number; run: () => void }>()
  readonly #listeners = new Map<LifeEvent, Set<(event: any) => void>>()
  #ids = 0
  #bytes = 0

  readonly platform: Platform = ((world: World) => ({
    now: () => 1_700_000_000_000 + world.time + world.slept,
    mono: () => world.time,
    random: () => world.randomness(),
    setTimeout(run: () => void, ms: number) {
      if (!(ms >= 0 && ms <= 2 ** 31 - 1)) throw new Error(`a timer of ${ms} ms`)
      world.#timers.set(++world.#ids, { at: world.time + ms, run })
      return world.#ids
    },
    clearTimeout: (id: unknown) => void world.#timers.delete(id as number),
    fetch: (url: string, init: RequestInit) => world.#fetch(url, init),
    WebSocket: class extends FakeSocket {
      constructor(url: string) {
        super(world, url)
      }
    },
    randomBytes: (length: number) => new Uint8Array(length).map(() => (world.#bytes = (world.#bytes * 5 + 1) % 251)),
    listen(type: LifeEvent, run: (event: any) => void) {
      const all = world.#listeners.get(type) ?? new Set()
      world.#listeners.set(type, all.add(run))
      return () => void all.delete(run)
    },
    online: () => world.online,
    hidden: () => world.hidden,
    times: defaultTimes,
  }))(this)

  get socket(): FakeSocket {
    return this.sockets.at(-1)!
  }

  get timers(): number {
    return this.#timers.size
  }

  get listeners(): number {
    return [...this.#listeners.values()].reduce((n, all) => n + all.size, 0)
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const request = new FakeRequest(url, init)
    this.requests.push(request)
    if (/realtime\/(sse|poll)/.test(url)) this.attempts.push(this.time)
    const answer = await Promise.race([this.serve(request), request.aborted])
    if (!answer.body || !init.signal) return answer
    const body = answer.body.pipeThrough(new TransformStream(), { signal: init.signal })
    return new Response(body, { status: answer.status, headers: answer.headers })
  }

  /** A client of this world. */
  client(options: Partial<ClientOptions> = {}): Client {
    const client = new Client({ url: 'http://gotong.example', token: () => 't1', platform: this.platform, ...options })
    client.on('state', state => this.states.push(state))
    return client
  }

  emit(type: LifeEvent, event: object = {}): void {
    for (const run of [...(this.#listeners.get(type) ?? [])]) run(event)
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) await new Promise(resolve => setImmediate(resolve))
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.time + ms
    await this.settle()
    for (;;) {
      const next = [...this.#timers].filter(([, t]) => t.at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0]
      if (!next) break
      this.#timers.delete(next[0])
      this.time = Math.max(this.time, next[1].at)
      next[1].run()
      await this.settle()
    }
    this.time = end
  }

  /** The page does not run for so long; then all that was due comes at once. */
  async freeze(ms: number): Promise<void> {
    this.time += ms
    await this.pass(0)
  }
}

export class FakeRequest {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: string | undefined
  readonly aborted: Promise<never>

  constructor(url: string, readonly init: RequestInit) {
    this.url = new URL(url)
    this.method = init.method ?? 'GET'
    this.headers = new Headers(init.headers)
    this.body = init.body as string | undefined
    this.aborted = new Promise((_, reject) => {
      init.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
    })
    this.aborted.catch(() => {})
  }

  get path(): string {
    return this.url.pathname
  }
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return json({ type: '', title: '', status, code, detail: '', trace_id: '' }, status, { 'content-type': 'application/problem+json', ...headers })
}

/** The server's end of an event stream. */
export class FakeStream {
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #body = new ReadableStream<Uint8Array>({ start: controller => void (this.#controller = controller) })

  response(): Response {
    return new Response(this.#body, { headers: { 'content-type': 'text/event-stream' } })
  }

  write(text: string): void {
    this.#controller.enqueue(new TextEncoder().encode(text))
  }

  say(frame: object): void {
    this.write(`data: ${JSON.stringify(frame)}\n\n`)
  }

  end(): void {
    this.#controller.close()
  }

  cut(): void {
    this.#controller.error(new TypeError('network error'))
  }
}
