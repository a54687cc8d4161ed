import { defaultTimes, type Times } from './times.js'

/** The events of a page's life to which a client reacts. */
export type LifeEvent = 'online' | 'offline' | 'visibilitychange' | 'pageshow' | 'pagehide' | 'freeze' | 'resume'

/** What a client uses of a WebSocket. */
export interface Socket {
  readonly readyState: number
  readonly protocol: string
  readonly bufferedAmount: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send(text: string): void
  close(code?: number): void
}

/**
 * Everything outside this package that a client uses. Hand in parts of it to
 * add what the environment lacks, such as a WebSocket in Node 20, or all of it
 * to test.
 */
export interface Platform {
  /** Milliseconds since 1970, by a clock that may be set. */
  now(): number
  /** Milliseconds by a clock that only goes forward, and may stand still while the machine sleeps. */
  mono(): number
  /** At least 0, less than 1. */
  random(): number
  setTimeout(run: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  fetch(url: string, init: RequestInit): Promise<Response>
  WebSocket?: new (url: string, protocols: string[]) => Socket
  randomBytes(length: number): Uint8Array
  /** Calls run at each such event, and returns a function that ends this. */
  listen(type: LifeEvent, run: (event: { persisted?: boolean }) => void): () => void
  /** False if the system is sure to have no network. */
  online(): boolean
  /** True if nobody sees the page. */
  hidden(): boolean
  times: Times
}

/** The platform of a browser or of Node. */
export function defaultPlatform(): Platform {
  const scope = globalThis as any
  const { document, navigator, WebSocket } = scope
  return {
    now: () => Date.now(),
    mono: () => performance.now(),
    random: () => Math.random(),
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: timer => clearTimeout(timer as number),
    fetch: (url, init) => fetch(url, init),
    WebSocket,
    randomBytes: length => crypto.getRandomValues(new Uint8Array(length)),
    listen(type, run) {
      const ofDocument = type === 'visibilitychange' || type === 'freeze' || type === 'resume'
      const target = document && (ofDocument ? document : scope)
      target?.addEventListener(type, run)
      return () => target?.removeEventListener(type, run)
    },
    online: () => navigator?.onLine !== false,
    hidden: () => document?.visibilityState === 'hidden',
    times: defaultTimes,
  }
}

/** The longest wait that setTimeout can hold; a longer one would end at once. */
const longestTimeout = 2 ** 31 - 1

/**
 * One call that is due later. It may come early, if the wait is longer than
 * setTimeout can hold, or late, if the page was throttled or frozen: what it
 * calls judges by the clock.
 */
export class Timer {
  #id: unknown

  constructor(
    private readonly platform: Platform,
    private readonly run: () => void,
  ) {}

  set(ms: number): void {
    this.clear()
    this.#id = this.platform.setTimeout(() => {
      this.#id = undefined
      this.run()
    }, Math.min(Math.max(ms, 0), longestTimeout))
  }

  clear(): void {
    if (this.#id !== undefined) this.platform.clearTimeout(this.#id)
    this.#id = undefined
  }
}

/** A new UUIDv7. crypto.randomUUID is missing on pages without HTTPS. */
export function requestId(platform: Platform): string {
  const bytes = platform.randomBytes(16)
  let time = platform.now()
  for (let i = 5; i >= 0; i--) {
    bytes[i] = time % 256
    time = Math.floor(time / 256)
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, b => b.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
