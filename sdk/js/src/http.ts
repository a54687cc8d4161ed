import { packCursors } from './cursor.js'
import type { Follow } from './follow.js'
import { Link, type LinkHost } from './link.js'
import { Pace } from './pace.js'
import { Timer } from './platform.js'
import { problemOf, type Problem } from './problem.js'

/** Changes of the set of streams within this many ms lead to one new request. */
const gatherWithin = 20

/**
 * What SSE and long-poll have in common: requests that name all their streams.
 * They work in rounds. A round ends when its answer does, or when the set of
 * streams changes.
 */
export abstract class HTTPLink extends Link {
  protected readonly pace: Pace
  #round = new AbortController()
  #next: Timer
  #begin: (() => void) | undefined
  #changed: Timer

  constructor(host: LinkHost) {
    super(host)
    this.pace = new Pace(host.platform)
    this.#next = new Timer(host.platform, () => this.#begin?.())
    this.#changed = new Timer(host.platform, () => this.#round.abort())
  }

  protected async begin(): Promise<void> {
    while (!this.closed) {
      if (this.pace.wait() > 0) await this.#due()
      if (this.closed) return
      this.pace.begin()
      this.#round = new AbortController()
      const { signal } = this.#round
      this.#carry()
      try {
        await this.round(signal)
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  /** Makes requests for the streams that are carried. */
  protected abstract round(signal: AbortSignal): Promise<void>

  #due(): Promise<void> {
    return new Promise(resolve => {
      this.#begin = resolve
      this.#next.set(this.pace.wait())
    })
  }

  #carry(): void {
    this.carried.clear()
    for (const follow of this.host.ready()) this.carried.set(follow.stream, { follow, id: '', live: true })
  }

  update(): void {
    const ready = this.host.ready()
    const same = ready.length === this.carried.size && ready.every(f => this.carried.get(f.stream)?.follow === f)
    if (!same) this.again()
  }

  /** Ends the round soon and begins the next one, as soon as the pace allows. */
  protected again(): void {
    this.#changed.set(gatherWithin)
  }

  /** The streams that are carried, by what their request says: they have a cursor, begin at the start, or now. */
  protected batches(): { placed: Follow[]; start: Follow[]; now: Follow[] } {
    const all = [...this.carried.values()].map(c => c.follow)
    return {
      placed: all.filter(f => f.from?.includes(':')),
      start: all.filter(f => f.from === 'start'),
      now: all.filter(f => f.from === undefined),
    }
  }

  protected async request(path: string, follows: Follow[], signal: AbortSignal, wait?: number): Promise<Response> {
    const { host } = this
    const query = new URLSearchParams(wait === undefined ? {} : { wait: `${Math.round(wait)}ms` })
    const [first] = follows
    if (first?.from?.includes(':')) query.set('cursor', packCursors(follows.map(f => [f.stream, f.from!])))
    else {
      for (const { stream } of follows) query.append('stream', stream)
      if (first?.from) query.set('cursor', first.from)
    }
    const headers: Record<string, string> = {}
    if (host.ticket) query.set('ticket', await host.ticket())
    else headers.authorization = `Bearer ${(this.token = await host.tokens.get())}`
    return host.platform.fetch(host.address(path, query), { headers, signal, cache: 'no-store' })
  }

  /**
   * A request was refused. If that may be because of one of its streams, each
   * is asked for alone, and those at fault learn it. Then the link ends; the
   * next one has fewer streams, or the same ones later.
   */
  protected async refused(follows: Follow[], problem: Problem): Promise<void> {
    const ofStream = (p: Problem) => p.code !== '' && p.status !== 401 && !p.passes
    if (ofStream(problem)) {
      for (const follow of follows) {
        const own = follows.length === 1 || this.host.ticket ? problem : await this.#probe(follow)
        if (this.closed) return
        if (own && ofStream(own)) {
          this.drop(follow)
          follow.refused(own)
        }
      }
    }
    const blocked = problem.code === '' && problem.status !== 401 && problem.status !== 429 && problem.status < 500
    this.fail({ reason: problem.message, problem, blocked })
  }

  async #probe(follow: Follow): Promise<Problem | undefined> {
    const answer = await this.request('/v1/realtime/poll', [follow], this.#round.signal, 0)
    return answer.ok ? undefined : problemOf(answer)
  }

  override close(): void {
    super.close()
    this.#round.abort()
    this.#next.clear()
    this.#changed.clear()
  }
}
