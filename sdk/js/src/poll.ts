import { HTTPLink } from './http.js'
import type { Why } from './link.js'
import { formatCursor, unpackCursors } from './cursor.js'
import type { Follow } from './follow.js'
import { Timer } from './platform.js'
import type { ServerFrame } from './wire.js'
import { problemOf } from './problem.js'

/** The answer of a poll. */
interface Answer {
  cursor: string
  frames: unknown[]
}

/** Follows streams by one request after the other. */
export class PollLink extends HTTPLink {
  readonly transport = 'poll'
  #watch = new Timer(this.host.platform, () => this.#look())
  #due = 0

  protected async round(signal: AbortSignal): Promise<void> {
    const { placed, start, now } = this.batches()
    for (const list of [start, now]) if (list.length > 0 && !(await this.#place(list, signal))) return
    if (placed.length === 0) return
    const { platform } = this.host
    const { poll, quick } = platform.times
    const started = platform.mono()
    // The first answer comes at once: it shows that polling works.
    const asked = this.good ? poll : 0
    const answer = await this.#ask(placed, signal, asked)
    if (!answer || this.closed) return
    const atOnce = asked > 0 && platform.mono() - started < quick
    const before = this.#places()
    for (const frame of answer.frames) if (!this.closed) this.take(frame)
    const news = before !== this.#places() || answer.frames.some(f => (f as ServerFrame)?.op === 'signal')
    if (atOnce && !news) this.fail({ reason: 'an answer that brings nothing, and did not wait' })
  }

  #places(): string {
    return [...this.carried.values()].map(c => c.follow.from).join()
  }

  /**
   * Finds the cursors of streams that have none. What else the answer holds is
   * dropped: it is asked for from there, as after any lost connection.
   */
  async #place(follows: Follow[], signal: AbortSignal): Promise<boolean> {
    const answer = await this.#ask(follows, signal, 0)
    if (!answer || this.closed) return false
    const cursors = unpackCursors(answer.cursor)
    for (const frame of answer.frames as Array<{ op?: string }>) {
      if (frame.op !== 'events' && !this.closed) this.take(frame)
    }
    for (const follow of follows) {
      const at = cursors.get(follow.stream)
      if (at) follow.begun(formatCursor(follow.from === 'start' ? { ...at, seq: 0 } : at))
      else if (this.carried.has(follow.stream)) this.fail({ reason: 'an answer without a cursor for one of its streams' })
    }
    return !this.closed
  }

  /** Makes one request. Returns nothing if it was refused. */
  async #ask(follows: Follow[], signal: AbortSignal, wait: number): Promise<Answer | undefined> {
    const { platform } = this.host
    const within = wait + platform.times.pollLate
    this.#due = platform.mono() + within
    this.#watch.set(within)
    const answer = await this.request('/v1/realtime/poll', follows, signal, wait)
    if (!answer.ok) {
      await this.refused(follows, await problemOf(answer))
      return undefined
    }
    const body = (await answer.json()) as Answer
    this.#watch.clear()
    if (typeof body?.cursor !== 'string' || !Array.isArray(body.frames)) {
      this.fail({ reason: 'not the answer of a poll', blocked: true })
      return undefined
    }
    this.works()
    return body
  }

  /** The answer says so and has ended: there is nothing to wait for. */
  override away(ms: number): void {
    this.fail({ reason: 'the server is going away', wait: ms })
  }

  /** On another network, a request costs less than one whose answer never comes. */
  check(why: Why): void {
    if (why === 'network') this.again()
    else this.#look()
  }

  /** The answer is late. In a page that was frozen it may still be on its way: that costs one request at most. */
  #look(): void {
    const left = this.#due - this.host.platform.mono()
    if (left > 0) this.#watch.set(left)
    else this.fail({ reason: 'no answer in time' })
  }

  override close(): void {
    super.close()
    this.#watch.clear()
  }
}
