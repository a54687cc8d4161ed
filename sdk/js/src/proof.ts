// Checks that an event is in the log of a server, as docs/audit.md describes it,
// with keys that come from elsewhere. It is an entry of its own:
// @gotong/client/proof.
import type { Client } from './client.js'
import { Problem } from './problem.js'

/** The proof of an event, as GET /v1/streams/{kind}/{id}/events/{seq}/proof returns it. */
export interface EventProof {
  form: string
  stream: string
  seq: number
  position: number
  epoch: string
  partition: number
  id: string
  type: string
  at: number
  audience: string
  count: number
  prev: string
  data_commitment: string
  content_commitment: string
  data: string
  data_salt: string
  content?: string
  content_salt?: string
  first: number
  chains: string[]
  proof: string
  evidence?: EventProof[]
}

/** What came of a check. */
export type Checked =
  /** All of it matches. Data is the event's; content is absent if it was erased or edited, or if there is none. */
  | { result: 'checked'; data: unknown; content?: unknown; origin: string; size: number }
  /** The log was altered, or the answer was. */
  | { result: 'wrong'; reason: string }
  /** Nothing is known: this page has no means to check (Web Crypto needs HTTPS or localhost, and Ed25519), or no key. */
  | { result: 'not checked'; reason: string }
  /** There is nothing to check: the event may not be read, or no checkpoint covers it yet. */
  | { result: 'not checkable'; reason: string }

/** What makes a check fail for good. */
class Wrong extends Error {}

/**
 * Fetches the proof of an event and checks it with verifier keys
 * ("INSTANCE+HASH+BASE64", as `gotong audit checkpoint --keys` prints them).
 * They must not come from the same server. Cosignatures of witnesses are not
 * checked.
 */
export async function checkEvent(client: Client, stream: string, seq: number, keys: string[]): Promise<Checked> {
  const [kind, id] = stream.split('/')
  try {
    const path = `/v1/streams/${kind}/${encodeURIComponent(id ?? '')}/events/${seq}/proof`
    const { body } = await client.request<EventProof>('GET', path)
    if (body?.stream !== stream || body.seq !== seq) return { result: 'wrong', reason: 'the proof of another event' }
    return await checkProof(body, keys)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.status === 404) return { result: 'not checkable', reason: 'the event may not be read' }
    if (error.code === 'not_yet') return { result: 'not checkable', reason: 'no checkpoint covers the event yet' }
    throw error
  }
}

/**
 * Checks a proof that is at hand. With withheld, its data and content are not:
 * then it shows that an event with this header is in the log, not what it says.
 */
export async function checkProof(proof: EventProof, keys: string[], withheld = false): Promise<Checked> {
  const subtle = globalThis.crypto?.subtle
  if (!subtle) return { result: 'not checked', reason: 'Web Crypto is missing: the page is not in a secure context' }
  const trusted = keys.map(parseKey)
  if (trusted.length === 0) return { result: 'not checked', reason: 'no key' }
  try {
    for (const { raw } of trusted) await subtle.importKey('raw', raw, 'Ed25519', false, ['verify'])
  } catch {
    return { result: 'not checked', reason: 'this browser does not know Ed25519' }
  }
  try {
    const checkpoint = await check(proof, trusted, withheld)
    for (const of of proof.evidence ?? []) {
      if (of.stream !== proof.stream || !(of.seq < proof.seq) || of.evidence) throw new Wrong('evidence of another event')
      await check(of, trusted)
    }
    return { result: 'checked', ...checkpoint, data: withheld ? undefined : parse(proof.data), ...(!withheld && proof.content !== undefined && { content: parse(proof.content) }) }
  } catch (error) {
    // What is malformed throws of itself, and is as wrong as what does not match.
    return { result: 'wrong', reason: error instanceof Wrong ? error.message : `malformed: ${(error as Error).message}` }
  }
}

async function check(e: EventProof, keys: Key[], withheld = false): Promise<{ origin: string; size: number }> {
  if (e.form !== 'gotong-event-proof-1') throw new Wrong('not a proof of an event')
  await checkBytes(e, withheld)
  const { index, path, checkpoint } = parsePath(e.proof)
  const { origin, size, root } = await openCheckpoint(checkpoint, keys)
  const { partition, position } = e
  if (!(position > 0 && position <= size) || index !== position - 1 || !origin.endsWith(`/p${partition}`)) {
    throw new Wrong('the checkpoint does not cover the event')
  }
  const leaf = await sha256(bytes(0x00), bytes(1), number(partition), number(position), field(text(e.stream)), number(e.first),
    number(e.chains.length), ...e.chains.map(chain => field(hex(chain))))
  if (!(await includes(path, index, size, leaf, root))) throw new Wrong('the commit is not in the tree')
  return { origin, size }
}

/** The fields give the chain value, and data and content match their commitments. */
async function checkBytes(e: EventProof, withheld: boolean): Promise<void> {
  const n = e.seq - e.first
  if (!(e.first > 0 && n >= 0 && n < e.chains.length)) throw new Wrong('the place of the event in its commit')
  const id = hex(e.id.replaceAll('-', ''))
  const chain = await sha256(bytes(0x10), bytes(2), field(text(e.epoch)), number(e.partition), field(text(e.stream)), number(e.seq),
    field(id), field(text(e.type)), number(e.at), field(text(e.audience)), number(e.count), field(hex(e.prev)),
    field(hex(e.data_commitment)), field(hex(e.content_commitment)))
  if (!same(chain, hex(e.chains[n]!)) || instantOf(id) !== e.at) throw new Wrong('the chain value')
  if (n > 0 && e.chains[n - 1] !== e.prev) throw new Wrong('the previous chain value')
  if (withheld) return
  const commits = async (tag: number, salt: string | undefined, body: string, to: string) =>
    base64(salt ?? '').length === 32 && same(await sha256(bytes(tag), base64(salt!), base64(body)), hex(to))
  if (!(await commits(0x20, e.data_salt, e.data, e.data_commitment))) throw new Wrong('the data')
  if (e.content === undefined && !e.content_salt) return // erased or withheld
  if (!(await commits(0x21, e.content_salt, e.content ?? '', e.content_commitment))) throw new Wrong('the content')
}

/** The microseconds from which an event's id was built. */
function instantOf(id: Uint8Array): number {
  const milli = id.slice(0, 6).reduce((n, b) => n * 256 + b, 0)
  const fraction = ((id[6]! & 0x0f) << 8) | id[7]!
  return milli * 1000 + Math.floor((fraction * 1000 + 4095) / 4096)
}

/** Reads a C2SP tlog-proof. */
function parsePath(proof: string): { index: number; path: Uint8Array[]; checkpoint: string } {
  const at = proof.indexOf('\n\n')
  const [form, ...lines] = proof.slice(0, at).split('\n')
  if (form !== 'c2sp.org/tlog-proof@v1' || at < 0) throw new Wrong('not a tlog-proof')
  if (lines[0]?.startsWith('extra ')) lines.shift()
  const [, index] = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '') ?? []
  if (index === undefined) throw new Wrong('a tlog-proof without an index')
  return { index: Number(index), path: lines.map(base64), checkpoint: proof.slice(at + 2) }
}

interface Key {
  instance: string
  raw: Uint8Array<ArrayBuffer>
}

function parseKey(verifier: string): Key {
  const [instance, , encoded] = verifier.split(/\+(.{8})\+/)
  const key = base64(encoded ?? '')
  if (!instance || key.length !== 33 || key[0] !== 1) throw new TypeError(`not an Ed25519 verifier key: ${verifier}`)
  return { instance, raw: key.slice(1) }
}

/** Reads a checkpoint, a C2SP signed note. One of the keys must have signed it, as a key of its own instance. */
async function openCheckpoint(note: string, keys: Key[]): Promise<{ origin: string; size: number; root: Uint8Array }> {
  const at = note.indexOf('\n\n')
  const signed = note.slice(0, at + 1)
  const [origin = '', size = '', root = '', end] = signed.split('\n')
  if (at < 0 || end !== '' || !/^(0|[1-9]\d{0,15})$/.test(size) || base64(root).length !== 32) throw new Wrong('not a checkpoint')
  const signatures = note.slice(at + 2).split('\n').map(line => line.split(' '))
  for (const { instance, raw } of keys) {
    if (origin.replace(/\/[^/]+\/p\d+$/, '') !== instance) continue
    const hash = (await sha256(text(`${origin}\n`), bytes(1), raw)).slice(0, 4)
    const key = await crypto.subtle.importKey('raw', raw, 'Ed25519', false, ['verify'])
    for (const [dash, name, encoded] of signatures) {
      const signature = dash === '—' && name === origin ? base64(encoded ?? '') : bytes()
      if (signature.length !== 68 || !same(signature.slice(0, 4), hash)) continue
      if (await crypto.subtle.verify('Ed25519', key, signature.slice(4), text(signed))) return { origin, size: Number(size), root: base64(root) }
      throw new Wrong('the signature of the checkpoint')
    }
  }
  throw new Wrong('the checkpoint has no signature of a given key')
}

/** The path leads from the leaf to the root (RFC 9162, section 2.1.3.2). */
async function includes(path: Uint8Array[], index: number, size: number, leaf: Uint8Array, root: Uint8Array): Promise<boolean> {
  let [at, last, hash] = [index, size - 1, leaf]
  const up = () => {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  for (const other of path) {
    if (last === 0 || other.length !== 32) return false
    const right = at % 2 === 1 || at === last
    hash = right ? await sha256(bytes(1), other, hash) : await sha256(bytes(1), hash, other)
    while (right && at % 2 === 0 && at > 0) up()
    up()
  }
  return last === 0 && same(hash, root)
}

// Bytes.

const bytes = (...list: number[]) => Uint8Array.from(list)
const text = (s: string) => new TextEncoder().encode(s)
const base64 = (s: string) => Uint8Array.from(atob(s), c => c.charCodeAt(0))
const parse = (s: string): unknown => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(base64(s)))

function hex(s: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(s)) throw new Wrong('not hexadecimal')
  return Uint8Array.from(s.match(/../g) ?? [], pair => parseInt(pair, 16))
}

/** A value preceded by its length. */
function field(value: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + value.length)
  new DataView(out.buffer).setUint32(0, value.length)
  out.set(value, 4)
  return out
}

function number(n: number): Uint8Array {
  if (!Number.isSafeInteger(n)) throw new Wrong('a number that is too large')
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigInt64(0, BigInt(n))
  return field(out)
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  const all = Uint8Array.from(parts.flatMap(part => [...part]))
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all))
}

/** Compares all bytes, whatever the first difference. */
function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.reduce((difference, byte, i) => difference | (byte ^ b[i]!), 0) === 0
}
