// Typing, presence, read marks, unread counts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { markRead, markUnread, People, readAll, replaces, unread } from '../src/index.js'
import { json, thread, World } from './world.js'

async function online() {
  const world = new World()
  const client = world.client()
  client.follow(thread, { from: 'aaaa:0', onEvents() {} })
  await world.settle()
  world.socket.welcome().subscribed()
  let changes = 0
  const people = new People(client, thread, () => changes++)
  return { world, client, people, changes: () => changes }
}

const typing = (name: string) => ({ op: 'signal', stream: thread, type: 'typing', actor: { user_id: name, name, role: 'user' } })

test('typing ends by itself, six seconds after the last signal, and with the message', async () => {
  const { world, people } = await online()
  const names = () => people.typing.map(a => a.name)
  world.socket.say(typing('wati'))
  await world.pass(4000)
  world.socket.say(typing('joko'))
  await world.pass(1999)
  assert.deepEqual(names(), ['wati', 'joko'])
  await world.pass(1)
  assert.deepEqual(names(), ['joko'])
  await world.pass(4000)
  assert.deepEqual(names(), [])
  world.socket.say(typing('joko'))
  people.posted('joko')
  assert.deepEqual(names(), [])
})

test('one signal of one’s own in three seconds', async () => {
  const { world, people } = await online()
  for (let i = 0; i < 60; i++) {
    people.typed()
    await world.pass(100)
  }
  assert.equal(world.socket.of('signal').length, 2)
})

test('presence is not known without a connection', async () => {
  const { world, people, changes } = await online()
  world.socket.say({ op: 'signal', stream: thread, type: 'presence', data: { present: 2, users: ['a', 'b'] } })
  world.socket.say({ op: 'signal', stream: 'thread/other', type: 'presence', data: { present: 9 } })
  assert.deepEqual(people.present, { present: 2, users: ['a', 'b'] })
  world.socket.end()
  assert.equal(people.present, undefined)
  const before = changes()
  people.close()
  await world.pass(600)
  world.socket.welcome().subscribed().say(typing('wati'))
  assert.equal(changes(), before)
})

test('unread counts are the server’s, over all pages; a mark is a write', async () => {
  const world = new World()
  const pages = [json([{ thread_id: 'a', unread: 2 }], 200, { 'x-next-cursor': 'c2' }), json([{ thread_id: 'b', unread: 1 }]), json({ n: 7 })]
  world.serve = () => pages[world.requests.length - 1]!
  const client = world.client()
  assert.deepEqual((await unread(client)).map(u => u.thread_id), ['a', 'b'])
  assert.equal(world.requests[1]!.url.search, '?cursor=c2')
  await markRead(client, 'a', 'm1')
  assert.equal(world.requests[2]!.body, '{"message_id":"m1"}')
  assert.ok(world.requests[2]!.headers.get('idempotency-key'))
})

test('of two marks, the greater pair of generation and n holds', () => {
  const marks = [[0, 0], [0, 7], [1, 2], [1, 9], [2, 0]].map(([generation, n]) => ({ generation: generation!, n: n! }))
  for (const [i, a] of marks.entries()) {
    assert.equal(replaces(a, undefined), true)
    for (const [j, b] of marks.entries()) assert.equal(replaces(a, b), i > j, `${i} and ${j}`)
  }
})

test('marking names the generation that is known', async () => {
  const world = new World()
  world.serve = () => json({ generation: 4, n: 7 })
  const client = world.client()
  await markRead(client, 't', 'm', 3)
  await markUnread(client, 't', 'm', 3)
  await readAll(client, 'rt05')
  assert.deepEqual(world.requests.map(r => `${r.url.pathname} ${r.body}`), [
    '/v1/chat/threads/t/read-cursor {"message_id":"m","generation":3}',
    '/v1/chat/threads/t/read-cursor {"message_id":"m","generation":3,"unread":true}', '/v1/chat/unread/read {"scope_id":"rt05"}',
  ])
})
