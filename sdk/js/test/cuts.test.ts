// The client against the real server, behind a proxy that cuts connections at
// random bytes: nothing is lost, nothing comes twice, the order stays.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { Client, defaultTimes, type rest, type Transport } from '../src/index.js'
import { collect } from './collect.js'
import { CuttingProxy, seeded } from './proxy.js'
import { serve, signUp, type Server } from './server.js'

const wanted = 200 // cuts
let server: Server

// The waits are shorter than in life, so that 200 cuts fit into seconds.
const times = { ...defaultTimes, floor: 1, base: 5, cap: 50, hurry: 5, poll: 200, quick: 1, open: 5000 }
const platform = { WebSocket, times }

before(async () => void (server = await serve()))
after(() => server.stop())

async function person(name: string): Promise<{ token: string; client: Client }> {
  const url = `http://127.0.0.1:${server.port}`
  const anybody = new Client({ url, platform })
  const token = await signUp(anybody, name)
  anybody.close()
  return { token, client: new Client({ url, token: () => token, platform, transports: ['websocket'] }) }
}

// How many bytes a connection carries at most: a few times what one answer takes.
const ways: Array<[transport: Transport, longest: number]> = [['websocket', 12_000], ['sse', 12_000], ['poll', 12_000]]

/** Follows a thread over a transport that is cut again and again, while messages are posted to it. */
async function throughCuts(transport: Transport, longest: number, tell: (figures: string) => void): Promise<void> {
  const { token, client: poster } = await person(`Warga${transport}`)
  const proxy = new CuttingProxy(server.port, wanted, seeded(transport.length), longest)
  const follower = new Client({ url: `http://127.0.0.1:${await proxy.listen()}`, token: () => token, platform, transports: [transport] })
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`after ${proxy.cuts} cuts: ${JSON.stringify(follower.state)}`)), 600_000).unref() // so long takes only what is broken
  })
  const say = (stream: string, body: string) => Promise.race([poster.command({ stream, type: 'message.post', data: { body } }), late])
  try {
    const made = await poster.request('POST', '/v1/chat/threads', { body: { scope_id: 'rt05', privacy_level: 'public' } })
    const stream = `thread/${(made.body as rest.ChatThreadView).thread_id}`
    let seen = 0
    let progressed = () => {}
    const collected = collect(follower, stream, transport === 'websocket', so => {
      seen = so.seqs.length
      progressed()
    })
    const failed = collected.then(() => assert.ok(proxy.done, 'it ended early'))
    const sent: string[] = []
    let cutAt = 0 // the events that had been seen when the last cut came
    while (!proxy.done) {
      // It must be able to keep up: else no frame is short enough for the bytes that a connection carries.
      if (sent.length - seen > 4) await Promise.race([new Promise<void>(resolve => (progressed = resolve)), failed, late])
      if (!proxy.done) cutAt = seen
      const body = `message ${sent.length} ${'x'.repeat(sent.length % 300)}.`
      sent.push(body)
      await Promise.race([say(stream, body), failed])
    }
    const waiting = [...follower.pending]
    await Promise.race([Promise.all(waiting), late])
    const { seq } = await say(stream, 'end')
    const { seqs, bodies } = await Promise.race([collected, late])
    assert.ok(seqs.length >= seq[1]!) // its own messages may follow
    assert.deepEqual(seqs, seqs.map((_, i) => i + 1))
    assert.deepEqual(bodies.filter(b => b.startsWith('message ')), sent)
    const own = bodies.filter(b => b.startsWith('own '))
    assert.equal(new Set(own).size, own.length)
    assert.ok(cutAt > 20, `it saw ${cutAt} events between cuts`)
    for (const { data } of waiting) assert.ok(own.includes((data as { body: string }).body))
    tell(`${transport}: ${proxy.cuts} cuts, ${cutAt} events meanwhile, ${own.length} of its own`)
  } finally {
    for (const client of [poster, follower]) client.close()
    proxy.close()
  }
}

test('200 cuts on each transport: 0 lost, 0 doubled, in order', async t => {
  const all = await Promise.allSettled(ways.map(way => throughCuts(...way, figures => t.diagnostic(figures))))
  for (const one of all) if (one.status === 'rejected') throw one.reason
})
