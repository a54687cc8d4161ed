import type { Follow } from './follow.js'
import { HTTPLink } from './http.js'
import type { Why } from './link.js'
import { Timer } from './platform.js'
import { problemOf } from './problem.js'

const longestEvent = 16 << 20 // characters

/**
 * Follows streams over server-sent events, read by fetch: EventSource cannot
 * send a header, hides the status of a refusal and repeats a spent ticket. It
 * makes one request, and up to two more while some streams have no cursor yet.
 */
export class SSELink extends HTTPLink {
  readonly transport = 'sse'
  #watch = new Timer(this.host.platform, () => this.#look())
  #woken = false

  protected async round(signal: AbortSignal): Promise<void> {
    this.hear()
    this.#watch.set(this.host.platform.times.silence)
    const { placed, start, now } = this.batches()
    await Promise.all([placed, start, now].filter(list => list.length > 0).map(list => this.#read(list, signal)))
  }

  async #read(follows: Follow[], signal: AbortSignal): Promise<void> {
    const answer = await this.request('/v1/realtime/sse', follows, signal)
    if (this.closed) return
    if (!answer.ok) return this.refused(follows, await problemOf(answer))
    if (!answer.headers.get('content-type')?.startsWith('text/event-stream') || !answer.body) {
      return this.fail({ reason: 'no event stream', blocked: true })
    }
    const reader = answer.body.getReader()
    const text = new TextDecoder()
    const parser = new EventParser(data => this.deliver(data))
    for (;;) {
      const { done, value } = await reader.read()
      if (this.closed || signal.aborted) return
      if (done || parser.size > longestEvent) return this.fail({ reason: 'the event stream ended' })
      this.hear()
      this.#woken = false
      parser.push(text.decode(value, { stream: true }))
    }
  }

  /** In a page that was frozen, a body that was being read stalls for ever, without an error; on a network that is gone, it may. */
  check(why: Why): void {
    if (why === 'look') this.#look()
    else this.fail({ reason: why === 'frozen' ? 'the page was frozen' : 'the network changed' })
  }

  /** Nothing was received for a while, or the page woke up. The clock decides what that means. */
  #look(): void {
    const { silence, wake } = this.host.platform.times
    const left = silence - this.silence
    if (left > 0) return this.#watch.set(left)
    if (this.#woken) return this.fail({ reason: 'nothing was received from the server' })
    this.#woken = true // what is queued may arrive first
    this.#watch.set(wake)
  }

  override close(): void {
    super.close()
    this.#watch.clear()
  }
}

/** Reads the data of server-sent events (WHATWG HTML, section 9.2.6). An event without its final blank line is dropped. */
export class EventParser {
  #line = ''
  #data: string[] = []
  #afterCR = false
  /** The length of what has not become an event yet. */
  size = 0

  constructor(private readonly event: (data: string) => void) {}

  push(text: string): void {
    if (text === '') return
    const rest = this.#afterCR && text.startsWith('\n') ? text.slice(1) : text
    this.#afterCR = rest.endsWith('\r')
    this.size += rest.length
    const lines = (this.#line + rest).split(/\r\n|\r|\n/)
    this.#line = lines.pop()!
    for (const line of lines) this.#take(line)
  }

  #take(line: string): void {
    if (line === '') {
      const data = this.#data
      this.#data = []
      this.size = 0
      if (data.length > 0) this.event(data.join('\n'))
    } else if (line === 'data' || line.startsWith('data:')) {
      this.#data.push(line.slice(5).replace(/^ /, ''))
    }
  }
}
