// What the life of a page does to a connection. Each test names the fault of
// other clients that it keeps out, where there is one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeStream, problem, json, thread, World } from './world.js'

const nothing = { onEvents() {} }

/** A world whose client is online over a WebSocket. */
async function online(options = {}) {
  const world = new World()
  world.serve = () => json({ ticket: 'x', expires_at_ms: 0 }, 201)
  const client = world.client(options)
  client.follow(thread, nothing)
  await world.settle()
  world.socket.welcome().subscribed()
  return { world, client, first: world.socket }
}

test('close during the wait: nothing comes back to life', async () => {
  const { world, client, first } = await online()
  first.end()
  assert.equal(client.state.name, 'waiting')
  client.close()
  await world.pass(3_600_000)
  for (const type of ['online', 'visibilitychange', 'pageshow', 'resume'] as const) world.emit(type, { persisted: true })
  await world.pass(3_600_000)
  assert.equal(world.sockets.length, 1)
  assert.equal(world.timers, 0)
  assert.equal(world.listeners, 0)
  assert.throws(() => client.follow(thread, nothing), /closed/)
})

test('close while the token is being fetched: no socket opens', async () => {
  const world = new World()
  let give!: (token: string) => void
  const client = world.client({ token: () => new Promise<string>(resolve => (give = resolve)) })
  client.follow(thread, nothing)
  await world.settle()
  client.close()
  give('t1')
  await world.pass(60_000)
  assert.equal(world.sockets.length, 0)
})

test('after close, the token provider is not called again', async () => {
  let asked = 0
  const { world, client, first } = await online({ token: () => (asked++, 't1') })
  first.end(4401)
  client.close()
  await world.pass(3_600_000)
  assert.equal(asked, 1)
})

test('a late close of the old socket leaves the new one alone', async () => {
  const { world, client, first } = await online()
  const late = first.onclose!
  await world.pass(25_000) // silence: a ping
  await world.pass(10_000) // no pong
  await world.pass(1000)
  assert.equal(world.sockets.length, 2)
  world.socket.welcome()
  late({ code: 1006, reason: '' })
  await world.pass(10_000)
  assert.equal(client.state.name, 'online')
  assert.equal(world.sockets.length, 2)
})

test('error and close are one end', async () => {
  const { world, first } = await online()
  first.onerror?.({})
  first.onclose?.({ code: 1006, reason: '' })
  await world.pass(1500)
  assert.equal(world.sockets.length, 2)
})

test('a socket that reports an error and never a close has ended', async () => {
  const { world, first } = await online()
  first.onerror?.({})
  await world.pass(2500)
  assert.equal(world.sockets.length, 2)
})

test('readyState says open and the connection is dead: silence decides', async () => {
  const { world, client, first } = await online()
  await world.pass(24_999)
  assert.equal(first.of('ping').length, 0)
  await world.pass(1)
  assert.equal(first.of('ping').length, 1)
  await world.pass(10_000)
  assert.ok(first.closed)
  assert.equal(client.state.reason, 'nothing was received from the server')
})

test('a pong keeps the connection', async () => {
  const { world, first } = await online()
  for (let i = 0; i < 10; i++) {
    await world.pass(25_000)
    first.say({ op: 'pong', id: 'p' })
  }
  assert.equal(world.sockets.length, 1)
  assert.equal(first.of('ping').length, 10)
})

test('a watch that wakes up before the data gives it a moment', async () => {
  const { world, first } = await online()
  await world.pass(25_000) // a ping is on its way when the page freezes
  await world.freeze(60_000) // the watch is late, the pong is queued behind it
  assert.ok(!first.closed)
  assert.equal(first.of('ping').length, 2)
  first.say({ op: 'pong', id: 'p' })
  await world.pass(5000)
  assert.ok(!first.closed)
  assert.equal(world.sockets.length, 1)
})

test('… and a short one: a dead connection is replaced', async () => {
  const { world, first } = await online()
  await world.pass(25_000)
  await world.freeze(60_000)
  await world.pass(3500)
  assert.ok(first.closed)
  assert.equal(world.sockets.length, 2)
})

test('after sleep, in which the monotonic clock stood still, the first look asks', async () => {
  const { world, first } = await online()
  world.slept = 600_000
  world.emit('visibilitychange')
  await world.settle()
  assert.equal(first.of('ping').length, 1)
  await world.pass(3000)
  assert.ok(first.closed)
})

test('pageshow, then the close of the socket: one attempt', async () => {
  const { world, first } = await online()
  world.emit('resume')
  world.emit('visibilitychange')
  world.emit('pageshow', { persisted: true })
  first.end()
  await world.pass(2000)
  assert.equal(world.sockets.length, 2)
})

test('going online while the connection lives opens no second one', async () => {
  const { world, first } = await online()
  world.emit('online')
  await world.settle()
  assert.equal(first.of('ping').length, 1)
  first.say({ op: 'pong', id: 'p' })
  await world.pass(20_000)
  assert.equal(world.sockets.length, 1)
})

test('going online while waiting tries soon, with jitter, and never at once again and again', async () => {
  const { world } = await online()
  for (let i = 0; i < 8; i++) { // until the waits are long
    world.socket.end()
    await world.pass(31_000)
  }
  world.socket.end()
  await world.settle()
  const before = world.sockets.length
  world.emit('online')
  await world.pass(249)
  assert.equal(world.sockets.length, before)
  await world.pass(1)
  assert.equal(world.sockets.length, before + 1)
  for (let i = 0; i < 100; i++) {
    world.socket.end()
    world.emit('online')
    await world.pass(100)
  }
  assert.ok(world.sockets.length - before <= 12, `${world.sockets.length - before} attempts in 10 s`)
})

test('offline is not remembered: a connection that came up stays', async () => {
  const { world, client, first } = await online()
  world.online = false
  world.emit('offline')
  first.end()
  assert.equal(client.state.name, 'offline')
  await world.pass(1500)
  world.socket.welcome()
  await world.pass(20_000)
  assert.equal(client.state.name, 'online')
  assert.equal(world.sockets.length, 2)
})

test('the offline event alone ends no connection that lives', async () => {
  const { world, client, first } = await online()
  world.online = false
  world.emit('offline')
  first.say({ op: 'pong', id: 'p' })
  await world.pass(20_000)
  assert.equal(client.state.name, 'online')
})

test('a hidden page waits longer', async () => {
  const { world, first } = await online()
  world.hidden = true
  first.end()
  await world.pass(2999)
  assert.equal(world.sockets.length, 1)
  await world.pass(1)
  assert.equal(world.sockets.length, 2)
})

test('a phone that was locked for hours tries on: there is no last try', async () => {
  const { world, client } = await online()
  for (let i = 0; i < 200; i++) {
    world.socket.end()
    await world.pass(31_000)
  }
  assert.ok(world.sockets.length > 200)
  assert.notEqual(client.state.name, 'ended')
})

test('a clean close is retried as any other', async () => {
  const { world, first } = await online()
  first.end(1000)
  await world.pass(1000)
  assert.equal(world.sockets.length, 2)
})

test('the wait that the server named is kept, whatever happens outside', async () => {
  const { world, first } = await online()
  first.end(4429, 'retry_after_ms 8123')
  await world.pass(8122)
  world.emit('online')
  await world.settle()
  assert.equal(world.sockets.length, 1)
  await world.pass(1)
  assert.equal(world.sockets.length, 2)
})

test('going away: the client leaves when the wait is over, not before', async () => {
  const { world, first } = await online()
  first.say({ op: 'going_away', retry_after_ms: 5833 })
  await world.pass(5832)
  assert.ok(!first.closed)
  await world.pass(700)
  assert.equal(world.sockets.length, 2)
})

test('an event stream in a page that was frozen is asked for anew', async () => {
  const world = new World()
  const streams: FakeStream[] = []
  world.serve = () => {
    streams.push(new FakeStream())
    return streams.at(-1)!.response()
  }
  const client = world.client({ transports: ['sse'] })
  client.follow(thread, { from: 'aaaa:7', onEvents() {} })
  await world.settle()
  streams[0]!.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:7' })
  await world.settle()
  assert.equal(client.state.name, 'online')
  world.emit('resume')
  await world.pass(600)
  assert.equal(streams.length, 2)
  assert.equal(world.requests[1]!.url.searchParams.get('cursor'), world.requests[0]!.url.searchParams.get('cursor'))
  await assert.rejects(world.requests[0]!.aborted) // the stalled body is let go
})

test('a silent event stream is dead after 45 s; comments keep it', async () => {
  const world = new World()
  const streams: FakeStream[] = []
  world.serve = () => {
    streams.push(new FakeStream())
    return streams.at(-1)!.response()
  }
  world.client({ transports: ['sse'] }).follow(thread, { from: 'aaaa:7', onEvents() {} })
  await world.settle()
  streams[0]!.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:7' })
  for (let i = 0; i < 10; i++) {
    streams[0]!.write(': still here\n\n')
    await world.pass(20_000)
  }
  assert.equal(streams.length, 1)
  await world.pass(30_000)
  assert.equal(streams.length, 2)
})

test('on another network, what pulls asks anew; when somebody only looks, it does not', async () => {
  for (const transport of ['sse', 'poll'] as const) {
    const world = new World()
    world.serve = request => {
      if (transport === 'poll') return request.url.searchParams.get('wait') === '0ms' ? json({ cursor: 'x', frames: [] }) : new Promise(() => {})
      const stream = new FakeStream()
      stream.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:7' })
      return stream.response()
    }
    const client = world.client({ transports: [transport] })
    client.follow(thread, { from: 'aaaa:7', onEvents() {} })
    await world.pass(5000)
    const before = world.requests.length
    world.emit('visibilitychange')
    world.emit('offline')
    await world.pass(1000)
    assert.equal(world.requests.length, before, transport)
    world.emit('online')
    await world.pass(1000)
    assert.equal(world.requests.length, before + 1, transport)
    assert.equal(client.state.name, 'online')
  }
})

test('an expired static token ends after three rejections, and a new sign-in revives the client', async () => {
  let token = 'old'
  const { world, client } = await online({ token: () => token })
  world.socket.end(4401)
  await world.pass(10_000)
  assert.equal(client.state.name, 'ended')
  assert.equal(world.sockets.length, 1)
  token = 'new'
  client.connect()
  await world.pass(2000)
  world.socket.welcome()
  assert.equal(client.state.name, 'online')
  assert.deepEqual(world.socket.of('auth'), [{ op: 'auth', token: 'new' }])
})

test('each rejected token is followed by another one, from one call of the provider', async () => {
  const asked: string[] = []
  const { world, client } = await online({
    token: async (why: string) => {
      asked.push(why)
      return `t${asked.length}`
    },
  })
  world.serve = request => (request.headers.get('authorization') === 'Bearer t1' ? problem(401, 'unauthorized') : json({}))
  world.socket.end(4401)
  await Promise.all([client.request('GET', '/v1/auth/me'), client.request('GET', '/v1/chat/unread'), world.pass(5000)])
  assert.deepEqual(asked, ['start', 'refused'])
  world.socket.open()
  assert.deepEqual(world.socket.of('auth'), [{ op: 'auth', token: 't2' }])
})

test('a provider that fails is asked again, with growing waits', async () => {
  const world = new World()
  let asked = 0
  const client = world.client({ token: async () => { asked++; throw new Error('the refresh failed') } })
  client.follow(thread, nothing)
  await world.pass(600_000)
  assert.ok(asked > 20 && asked < 100, `asked ${asked} times`)
  client.close()
})

test('longer waits than setTimeout can hold do not end at once', async () => {
  const world = new World()
  world.serve = () => problem(503, 'unavailable', { 'retry-after': '9999999999' })
  world.onSocket = s => queueMicrotask(() => s.end())
  world.client().follow(thread, nothing)
  await world.pass(3_500_000) // the world refuses such timers, too
  assert.equal(world.sockets.length, 1)
})
