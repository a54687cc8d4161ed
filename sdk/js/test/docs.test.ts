// The example of docs/protocol.md, for pages without this client, does what the
// page says.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { json } from './world.js'

const page = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8')
const example = /```js\n(async function follow[\s\S]*?)```/.exec(page)![1]!

test('an EventSource is closed in onerror, and a new one has a fresh ticket and the last cursor', async () => {
  const sources: Array<{ url: URL; closed: boolean; onmessage: (e: object) => void; onerror: () => void }> = []
  const waits: Array<() => void> = []
  let tickets = 0
  let reachable = true
  class EventSource {
    url: URL
    closed = false
    constructor(url: string) {
      this.url = new URL(url, 'http://gotong.example')
      sources.push(this as never)
    }
    close(): void {
      this.closed = true
    }
  }
  const fetch = async () => (reachable ? json({ ticket: `ticket${++tickets}` }, 201) : Promise.reject(new TypeError()))
  const later = (run: (...args: unknown[]) => void, ms: number, ...args: unknown[]) => {
    assert.ok(ms >= 500)
    waits.push(() => run(...args))
  }
  const make = new Function('token', 'fetch', 'EventSource', 'setTimeout', `${example}; return follow`)
  const got: object[] = []
  await make('t1', fetch, EventSource, later)('thread/a', (frame: object) => got.push(frame))
  const [first] = sources
  assert.deepEqual(Object.fromEntries(first!.url.searchParams), { stream: 'thread/a', cursor: 'start', ticket: 'ticket1' })
  first!.onmessage({ data: '{"op":"events"}', lastEventId: 'cursor1' })
  first!.onerror()
  assert.ok(first!.closed)
  reachable = false
  waits.shift()!()
  await new Promise(setImmediate)
  assert.equal(sources.length, 1)
  reachable = true
  waits.shift()!() // a failed ticket waits, too
  await new Promise(setImmediate)
  assert.deepEqual(Object.fromEntries(sources[1]!.url.searchParams), { stream: 'thread/a', cursor: 'cursor1', ticket: 'ticket2' })
  assert.deepEqual(got, [{ op: 'events' }])
})
