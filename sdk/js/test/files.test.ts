// Uploads that are cut, links and downloads.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { download, Problem, upload } from '../src/index.js'
import { json, problem, World } from './world.js'

const at = '/v1/chat/attachments'

/** A server that keeps what arrives; cut says how much of the nth part does, if not all. */
class Store {
  bytes = new Uint8Array()
  length = 0
  parts = 0
  headers: Record<string, string>[] = []
  cut: (n: number, part: Uint8Array) => number | undefined = () => undefined
  readonly world = new World()

  constructor() {
    this.world.serve = async (r) => {
      const init = r.init as RequestInit & { headers: Record<string, string> }
      const tus = { 'upload-offset': String(this.bytes.length) }
      switch (init.method) {
        case 'POST':
          this.headers.push(init.headers)
          this.length = Number(init.headers['upload-length'])
          return new Response(null, { status: 201, headers: { ...tus, location: `${at}/u1` } })
        case 'HEAD': return new Response(null, { status: 200, headers: tus })
        case 'PATCH': {
          if (Number(init.headers['upload-offset']) !== this.bytes.length) return problem(409, 'state_conflict')
          const part = new Uint8Array(await (init.body as Blob).arrayBuffer())
          const arrives = this.cut(this.parts++, part)
          this.bytes = new Uint8Array(Buffer.concat([this.bytes, part.subarray(0, arrives)]))
          if (arrives !== undefined) throw new TypeError('cut')
          return new Response(null, { status: 204, headers: { 'upload-offset': String(this.bytes.length) } })
        }
        default:
          if (r.url.pathname.endsWith('/link')) return json({ attachment_id: 'u1', url: `${at}/u1/download?link=x` })
          return new Response(this.bytes)
      }
    }
  }
}

const data = new Uint8Array(2_500_000).map((_, i) => i * 7)

test('an upload that is cut anywhere is whole', async () => {
  for (const share of [0, 0.3, 1]) {
    const store = new Store()
    store.cut = (n, part) => n % 2 === 0 && n < 6 ? Math.floor(part.length * share) : undefined
    const client = store.world.client()
    let begun = ''
    let last = -1
    let done = false
    const file = upload(client, 't1', new Blob([data]), { name: 'désa.bin', onBegun: id => { begun = id }, onProgress: n => {
      assert.ok(n >= last)
      last = n
    } })
    file.finally(() => { done = true })
    while (!done) await store.world.pass(50)
    assert.equal((await file).attachment_id, 'u1')
    assert.deepEqual([begun, last, store.length], ['u1', data.length, data.length])
    assert.ok(Buffer.from(store.bytes).equals(Buffer.from(data)))
    assert.equal(store.headers[0]!['upload-metadata'], `filename ${Buffer.from('désa.bin').toString('base64')}`)
    const got = await (await download(client, 'u1')).arrayBuffer()
    assert.ok(Buffer.from(got).equals(Buffer.from(data)))
  }
})

test('an upload that the server rejects ends', async () => {
  const store = new Store()
  const serve = store.world.serve
  store.world.serve = r => (r.init as RequestInit).method === 'PATCH' ? problem(413, 'too_large') : serve(r)
  await assert.rejects(upload(store.world.client(), 't1', new Blob(['x'])), (e: Problem) => e.status === 413)
})

test('an upload that is given up ends', async () => {
  const store = new Store()
  const stop = new AbortController()
  store.cut = () => {
    stop.abort()
    return 0
  }
  await assert.rejects(upload(store.world.client(), 't1', new Blob(['x']), { signal: stop.signal }))
  assert.equal(store.parts, 1)
})
