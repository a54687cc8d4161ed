// WebSocket, SSE, long-poll, and back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventParser } from '../src/sse.js'
import { packCursors, parseCursor, storedCursors, unpackCursors } from '../src/cursor.js'
import { FakeStream, json, thread, World } from './world.js'

const ticket = () => json({ ticket: 'x', expires_at_ms: 0 }, 201)

/** Tickets and event streams work. */
function served(world: World) {
  const streams: FakeStream[] = []
  world.serve = request => {
    if (request.path.endsWith('tickets')) return ticket()
    if (!request.path.endsWith('sse')) return new Promise(() => {})
    streams.push(new FakeStream())
    streams.at(-1)!.say({ op: 'subscribed', stream: thread, cursor: 'aaaa:3' })
    return streams.at(-1)!.response()
  }
  return streams
}

function follow(world: World, options = {}) {
  const got: number[] = []
  const client = world.client(options)
  client.follow(thread, { from: 'aaaa:3', onEvents: events => void got.push(...events.map(e => e.seq)) })
  return { client, got }
}

test('a WebSocket that is refused where the server can be reached: SSE', async () => {
  const world = new World()
  served(world)
  const { client } = follow(world)
  await world.settle()
  world.socket.end()
  await world.pass(200)
  assert.deepEqual([client.state.name, client.state.transport], ['online', 'sse'])
})

test('a server that is down is no reason to fall back', async () => {
  const world = new World()
  world.onSocket = s => queueMicrotask(() => s.end())
  world.serve = () => Promise.reject(new TypeError('Failed to fetch'))
  const { client } = follow(world)
  await world.pass(300_000)
  served(world)
  world.onSocket = s => queueMicrotask(() => s.welcome())
  await world.pass(31_000)
  assert.deepEqual([client.state.name, client.state.transport], ['online', 'websocket'])
})

test('three WebSockets in a row that open and deliver nothing: SSE', async () => {
  const world = new World()
  served(world)
  world.onSocket = s => queueMicrotask(() => s.open().end())
  const { client } = follow(world)
  await world.pass(3000)
  assert.equal(world.sockets.length, 3)
  assert.equal(client.state.transport, 'sse')
})

test('a WebSocket that never opens is given up after 10 s', async () => {
  const world = new World()
  served(world)
  const { client } = follow(world)
  await world.pass(10_200)
  assert.equal(client.state.transport, 'sse')
  assert.ok(world.socket.closed)
})

test('better transports are tried every 30 s beside the one that works, which goes only when they deliver', async () => {
  const world = new World()
  const streams = served(world)
  world.onSocket = s => queueMicrotask(() => s.end())
  const { client, got } = follow(world)
  await world.pass(1000)
  assert.equal(world.sockets.length, 1)
  world.onSocket = undefined
  await world.pass(30_000)
  assert.equal(world.sockets.length, 2)
  world.socket.open()
  streams[0]!.say({ op: 'events', stream: thread, from: 3, to: 4, events: [{ seq: 4, data: {} }] })
  await world.settle()
  assert.equal(client.state.transport, 'sse') // opened, nothing delivered
  world.socket.welcome()
  assert.equal(client.state.transport, 'websocket')
  assert.equal(world.socket.of('subscribe')[0].cursor, 'aaaa:4')
  streams[0]!.say({ op: 'events', stream: thread, from: 4, to: 5, events: [{ seq: 5, data: {} }] }) // too late
  world.socket.subscribed(thread, 'aaaa:4').events(4, 5)
  await world.settle()
  assert.deepEqual(got, [4, 5])
})

test('a candidate that fails costs nothing, and the next try is 30 s later', async () => {
  const world = new World()
  const streams = served(world)
  world.onSocket = s => queueMicrotask(() => s.end())
  const { client } = follow(world)
  for (let i = 0; i < 7; i++) {
    await world.pass(15_000)
    streams[0]!.write(': still here\n\n')
  }
  assert.equal(client.state.transport, 'sse')
  assert.equal(streams.length, 1)
  assert.ok(world.sockets.length >= 4 && world.sockets.length <= 5, `${world.sockets.length} sockets in 105 s`)
})

test('an event stream that a proxy holds back: long-poll', async () => {
  const world = new World()
  world.onSocket = s => queueMicrotask(() => s.end())
  world.serve = request => {
    if (request.path.endsWith('tickets')) return ticket()
    if (request.path.endsWith('sse')) return new FakeStream().response()
    return request.url.searchParams.get('wait') === '0ms' ? json({ cursor: 'x', frames: [] }) : new Promise(() => {})
  }
  const { client } = follow(world)
  await world.pass(40_000)
  assert.equal(client.state.transport, 'poll')
})

test('a ticket instead of a token: a fresh one for each connection, and no long-poll', async () => {
  const world = new World()
  let n = 0
  served(world)
  const { client } = follow(world, { token: undefined, ticket: async () => `ticket${++n}` })
  await world.settle()
  assert.match(world.socket.url, /^ws:\/\/gotong\.example\/v1\/realtime\/ws\?ticket=ticket1$/)
  world.socket.welcome().end()
  await world.pass(600)
  assert.match(world.socket.url, /ticket2/)
  for (let i = 0; i < 3; i++) {
    world.socket.open().end()
    await world.pass(3000)
  }
  assert.equal(client.state.transport, 'sse')
  const sse = world.requests.at(-1)!
  assert.equal(sse.url.searchParams.get('ticket'), `ticket${n}`)
  assert.equal(sse.headers.get('authorization'), null)
})

test('without a WebSocket, as in Node 20, the others are used', async () => {
  const world = new World()
  Object.assign(world.platform, { WebSocket: undefined })
  served(world)
  const { client } = follow(world)
  await world.pass(100)
  assert.equal(client.state.transport, 'sse')
})

test('streams that change over SSE lead to one new request', async () => {
  const world = new World()
  served(world)
  const { client } = follow(world, { transports: ['sse'] })
  await world.pass(200)
  client.follow('thread/b', { from: 'aaaa:1', onEvents() {} })
  client.follow('thread/c', { from: 'aaaa:2', onEvents() {} })
  await world.pass(200)
  assert.equal(world.requests.length, 2)
  assert.equal(atob(world.requests[1]!.url.searchParams.get('cursor')!).split('\n').length, 3)
})

// The parser, after the files of web-platform-tests in eventsource/.
const parsed: Array<[string, string[], string[]]> = [
  ['message', ['data: msg\n\n'], ['msg']],
  ['data before final empty line', ['retry:1000\ndata:test1\n\nid:test\ndata:test2'], ['test1']],
  ['BOM', ['\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n'], ['1', '3']],
  ['comments', [': 1\n:\u0000\ndata:1\n:\n\n'], ['1']],
  ['data', ['data:msg\ndata\n\n:\ndata\n\ndata:end\n\n'], ['msg\n', '', 'end']],
  ['leading space', ['data:\ttest\rdata: \ndata:test\n\n'], ['\ttest\n\ntest']],
  ['newlines', ['data:test\r\ndata\ndata:test\r\n\r'], ['test\n\ntest']],
  ['null character', ['data:\u0000\n\n\n'], ['\u0000']],
  ['unknown fields', ['data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n'], ['test\n\ntest']],
  ['UTF-8', ['data:ok…\n\n'], ['ok…']],
  ['CR and LF in two pieces', ['data:1\r', '\n', '\r', '\ndata:2\r\n\r\n'], ['1', '2']],
  ['one character at a time', [...'data: a\r\n\r\ndata:b\n\n'], ['a', 'b']],
]
for (const [name, pieces, want] of parsed) {
  test(`event stream: ${name}`, () => {
    const got: string[] = []
    const parser = new EventParser(data => got.push(data))
    const decoder = new TextDecoder()
    for (const piece of pieces) parser.push(decoder.decode(new TextEncoder().encode(piece), { stream: true }))
    assert.deepEqual(got, want)
  })
}

test('cursors', () => {
  assert.deepEqual(parseCursor('rwjrtjnz:41'), { epoch: 'rwjrtjnz', seq: 41 })
  for (const bad of ['', 'a:1', 'abcd', 'abcd:', 'abcd:01', 'abcd:-1', 'ABCD:1', 'abcd:1 ', 'abcd:99999999999999999999', null]) {
    assert.equal(parseCursor(bad), undefined, String(bad))
  }
  const packed = packCursors([['thread/a', 'abcd:1'], ['group/ent-b', 'abcd:22']])
  assert.match(packed, /^[\w-]+$/)
  assert.deepEqual([...unpackCursors(packed)], [['thread/a', { epoch: 'abcd', seq: 1 }], ['group/ent-b', { epoch: 'abcd', seq: 22 }]])
  assert.equal(unpackCursors('!').size, 0)
  const kept = new Map<string, string>()
  const store = storedCursors('x:', { getItem: k => kept.get(k) ?? null, setItem: (k, v) => void kept.set(k, v), removeItem: k => void kept.delete(k) })
  store.set('thread/a', 'abcd:1')
  assert.deepEqual([...kept], [['x:thread/a', 'abcd:1']])
  assert.equal(store.get('thread/a'), 'abcd:1')
})
