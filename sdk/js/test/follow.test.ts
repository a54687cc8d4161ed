// Order, loss and doubles.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FollowOptions, StreamEvent } from '../src/index.js'
import { eventsFrame, FakeStream, json, problem, thread, World } from './world.js'

async function following(options: Partial<FollowOptions> = {}, clientOptions = {}) {
  const world = new World()
  const got: number[] = []
  const client = world.client(clientOptions)
  const take = (events: StreamEvent[]) => void got.push(...events.map(e => e.seq))
  const follow = client.follow(thread, { from: 'aaaa:0', onEvents: take, ...options })
  await world.settle()
  world.socket.welcome()
  return { world, client, follow, got, take }
}

test('events in order, each once, and the cursor after them', async () => {
  const { world, follow, got } = await following()
  world.socket.subscribed().events(0, 2).events(2, 3)
  assert.deepEqual(got, [1, 2, 3])
  assert.equal(follow.cursor, 'aaaa:3')
})

test('a frame that was seen, and one that overlaps, bring nothing twice', async () => {
  const { world, follow, got } = await following()
  world.socket.subscribed().events(0, 2).events(0, 2).events(1, 3)
  assert.deepEqual(got, [1, 2, 3])
  assert.equal(follow.cursor, 'aaaa:3')
})

test('after a gap the stream is asked for again from the cursor', async () => {
  const { world, got } = await following()
  world.socket.subscribed().events(0, 2).events(5, 6)
  await world.pass(500)
  const [, again] = world.socket.of('subscribe')
  assert.equal(again.cursor, 'aaaa:2')
  world.socket.events(6, 7) // of the earlier subscription
  world.socket.subscribed(thread, 'aaaa:2').events(2, 7)
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7])
})

test('a reconnect asks from what was received, and drops frames before the answer', async () => {
  const { world, got } = await following()
  world.socket.subscribed().events(0, 2).end()
  await world.pass(600)
  world.socket.welcome().events(2, 3)
  assert.equal(world.socket.of('subscribe')[0].cursor, 'aaaa:2')
  world.socket.subscribed(thread, 'aaaa:2').events(2, 4)
  assert.deepEqual(got, [1, 2, 3, 4])
})

test('each subscription that begins is reported, after the events of the earlier one', async () => {
  const log: string[] = []
  const releases: Array<() => void> = []
  const { world } = await following({
    onBegun: () => void log.push('begun'),
    onEvents: (_, { to }) => new Promise<void>(resolve => releases.push(() => resolve(void log.push(`to ${to}`)))),
  })
  assert.deepEqual(log, [])
  world.socket.subscribed().events(0, 2).end()
  await world.pass(600)
  world.socket.welcome().subscribed(thread, 'aaaa:2')
  assert.deepEqual(log, ['begun'])
  releases.shift()!()
  await world.settle()
  assert.deepEqual(log, ['begun', 'to 2', 'begun'])
})

test('the position moves after the handler, one call after the other', async () => {
  const log: string[] = []
  const releases: Array<() => void> = []
  const { world, follow } = await following({
    onEvents(events, { from, to }) {
      log.push(`${from}-${to} at ${follow.cursor}`)
      return new Promise<void>(resolve => releases.push(resolve))
    },
  })
  world.socket.subscribed().events(0, 1).events(1, 2)
  await world.settle()
  assert.deepEqual(log, ['0-1 at aaaa:0'])
  releases[0]!()
  await world.settle()
  assert.deepEqual(log, ['0-1 at aaaa:0', '1-2 at aaaa:1'])
  assert.equal(follow.cursor, 'aaaa:1')
})

test('covered events move the cursor without a call', async () => {
  const { world, follow, got } = await following()
  world.socket.subscribed().say({ op: 'events', stream: thread, from: 0, to: 5, events: [] })
  assert.deepEqual(got, [])
  assert.equal(follow.cursor, 'aaaa:5')
})

test('to follow again inside a handler begins after the events being handled', async () => {
  const later: number[] = []
  const { world, client, follow } = await following({
    onEvents() {
      client.follow(thread, { onEvents: events => void later.push(...events.map(e => e.seq)) })
    },
  })
  world.socket.subscribed().events(0, 2)
  await world.pass(200)
  assert.ok(follow.closed)
  const asked = world.socket.of('subscribe')
  assert.deepEqual(asked.map(f => f.cursor), ['aaaa:0', 'aaaa:2'])
  world.socket.subscribed(thread, 'aaaa:2').events(2, 3)
  assert.deepEqual(later, [3])
})

test('a handler that throws stops its stream, loudly; the cursor stays, the others go on', async () => {
  const errors: unknown[] = []
  const { world, client, follow } = await following({ onEvents() { throw new Error('mine') }, onError: e => errors.push(e) })
  const other: number[] = []
  client.follow('thread/two', { from: 'aaaa:0', onEvents: events => void other.push(...events.map(e => e.seq)) })
  await world.settle()
  world.socket.subscribed().subscribed('thread/two').events(0, 1).events(0, 1, 'thread/two')
  assert.equal(follow.cursor, 'aaaa:0')
  assert.ok(follow.closed)
  assert.match(String(errors), /mine/)
  assert.deepEqual(other, [1])
  assert.equal(client.state.name, 'online')
})

test('after close, no call begins', async () => {
  const { world, follow, got } = await following()
  world.socket.subscribed().events(0, 1)
  follow.close()
  world.socket.events(1, 2)
  assert.deepEqual(got, [1])
  assert.deepEqual(world.socket.of('unsubscribe').map(f => f.stream), [thread])
})

test('after close over SSE, what still comes is not handled', async () => {
  const world = new World()
  const stream = new FakeStream()
  world.serve = () => stream.response()
  const got: number[] = []
  const client = world.client({ transports: ['sse'] })
  const follow = client.follow(thread, { from: 'aaaa:0', onEvents: events => void got.push(...events.map(e => e.seq)) })
  client.follow('thread/two', { from: 'aaaa:0', onEvents() {} })
  await world.settle()
  stream.say(eventsFrame(0, 1))
  await world.settle()
  follow.close()
  stream.say(eventsFrame(1, 2))
  await world.settle()
  assert.deepEqual(got, [1])
})

test('a new epoch is never joined to an old seq', async () => {
  const resets: string[] = []
  const store = new Map<string, string>()
  const { world, got } = await following({ from: 'aaaa:9', onReset: reason => void resets.push(reason) }, { cursors: store })
  const [asked] = world.socket.of('subscribe')
  world.socket.say({ op: 'error', id: asked.id, stream: thread, problem: { status: 409, code: 'epoch_changed' } })
  await world.pass(600)
  assert.deepEqual(resets, ['epoch_changed'])
  assert.equal(world.socket.of('subscribe')[1].cursor, 'start')
  world.socket.subscribed(thread, 'bbbb:0').events(0, 1)
  assert.deepEqual(got, [1])
  assert.equal(store.get(thread), 'bbbb:1')
})

test('a reset waits for the application, and continues where it says', async () => {
  let done!: (cursor: string) => void
  const { world } = await following({ from: 'aaaa:9', onReset: () => new Promise<string>(resolve => (done = resolve)) })
  world.socket.subscribed(thread, 'aaaa:9').say({ op: 'resync_required', stream: thread, reason: 'log_behind' })
  await world.pass(10_000)
  assert.equal(world.socket.of('subscribe').length, 1)
  done('aaaa:4')
  await world.pass(1000)
  assert.equal(world.socket.of('subscribe')[1].cursor, 'aaaa:4')
})

test('read_failed is temporary: the same cursor', async () => {
  const { world } = await following({ from: 'aaaa:9', onReset: () => assert.fail('a reset') })
  world.socket.subscribed(thread, 'aaaa:9').say({ op: 'resync_required', stream: thread, reason: 'read_failed' })
  await world.pass(1000)
  assert.equal(world.socket.of('subscribe')[1].cursor, 'aaaa:9')
})

test('a refusal that names no stream is known by its id', async () => {
  const { world } = await following({ from: 'aaaa:9' })
  const [asked] = world.socket.of('subscribe')
  world.socket.say({ op: 'error', id: asked.id, problem: { status: 429, code: 'rate_limited', retry_after_ms: 1000 } })
  await world.pass(999)
  assert.equal(world.socket.of('subscribe').length, 1)
  await world.pass(1)
  assert.equal(world.socket.of('subscribe')[1].cursor, 'aaaa:9')
})

test('what is revoked is not handled any more, and its cursor is deleted', async () => {
  const store = new Map([[thread, 'aaaa:1']])
  let release!: () => void
  const revoked: unknown[] = []
  const calls: number[] = []
  const { world, client } = await following({
    onEvents: events => {
      calls.push(events[0]!.seq)
      return new Promise<void>(resolve => (release = resolve))
    },
    onRevoked: p => revoked.push(p),
  }, { cursors: store })
  world.socket.subscribed().events(0, 1).events(1, 2).say({ op: 'access_revoked', stream: thread })
  release()
  await world.settle()
  assert.deepEqual(calls, [1])
  assert.deepEqual(revoked, [undefined])
  assert.equal(store.has(thread), false)
  await world.pass(60_000)
  assert.equal(world.socket.of('subscribe').length, 1)
  assert.equal([...(client as any).follows()].length, 0)
})

test('a damaged event ends the stream, and says why', async () => {
  const errors: any[] = []
  const { world } = await following({ onError: e => errors.push(e) })
  world.socket.subscribed().say({ op: 'error', stream: thread, problem: { status: 500, code: 'corrupt_event' } })
  await world.pass(60_000)
  assert.deepEqual(errors.map(e => e.code), ['corrupt_event'])
  assert.equal(world.socket.of('subscribe').length, 1)
})

test('a slow handler pauses its stream, and loses nothing', async () => {
  const got: number[] = []
  const releases: Array<() => void> = []
  const { world } = await following({
    onEvents(events) {
      got.push(...events.map(e => e.seq))
      return new Promise<void>(resolve => releases.push(resolve))
    },
  })
  world.socket.subscribed()
  for (let seq = 0; seq < 100; seq++) world.socket.events(seq, seq + 1)
  assert.equal(world.socket.of('unsubscribe').length, 1)
  for (let i = 0; i < 200 && got.length < 65; i++) {
    releases.shift()?.()
    await world.settle()
  }
  releases.shift()?.()
  await world.pass(200)
  const again = world.socket.of('subscribe').pop()
  assert.equal(again.cursor, 'aaaa:65')
  world.socket.subscribed(thread, 'aaaa:65').events(65, 100)
  releases.shift()?.()
  await world.settle()
  assert.deepEqual(got, Array.from({ length: 100 }, (_, i) => i + 1))
})

test('cursors are read from the store, and a store that throws does no harm', async () => {
  for (const [store, cursor] of [
    [{ get: async () => 'aaaa:7', set() {}, delete() {} }, 'aaaa:7'],
    [{ get: () => { throw new Error('private window') }, set() { throw new Error() }, delete() { throw new Error() } }, undefined],
    [{ get: () => 'not a cursor', set: () => Promise.reject(new Error()), delete() {} }, undefined],
  ] as const) {
    const { world, got } = await following({ from: undefined }, { cursors: store })
    await world.settle()
    assert.equal(world.socket.of('subscribe')[0].cursor, cursor)
    world.socket.subscribed(thread, 'aaaa:7').events(7, 8)
    assert.deepEqual(got, [8])
  }
})

test('sign-out forgets the cursors', async () => {
  const store = new Map<string, string>()
  const { world, client } = await following({}, { cursors: store })
  world.socket.subscribed().events(0, 2)
  assert.equal(store.get(thread), 'aaaa:2')
  client.close({ forget: true })
  assert.equal(store.size, 0)
})

test('frames and fields that are unknown are ignored', async () => {
  const { world, got } = await following()
  world.socket.subscribed().say({ op: 'weather', stream: thread }).say({ ...eventsFrame(0, 1), colour: 'red' })
  assert.deepEqual(got, [1])
})

test('at most 32 streams, each once', async () => {
  const { world, client } = await following()
  for (let i = 1; i < 32; i++) client.follow(`thread/${i}`, { onEvents() {} })
  assert.throws(() => client.follow('thread/33', { onEvents() {} }), RangeError)
  client.follow(thread, { from: 'aaaa:5', onEvents() {} })
  await world.pass(200)
  assert.equal(world.socket.of('subscribe').filter(f => f.stream === thread).pop().cursor, 'aaaa:5')
})

test('over SSE and long-poll, one bad stream among several is found', async () => {
  for (const transport of ['sse', 'poll'] as const) {
    const world = new World()
    world.serve = request => {
      const cursor = request.url.searchParams.get('cursor') ?? ''
      if (atob(cursor).includes('thread/bad=aaaa')) return problem(409, 'epoch_changed')
      if (request.path.endsWith('sse')) return new FakeStream().response()
      return json({ cursor, frames: [] })
    }
    const resets: string[] = []
    const client = world.client({ transports: [transport] })
    for (const name of ['good', 'bad', 'fine']) {
      client.follow(`thread/${name}`, { from: 'aaaa:3', onEvents() {}, onReset: reason => { resets.push(`${name} ${reason}`); return 'bbbb:0' } })
    }
    await world.pass(300)
    assert.deepEqual(resets, ['bad epoch_changed'], transport)
  }
})

test('streams without a cursor over SSE: one request for each way to begin', async () => {
  const world = new World()
  world.serve = () => new FakeStream().response()
  const client = world.client({ transports: ['sse'] })
  client.follow('thread/a', { from: 'aaaa:3', onEvents() {} })
  client.follow('thread/b', { from: 'start', onEvents() {} })
  client.follow('thread/c', { onEvents() {} })
  client.follow('thread/d', { from: 'aaaa:4', onEvents() {} })
  await world.pass(300)
  const last = world.requests.slice(-3).map(r => r.url.searchParams)
  assert.equal(atob(last[0]!.get('cursor')!), 'thread/a=aaaa:3\nthread/d=aaaa:4')
  assert.deepEqual([last[1]!.get('cursor'), last[1]!.getAll('stream')], ['start', ['thread/b']])
  assert.deepEqual([last[2]!.get('cursor'), last[2]!.getAll('stream')], [null, ['thread/c']])
})
