// Proofs of the real server, and what is altered in them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { Client } from '../src/index.js'
import { checkEvent, checkProof, type EventProof } from '../src/proof.js'
import { binary, serve, type Server } from './server.js'

let server: Server
let client: Client
let stream: string
let keys: string[]
let proofs: EventProof[]

before(async () => {
  server = await serve()
  const url = `http://127.0.0.1:${server.port}`
  let token = ''
  client = new Client({ url, token: () => token })
  const { body: login } = await client.request('POST', '/v1/auth/signup', {
    body: { email: 'wati@rt05.example', pass: 'hujan-deras-2026', username: 'Wati', community_id: 'rt05' },
  })
  token = login.access_token
  const { body: made } = await client.request('POST', '/v1/chat/threads', { body: { scope_id: 'rt05', privacy_level: 'public' } })
  const id = (made as { thread_id: string }).thread_id
  stream = `thread/${id}`
  for (const body of ['satu', 'dua', 'tiga']) await client.request('POST', '/v1/chat/threads/{id}/messages/send', { params: { id }, body: { body } })
  keys = execFileSync(binary, ['audit', 'checkpoint', `--checkpoints=${server.checkpoints}`, '--keys'], { encoding: 'utf8' }).trim().split('\n')
  proofs = []
  for (const seq of [1, 2, 3, 4]) proofs.push((await client.request<EventProof>('GET', `/v1/streams/thread/${id}/events/${seq}/proof`)).body)
})

after(() => {
  client.close()
  server.stop()
})

test('each event is in the log, and what is returned is what was checked', async () => {
  for (const seq of [1, 2, 3, 4]) {
    const checked = await checkEvent(client, stream, seq, keys)
    assert.equal(checked.result, 'checked', JSON.stringify(checked))
    if (checked.result === 'checked' && seq === 2) assert.match(JSON.stringify(checked), /satu/)
  }
})

test('an event that does not exist is not checkable', async () => {
  assert.equal((await checkEvent(client, stream, 99, keys)).result, 'not checkable')
})

test('whatever is altered is wrong', async () => {
  const flip = (s: string) => (s[0] === 'A' ? 'B' : 'A') + s.slice(1)
  const digit = (s: string) => (s[0] === '0' ? '1' : '0') + s.slice(1)
  const [, one, two] = proofs as [EventProof, EventProof, EventProof]
  const changes: Array<Partial<EventProof>> = [
    { form: 'gotong-event-proof-2' }, { stream: 'thread/other' }, { seq: one.seq + 1 }, { seq: 0 }, { position: one.position + 1 }, { position: 0 },
    { epoch: 'aaaa' }, { partition: one.partition + 1 }, { id: two.id }, { type: 'message.deleted' }, { at: one.at + 1 }, { audience: 'all' }, { count: 9 },
    { prev: digit(one.prev) }, { data_commitment: digit(one.data_commitment) }, { content_commitment: digit(one.content_commitment) },
    { data: flip(one.data) }, { data_salt: flip(one.data_salt) }, { content: flip(one.content!) }, { content_salt: flip(one.content_salt!) },
    { content: undefined }, { content_salt: undefined }, { first: one.first - 1 }, { chains: [] }, { chains: [digit(one.chains[0]!)] },
    { proof: two.proof }, { proof: '' }, { proof: one.proof.replace(/index \d+/, 'index 0') }, { evidence: [two] }, { chains: undefined as never },
    { proof: one.proof.replace(/(— \S+ .{20})./, '$1!') }, { proof: one.proof.replace(/\n\n(.*)\n(\d+)\n/, '\n\n$1\n1$2\n') }, { id: 'x' },
  ]
  for (const change of changes) {
    const { result } = await checkProof({ ...one, ...change }, keys)
    assert.equal(result, 'wrong', JSON.stringify(change))
  }
})

test('content that was left out is no fault, and is not returned', async () => {
  const { content, content_salt, ...rest } = proofs[1]!
  const checked = await checkProof(rest, keys)
  assert.equal(checked.result, 'checked')
  assert.equal('content' in checked, false)
  assert.doesNotMatch(JSON.stringify(checked), /satu/)
})

test('of a proof without data, the header alone is checked, and only if the caller wants that', async () => {
  const { data, data_salt, content, content_salt, ...header } = proofs[1]!
  const bare = header as EventProof
  assert.equal((await checkProof(bare, keys)).result, 'wrong')
  const checked = await checkProof(bare, keys, true)
  assert.deepEqual([checked.result, (checked as { data?: unknown }).data], ['checked', undefined])
  assert.equal((await checkProof({ ...bare, type: 'message.deleted' }, keys, true)).result, 'wrong')
  assert.equal((await checkProof({ ...bare, data_commitment: proofs[2]!.data_commitment }, keys, true)).result, 'wrong')
})

test('a key of another is wrong, none at all is not checked, and no key is a fault of the caller', async () => {
  const { publicKey } = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair
  const raw = Buffer.from(await crypto.subtle.exportKey('raw', publicKey))
  const other = keys[0]!.replace(/\+[^+]{8}\+.*/, `+00000000+${Buffer.concat([Buffer.of(1), raw]).toString('base64')}`)
  assert.equal((await checkProof(proofs[0]!, [other])).result, 'wrong')
  assert.equal((await checkProof(proofs[0]!, [other, ...keys])).result, 'checked')
  assert.equal((await checkProof(proofs[0]!, ['elsewhere' + keys[0]!])).result, 'wrong')
  assert.equal((await checkProof(proofs[0]!, [])).result, 'not checked')
  await assert.rejects(checkProof(proofs[0]!, ['x']), TypeError)
})

test('without a secure context, this is said', async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, 'crypto')!
  Object.defineProperty(globalThis, 'crypto', { value: {}, configurable: true })
  try {
    const checked = await checkProof(proofs[0]!, keys)
    assert.deepEqual([checked.result, /secure context/.test(JSON.stringify(checked))], ['not checked', true])
  } finally {
    Object.defineProperty(globalThis, 'crypto', own)
  }
})
