// Whatever a server answers, on whichever transport: no attempt follows the one
// before without a delay, and the delays grow.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Transport } from '../src/index.js'
import { eventsFrame, FakeStream, json, problem, thread, World, type FakeSocket } from './world.js'

const stop = Symbol('the client may end for good')

type Refusal = [name: string, setUp: (world: World) => void, end?: typeof stop]

const ticket = () => json({ ticket: 'x', expires_at_ms: 0 }, 201)
const packed = (cursor: string) => btoa(`${thread}=${cursor}`).replace(/=+$/, '')

/** The WebSocket opens, and this happens; the ticket operation answers. */
const socket = (run: (socket: FakeSocket) => void) => (world: World) => {
  world.onSocket = s => queueMicrotask(() => run(s))
  world.serve = ticket
}

const answers: Array<[string, () => Response | Promise<Response>, (typeof stop)?]> = [
  ['401', () => problem(401, 'unauthorized'), stop],
  ['403', () => problem(403, 'forbidden'), stop],
  ['404 of a proxy', () => new Response('<html>', { status: 404 })],
  ['404 of the stream', () => problem(404, 'not_found'), stop],
  ['409 epoch_changed', () => problem(409, 'epoch_changed')],
  ['429', () => problem(429, 'rate_limited')],
  ['429 with a wait of nothing', () => problem(429, 'rate_limited', { 'retry-after': '0' })],
  ['429 with a wait of the past', () => problem(429, 'rate_limited', { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' })],
  ['500 corrupt_event', () => problem(500, 'corrupt_event'), stop],
  ['502 of a proxy', () => new Response('bad gateway', { status: 502 })],
  ['503', () => problem(503, 'unavailable')],
  ['no network', () => Promise.reject(new TypeError('Failed to fetch'))],
  ['a page of HTML', () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
]

const sse = (run: (stream: FakeStream) => void) => () => {
  const stream = new FakeStream()
  queueMicrotask(() => run(stream))
  return stream.response()
}

const refusals: Record<Transport, Refusal[]> = {
  websocket: [
    ...answers.map(([name, answer, end]): Refusal => [
      `refused, and the ticket too: ${name}`,
      world => {
        world.onSocket = s => queueMicrotask(() => s.end())
        world.serve = answer
      },
      end,
    ]),
    ['refused, not the ticket', socket(s => s.end())],
    ['only an error', socket(s => s.onerror?.({}))],
    ...[1000, 1001, 1006, 1011, 1012, 1013, 4400, 4401, 4403, 4429].flatMap((code): Refusal[] => [
      [`closed with ${code} at once`, socket(s => s.open().end(code)), stop],
      [`closed with ${code} after welcome`, socket(s => s.welcome().end(code)), stop],
    ]),
    ['a wait of nothing', socket(s => s.welcome().end(4429, 'retry_after_ms 0'))],
    ['going away in no time', socket(s => s.welcome().say({ op: 'going_away', retry_after_ms: 0 }))],
    ['another subprotocol', socket(s => { s.protocol = ''; s.open() })],
    ['no JSON', socket(s => s.open().onmessage?.({ data: 'x' }))],
    ['binary', socket(s => s.open().onmessage?.({ data: new ArrayBuffer(1) }))],
    ['null', socket(s => s.open().onmessage?.({ data: 'null' }))],
    ['silence', socket(s => s.open())],
    ['nothing at all', socket(() => {})],
    ...['access_revoked', 'resync_required', 'error 404', 'error 429', 'error 401', 'epoch_changed', 'a gap', 'elsewhere'].map((what): Refusal => [
      `each subscription gets ${what}`,
      world => {
        world.countSubscriptions = true
        world.onSocket = s => queueMicrotask(() => s.welcome())
        world.serve = ticket
        world.onFrame = (s, frame) => {
          if (frame.op !== 'subscribe') return
          world.attempts.push(world.time)
          queueMicrotask(() => refuse(s, frame, what))
        }
      },
      stop,
    ]),
    ['a constructor that throws', world => {
      world.serve = ticket
      Object.assign(world.platform, { WebSocket: class { constructor() { world.attempts.push(world.time); throw new Error('insecure') } } })
    }],
  ],
  sse: [
    ...answers.map(([name, answer, end]): Refusal => [name, world => { world.serve = answer }, end]),
    ['an end at once', world => { world.serve = sse(s => s.end()) }],
    ['a cut at once', world => { world.serve = sse(s => s.cut()) }],
    ['an end after subscribed', world => { world.serve = sse(s => { s.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:0' }); s.end() }) }],
    ['no JSON', world => { world.serve = sse(s => s.write('data: x\n\n')) }],
    ['an error for the stream', world => { world.serve = sse(s => s.say({ op: 'error', stream: thread, problem: { status: 429, code: 'rate_limited' } })) }],
    ['a reset', world => { world.serve = sse(s => s.say({ op: 'resync_required', stream: thread, reason: 'log_behind' })) }],
    ['a gap', world => { world.serve = sse(s => { s.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:0' }); s.say(eventsFrame(5, 6)) }) }],
    ['going away in no time', world => { world.serve = sse(s => s.say({ op: 'going_away', retry_after_ms: 0 })) }],
    ['silence', world => { world.serve = sse(() => {}) }],
  ],
  poll: [
    ...answers.map(([name, answer, end]): Refusal => [name, world => { world.serve = answer }, end]),
    ['nothing, at once, whatever the wait', world => { world.serve = () => json({ cursor: packed('aaaa:0'), frames: [] }) }],
    ['the same events again and again', world => {
      let first = true
      world.serve = () => (first ? ((first = false), json({ cursor: packed('aaaa:0'), frames: [] })) : json({ cursor: packed('aaaa:9'), frames: [eventsFrame(0, 2)] }))
    }],
    ['a gap', world => {
      let first = true
      world.serve = () => (first ? ((first = false), json({ cursor: packed('aaaa:0'), frames: [] })) : json({ cursor: packed('aaaa:9'), frames: [eventsFrame(5, 6)] }))
    }],
    ['a cursor that is none', world => { world.serve = () => json({ cursor: '!', frames: [] }) }],
    ['no answer of a poll', world => { world.serve = () => json({}) }],
    ['frames that are none', world => { world.serve = () => json({ cursor: packed('aaaa:0'), frames: [1, null, {}] }) }],
    ['an error for the stream', world => { world.serve = () => json({ cursor: packed('aaaa:0'), frames: [{ op: 'error', stream: thread, problem: { status: 503, code: 'busy' } }] }) }],
    ['going away in no time', world => { world.serve = () => json({ cursor: packed('aaaa:0'), frames: [{ op: 'going_away', retry_after_ms: 0 }] }) }],
  ],
}

function refuse(s: FakeSocket, { id, stream }: any, what: string): void {
  const error = (status: number, code: string) => s.say({ op: 'error', id, stream, problem: { status, code } })
  const begun = (cursor: string) => s.say({ op: 'subscribed', id, stream, cursor, head: 9 })
  switch (what) {
    case 'access_revoked': begun('aaaa:0'); return void s.say({ op: 'access_revoked', stream })
    case 'resync_required': begun('aaaa:0'); return void s.say({ op: 'resync_required', stream, reason: 'log_behind' })
    case 'error 404': return void error(404, 'not_found')
    case 'error 429': return void error(429, 'rate_limited')
    case 'error 401': return void error(401, 'unauthorized')
    case 'epoch_changed': return void error(409, 'epoch_changed')
    case 'a gap': begun('aaaa:0'); return void s.events(5, 6)
    case 'elsewhere': return void begun('bbbb:99')
  }
}

const quarter = 900_000 // ms

for (const [transport, list] of Object.entries(refusals) as Array<[Transport, Refusal[]]>) {
  for (const [name, setUp, end] of list) {
    for (const alone of [true, false]) {
      test(`${transport}${alone ? ' alone' : ''}: ${name}`, async () => {
        const world = new World()
        setUp(world)
        // With the others as fallbacks, they get the same kind of answer.
        const transports: Transport[] = alone ? [transport] : [transport, ...(['sse', 'poll'] as const).filter(t => t !== transport)]
        const client = world.client({ transports })
        let revoked = false
        client.follow(thread, { from: 'start', onEvents() {}, onRevoked: () => (revoked = true), onError: () => (revoked = true) })
        await world.pass(quarter)
        const { attempts } = world
        const over = client.state.name === 'ended' || revoked
        if (!over || end !== stop) assert.ok(attempts.length >= 20, `gave up after ${attempts.length} attempts: ${JSON.stringify(client.state)}`)
        // 15 s on average at last, for each of the three transports and each subscription.
        assert.ok(attempts.length <= 300, `${attempts.length} attempts in 15 minutes`)
        const gaps = attempts.slice(1).map((at, i) => at - attempts[i]!)
        const quick = gaps.filter(gap => gap < 100).length
        assert.ok(quick <= 4, `${quick} attempts came within 100 ms of the one before`)
        client.close()
        assert.equal(world.timers, 0)
        assert.equal(world.listeners, 0)
      })
    }
  }
}
