// What the operators' page knows: readings of the metrics, answers to orders, and
// the token, which is kept for this tab alone.
import { lines, parse, quantile, sum, value, type Metrics } from './metrics.ts'
import { Model } from './platform.ts'
import type { EventProof } from '@gotong/client/proof'

export interface Recent { stream: string; head: number; partition: number; position: number; at: string }
export interface Reader { reader: string; partition: number; cursor: number; end: number; stop?: { position: number; error: string } }
export interface Job { queue: string; id: string; due: string; failures: number; running: boolean; dead: boolean; error?: string }
export interface Attempt { at: string; webhook_message_id: string; stream?: string; seq?: number; status?: number; error?: string; duration_ms: number }
export interface Hook { id: string; home: string; host: string; disabled?: string; failures: number; blocked: number; dead: number; failing_since?: string; last_success_at?: string; log?: Attempt[] }
export interface Gate { stream: string; gate: number; from_stage: string; to_stage: string; phase: string; votes: boolean; closes_at: string; voters: number; took_part: number }
export interface Node { node: string; version?: string; at: string; partitions?: number[] }
interface Storage { database: number; wal: number; free?: number }
export interface Reply { readers?: Reader[]; jobs?: Job[]; streams?: Recent[]; webhooks?: Hook[]; gates?: Gate[]; nodes?: Node[]; storage?: Storage; event?: EventProof; error?: string }
interface Ready { ready: boolean; reason?: string; checks?: Record<string, string> }

/** One point of the charts; a number that is unknown is NaN. */
export interface Sample { at: number; sessions: number; ws: number; sse: number; poll: number; ok: number; no: number; p50: number; p99: number; d50: number; d99: number; lag: number; memory: number; routines: number }

const every = 5000 // ms between two readings
const slow = 3 // readings between two rounds of orders, which read the store
const kept = 60 // points
export const mostJobs = 5000

export class Operator extends Model {
  token = ''
  key = '' // verifier key of the log, from the link or typed
  ended = false
  away = false
  paused = false
  metrics: Metrics | undefined
  ready: Ready | undefined
  version: { version?: string; commit?: string; go?: string } = {}
  data: Reply = {}
  samples: Sample[] = []
  #history: Array<{ at: number; metrics: Metrics }> = []
  #turn = 0
  #busy = false

  start(): void {
    this.#fromLink()
    addEventListener('hashchange', () => this.#fromLink())
    document.addEventListener('visibilitychange', () => void this.#look())
    setInterval(() => void this.#look(), every)
    void this.#look()
  }

  #fromLink(): void {
    const link = new URLSearchParams(location.hash.slice(1))
    if (location.hash) history.replaceState(null, '', location.pathname)
    const token = link.get('token')
    try {
      if (token) {
        sessionStorage.setItem('gotong.operator', token)
        sessionStorage.setItem('gotong.key', link.get('key') ?? '')
      }
      this.token = sessionStorage.getItem('gotong.operator') ?? ''
      this.key = sessionStorage.getItem('gotong.key') ?? ''
    } catch { // storage is refused: in memory then
      this.token = token ?? this.token
      this.key = link.get('key') ?? this.key
    }
    if (token) this.ended = false
    this.#turn = 0
    this.changed()
    if (token) void this.#look()
  }

  end(): void {
    this.token = ''
    this.ended = true
    try { sessionStorage.removeItem('gotong.operator') } catch { /* refused */ }
    this.changed()
  }

  pause(): void {
    this.paused = !this.paused
    this.changed()
    void this.#look()
  }

  async order(order: Record<string, unknown>): Promise<Reply> {
    const { token } = this
    const r = await fetch('/v1/operator/orders', {
      method: 'POST', body: JSON.stringify(order), signal: AbortSignal.timeout(20_000),
      headers: { 'Authorization': 'Bearer ' + token, 'Content-Type': 'application/json' },
    })
    if (r.status === 401) {
      if (token === this.token) this.end() // else a newer link was opened meanwhile
      throw new Error('401')
    }
    return await r.json() as Reply
  }

  /** Gives an order that changes something. Returns why it was rejected. */
  async change(order: Record<string, unknown>): Promise<string | undefined> {
    try {
      const { error } = await this.order(order)
      await this.refresh()
      return error
    } catch (error) {
      return (error as Error).message
    }
  }

  /** Reads everything once, unless nobody sees the page or a reading is under way. */
  async #look(): Promise<void> {
    if (this.#busy || this.paused || !this.token || document.visibilityState !== 'visible') return
    this.#busy = true
    try {
      if (this.#turn++ % slow === 0) await this.refresh()
      const get = (path: string) => fetch(path, { signal: AbortSignal.timeout(10_000) })
      const [metrics, ready, version] = await Promise.all([get('/metrics').then((r) => r.text()), get('/readyz').then((r) => r.json()), get('/version').then((r) => r.json())])
      this.#take(parse(metrics), Date.now())
      Object.assign(this, { ready, version, away: false })
    } catch {
      this.away = true
    }
    this.#busy = false
    this.changed()
  }

  async refresh(): Promise<void> {
    const parts = await Promise.all([{ do: 'readers' }, { do: 'jobs', most: mostJobs }, { do: 'streams' }, { do: 'webhooks' }, { do: 'gates' }, { do: 'nodes' }, { do: 'storage' }].map((o) => this.order(o)))
    this.data = Object.assign({}, ...parts) as Reply
    this.changed()
  }

  #take(now: Metrics, at: number): void {
    const last = this.#history.at(-1)
    const minute = this.#history.find((h) => h.at >= at - 62_000)?.metrics
    this.metrics = now
    const rate = (ok: boolean) => {
      const of = (m: Metrics) => sum(lines(m, 'gotong_commands_total').filter((l) => (l.labels.outcome === 'committed') === ok && !['no_op', 'replayed'].includes(l.labels.outcome!)))
      return last ? Math.max(0, of(now) - of(last.metrics)) * 1000 / Math.max(1, at - last.at) : NaN
    }
    const [ws, sse, poll] = ['ws', 'sse', 'poll'].map((transport) => value(now, 'gotong_live_sessions', { transport })) as [number, number, number]
    const ms = (name: string, q: number) => quantile(minute, now, name, q) * 1000
    this.samples = [...this.samples, {
      at, ws, sse, poll, sessions: ws + sse + poll, ok: rate(true), no: rate(false),
      p50: ms('gotong_commit_seconds', .5), p99: ms('gotong_commit_seconds', .99),
      d50: ms('gotong_live_delivery_seconds', .5), d99: ms('gotong_live_delivery_seconds', .99),
      lag: Math.max(0, ...lines(now, 'gotong_reader_lag').map((l) => l.value)),
      memory: value(now, 'process_resident_memory_bytes'), routines: value(now, 'go_goroutines'),
    }].slice(-kept)
    this.#history = [...this.#history, { at, metrics: now }].slice(-kept)
  }
}
