// Commands, their echo, and requests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem, UnknownOutcome, type Client } from '../src/index.js'
import { json, problem, thread, World } from './world.js'

const post = (body: string) => ({ stream: thread, type: 'message.post', data: { body } })
const receipt = (seq: number, more = {}) => ({ stream: thread, seq: [seq, seq], event_ids: [], at: '', chain: '', replayed: false, ...more })

async function online(follow = false) {
  const world = new World()
  const client = world.client()
  if (follow) client.follow(thread, { from: 'aaaa:0', onEvents() {} })
  else client.command(post('first')).discard()
  await world.settle()
  if (!follow) client.command(post('opens'))
  await world.settle()
  world.socket.welcome()
  if (follow) world.socket.subscribed()
  else client.pending[0]!.discard()
  return { world, client }
}

const states = (client: Client) => client.pending.map(c => `${(c.data as any).body} ${c.state}`)

test('a command without an answer is repeated with the same id and the same bytes', async () => {
  const { world, client } = await online(true)
  const command = client.command(post('halo'))
  const [bytes] = world.socket.raw.filter(r => r.includes('"command"'))
  assert.deepEqual(states(client), ['halo sent'])
  world.socket.end()
  assert.deepEqual(states(client), ['halo waiting'])
  await world.pass(600)
  world.socket.welcome()
  assert.deepEqual(world.socket.raw.filter(r => r.includes('"command"')), [bytes])
  const { id } = JSON.parse(bytes!)
  world.socket.say({ op: 'ack', id, receipt: receipt(7, { replayed: true }) })
  assert.deepEqual((await command).seq, [7, 7]) // replayed is success
})

const said = (world: World) => world.socket.of('command').map(f => f.data.body)
const answer = (world: World, i: number, how: object) => world.socket.say({ id: world.socket.of('command')[i].id, ...how })

test('quick sends to one stream keep their order, also over a reconnect', async () => {
  const { world, client } = await online(true)
  for (let i = 0; i < 4; i++) client.command(post(`m${i}`))
  assert.deepEqual(said(world), ['m0'])
  answer(world, 0, { op: 'ack', receipt: receipt(1) })
  assert.deepEqual(said(world), ['m0', 'm1'])
  world.socket.end()
  await world.pass(600)
  world.socket.welcome()
  for (let i = 0; i < 3; i++) answer(world, i, { op: 'ack', receipt: receipt(2 + i) })
  assert.deepEqual(said(world), ['m1', 'm2', 'm3'])
})

test('a command that has to be repeated is not overtaken, and delays no other stream', async () => {
  const { world, client } = await online(true)
  client.command(post('m0'))
  client.command({ ...post('elsewhere'), stream: 'thread/other' })
  client.command(post('m1'))
  answer(world, 0, { op: 'error', problem: { status: 503, code: 'overloaded', retry_after_ms: 1000 } })
  answer(world, 1, { op: 'ack', receipt: receipt(1, { stream: 'thread/other' }) })
  await world.pass(1000)
  assert.deepEqual(said(world), ['m0', 'elsewhere', 'm0'])
  answer(world, 2, { op: 'error', problem: { status: 403, code: 'forbidden' } })
  assert.deepEqual(said(world), ['m0', 'elsewhere', 'm0', 'm1'])
})

test('at most 16 commands are on their way', async () => {
  const { world, client } = await online(true)
  for (let i = 0; i < 20; i++) client.command({ ...post(`m${i}`), stream: `thread/${i}` })
  assert.equal(said(world).length, 16)
  answer(world, 0, { op: 'ack', receipt: receipt(1) })
  assert.equal(said(world).length, 17)
})

test('the echo is reconciled by request id: event first, ack later', async () => {
  const { world, client } = await online(true)
  const command = client.command({ ...post('halo'), requestId: 'r1' })
  world.socket.events(0, 1) // its event has the request id r1
  assert.deepEqual(states(client), [])
  world.socket.say({ op: 'ack', id: world.socket.of('command')[0].id, receipt: receipt(1) })
  assert.deepEqual((await command).seq, [1, 1])
})

test('the echo is reconciled by request id: ack first, event later', async () => {
  const { world, client } = await online(true)
  client.command({ ...post('halo'), requestId: 'r1' })
  world.socket.say({ op: 'ack', id: world.socket.of('command')[0].id, receipt: receipt(1) })
  assert.deepEqual(states(client), ['halo done']) // still shown: it is not in the log yet
  world.socket.events(0, 1)
  assert.deepEqual(states(client), [])
})

test('an acked command whose event is covered goes when the stream has passed it', async () => {
  const { world, client } = await online(true)
  client.command(post('halo'))
  world.socket.say({ op: 'ack', id: world.socket.of('command')[0].id, receipt: receipt(2) })
  world.socket.say({ op: 'events', stream: thread, from: 0, to: 2, events: [] })
  assert.deepEqual(states(client), [])
})

test('events with the same text are not taken for the echo', async () => {
  const { world, client } = await online(true)
  client.command(post('b1'))
  world.socket.events(0, 1)
  assert.deepEqual(states(client), ['b1 sent'])
})

test('pending commands outlive a reconnect and a reset', async () => {
  const { world, client } = await online(true)
  client.command(post('halo'))
  world.socket.say({ op: 'resync_required', stream: thread, reason: 'log_behind' }).end()
  await world.pass(600)
  assert.deepEqual(states(client), ['halo waiting'])
})

test('a rejected command has failed; retry sends the same bytes, discard removes it', async () => {
  const { world, client } = await online(true)
  const command = client.command(post('halo'))
  const [{ id }] = world.socket.of('command')
  world.socket.say({ op: 'error', id, problem: { status: 403, code: 'forbidden' } })
  await assert.rejects(Promise.resolve(command), (e: unknown) => e instanceof Problem && e.code === 'forbidden')
  assert.deepEqual(states(client), ['halo failed'])
  const again = command.retry()
  const [first, second] = world.socket.raw.filter(r => r.includes('"command"'))
  assert.equal(second, first)
  world.socket.say({ op: 'error', id, problem: { status: 403, code: 'forbidden' } })
  await assert.rejects(Promise.resolve(again))
  command.discard()
  assert.deepEqual(states(client), [])
})

test('an unknown outcome is repeated after the wait that the server named', async () => {
  const { world, client } = await online(true)
  client.command(post('halo'))
  const [{ id }] = world.socket.of('command')
  world.socket.say({ op: 'error', id, problem: { status: 429, code: 'rate_limited', retry_after_ms: 3000 } })
  client.command(post('second')) // keeps its place
  await world.pass(2999)
  assert.equal(world.socket.of('command').length, 1)
  await world.pass(1)
  assert.deepEqual(said(world), ['halo', 'halo'])
  answer(world, 1, { op: 'ack', receipt: receipt(1) })
  assert.deepEqual(said(world), ['halo', 'halo', 'second'])
})

test('a frame that the server closed for is not sent again', async () => {
  const { world, client } = await online(true)
  const command = client.command(post('halo'))
  world.socket.end(1007)
  await assert.rejects(Promise.resolve(command), UnknownOutcome)
  await world.pass(2000)
  world.socket.welcome()
  assert.equal(world.socket.of('command').length, 0)
  assert.deepEqual(states(client), ['halo failed'])
})

test('too large for a frame', async () => {
  const { client } = await online(true)
  await assert.rejects(Promise.resolve(client.command(post('x'.repeat(66_000)))), /413/)
})

test('close fails what has no answer; discard too', async () => {
  const { client } = await online(true)
  const one = client.command(post('one'))
  const two = client.command(post('two'))
  one.discard()
  client.close()
  await assert.rejects(Promise.resolve(one), UnknownOutcome)
  await assert.rejects(Promise.resolve(two), UnknownOutcome)
})

test('without a stream to follow, a command opens the connection', async () => {
  const { world, client } = await online()
  const command = client.command(post('halo'))
  world.socket.say({ op: 'ack', id: world.socket.of('command').pop().id, receipt: receipt(1) })
  await command
  assert.deepEqual(states(client), [])
})

test('a signal goes out only where the stream is followed now', async () => {
  const { world, client } = await online(true)
  assert.equal(client.signal(thread, 'typing'), true)
  assert.equal(client.signal('thread/other', 'typing'), false)
  assert.equal(client.active(thread), true)
  assert.equal(client.active(null), true)
  world.socket.bufferedAmount = 1 << 20
  assert.equal(client.signal(thread, 'typing'), false)
  const signals: string[] = []
  client.on('signal', s => signals.push(s.type))
  world.socket.say({ op: 'signal', stream: thread, type: 'presence', data: { present: 2 } })
  assert.deepEqual(signals, ['presence'])
})

test('request ids are UUIDv7, made without randomUUID', async () => {
  const { client } = await online(true)
  assert.match(client.command(post('halo')).requestId, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

// Requests.

test('a write is repeated with the same key and body until its outcome is known', async () => {
  const world = new World()
  const answers = [() => Promise.reject(new TypeError('network')), () => problem(503, 'busy'), () => problem(429, 'rate_limited', { 'retry-after': '7' }), () => json({ ok: true }, 201)]
  const times: number[] = []
  world.serve = () => {
    times.push(world.time)
    return answers[times.length - 1]!()
  }
  const client = world.client()
  const answer = client.request('POST', '/v1/chat/threads/{id}/messages/send', { params: { id: 'a/b' }, body: { body: 'halo' } })
  await world.pass(20_000)
  assert.equal((await answer).status, 201)
  assert.equal(new Set(world.requests.map(r => r.headers.get('idempotency-key'))).size, 1)
  assert.deepEqual(new Set(world.requests.map(r => r.body)), new Set(['{"body":"halo"}']))
  assert.equal(world.requests[0]!.path, '/v1/chat/threads/a%2Fb/messages/send')
  assert.equal(times[3]! - times[2]!, 7000)
})

test('a parameter never leads to another path', async () => {
  const world = new World()
  for (const id of ['', '.', '..']) {
    await assert.rejects(world.client().request('GET', '/v1/chat/threads/{id}', { params: { id } }), TypeError)
  }
  assert.equal(world.requests.length, 0)
})

test('a read is tried four times', async () => {
  const world = new World()
  world.serve = () => problem(503, 'busy')
  const answer = assert.rejects(world.client().request('GET', '/v1/chat/unread', { query: { limit: 5 } as any }), /503/)
  await world.pass(60_000)
  await answer
  assert.equal(world.requests.length, 4)
  assert.equal(world.requests[0]!.url.search, '?limit=5')
})

test('a request that gets no answer is given up and repeated', async () => {
  const world = new World()
  let n = 0
  world.serve = () => (n++ === 0 ? new Promise(() => {}) : json({}))
  const answer = world.client().request('POST', '/v1/groups/{id}/leave', { params: { id: 'g' } })
  await world.pass(31_000)
  await answer
  assert.equal(n, 2)
})

test('an aborted write has an unknown outcome', async () => {
  const world = new World()
  const abort = new AbortController()
  world.serve = () => problem(503, 'busy')
  const answer = assert.rejects(world.client().request('POST', '/v1/groups/{id}/leave', { params: { id: 'g' }, signal: abort.signal }), UnknownOutcome)
  await world.settle()
  abort.abort()
  await answer
})

test('signing in needs no token, and a rejected one is replaced once', async () => {
  const world = new World()
  let n = 0
  world.serve = request => (request.headers.get('authorization') === 'Bearer t1' ? problem(401, 'unauthorized') : json({}))
  const client = world.client({ token: () => `t${++n}` })
  await client.request('POST', '/v1/auth/signin', { body: { email: '', pass: '' } })
  assert.equal(world.requests[0]!.headers.get('authorization'), null)
  const me = client.request('GET', '/v1/auth/me')
  await world.pass(1000)
  await me
  assert.equal(n, 2)
})
