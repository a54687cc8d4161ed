import { Pace } from './pace.js'
import { requestId, Timer, type Platform } from './platform.js'
import { Problem, problemOf, SignedOut, UnknownOutcome } from './problem.js'
import type { Operations } from './rest.js'
import type { Tokens } from './tokens.js'

/** What a request may carry. */
export interface RequestOptions<Params = Record<string, string>, Query = Record<string, unknown>, Body = unknown> {
  /** What stands in {braces} in the path. */
  params?: Params
  query?: Query
  body?: Body
  /** Of a write: one id for as long as it is repeated. Default: a new UUIDv7. */
  idempotencyKey?: string
  /** The ETag that a change is based on. */
  ifMatch?: string
  /** Further headers. */
  headers?: Record<string, string>
  /** A part of a file, instead of a body. It is sent once: after a failure, ask how much of it arrived. */
  part?: Blob
  /** Ends the attempts. A write may have taken effect all the same. */
  signal?: AbortSignal
}

/** The answer of a request. */
export interface Answer<Body = unknown> {
  status: number
  headers: Headers
  body: Body
}

type Keys = keyof Operations
type Shape<M extends string, P extends string> = `${M} ${P}` extends Keys ? Operations[`${M} ${P}`] : never

/**
 * Sends a request: a path of the REST interface with its params, such as
 * request('GET', '/v1/chat/threads/{id}', { params: { id } }), has the types of
 * that operation; any other path works too.
 */
export interface Request {
  <M extends string, P extends string>(
    method: M,
    path: `${M} ${P}` extends Keys ? P : never,
    options?: RequestOptions<Shape<M, P>['params'], Shape<M, P>['query'], Shape<M, P>['body']>,
  ): Promise<Answer<Shape<M, P>['answer']>>
  <Body = any>(method: string, path: string, options?: RequestOptions): Promise<Answer<Body>>
}

/** What requests need of their client. @internal */
export interface RequestHost {
  readonly platform: Platform
  readonly tokens: Tokens
  address(path: string, query?: URLSearchParams): string
  /** Aborted when the client is closed. */
  readonly closing: AbortSignal
}

const readTries = 4
const slowest = 16 // bytes per ms, for which the server waits too
const withoutToken = /^\/v1\/auth\/(signup|signin|refresh)$/

/**
 * Sends a request, and repeats it with the same key and the same bytes while
 * its outcome is unknown: a read four times, a write until it is answered or
 * aborted, as nobody could say that it had no effect. @internal
 */
export async function request(host: RequestHost, method: string, path: string, options: RequestOptions): Promise<Answer> {
  const key = options.idempotencyKey ?? requestId(host.platform)
  const body = options.part ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
  const url = host.address(fill(path, options.params), queryOf(options.query))
  const pace = new Pace(host.platform)
  let unauthorized = 0
  for (let tries = 1; ; tries++) {
    await due(host, pace, options.signal, method, key)
    pace.begin()
    const token = host.tokens.available && !withoutToken.test(path) ? await host.tokens.get() : undefined
    const headers = { ...headersOf(method, key, token, body, options.ifMatch), ...options.headers }
    const outcome = await once(host, method, url, headers, body, options.signal)
    if (!(outcome instanceof Error)) return outcome
    const problem = outcome instanceof Problem ? outcome : undefined
    if (problem?.status === 401 && token) {
      host.tokens.refuse(token)
      if (++unauthorized > 2) throw new SignedOut()
    } else if ((problem && !problem.unknown) || options.part || (method === 'GET' && tries >= readTries)) {
      throw outcome
    }
    pace.fail(problem?.retryAfter)
  }
}

/** Makes one attempt. Returns the answer, or why there is none. */
async function once(
  host: RequestHost, method: string, url: string, headers: Record<string, string>, body: string | Blob | undefined, signal?: AbortSignal,
): Promise<Answer | Error> {
  const abort = new AbortController()
  const limit = new Timer(host.platform, () => abort.abort())
  const off = whenAborted([signal, host.closing], () => abort.abort())
  limit.set(host.platform.times.answer + (body instanceof Blob ? body.size / slowest : 0))
  try {
    const answer = await host.platform.fetch(url, { method, headers, body, signal: abort.signal, cache: 'no-store' })
    if (!answer.ok) return await problemOf(answer)
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) }
  } catch (error) {
    return error as Error
  } finally {
    limit.clear()
    off()
  }
}

/** Waits until the next attempt may start. */
function due(host: RequestHost, pace: Pace, signal: AbortSignal | undefined, method: string, key: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      timer.clear()
      off()
      if (signal?.aborted || host.closing.aborted) {
        const why = signal?.aborted ? 'it was aborted' : 'the client was closed'
        reject(method === 'GET' ? new DOMException(why, 'AbortError') : new UnknownOutcome(key, why))
      } else resolve()
    }
    const timer = new Timer(host.platform, end)
    const off = whenAborted([signal, host.closing], end)
    if (pace.wait() === 0 || signal?.aborted || host.closing.aborted) end()
    else timer.set(pace.wait())
  })
}

function whenAborted(signals: Array<AbortSignal | undefined>, run: () => void): () => void {
  for (const signal of signals) signal?.addEventListener('abort', run)
  return () => {
    for (const signal of signals) signal?.removeEventListener('abort', run)
  }
}

function headersOf(method: string, key: string, token?: string, body?: string | Blob, ifMatch?: string): Record<string, string> {
  const headers: Record<string, string> = {}
  if (token) headers.authorization = `Bearer ${token}`
  if (method !== 'GET') headers['idempotency-key'] = key
  if (body !== undefined) headers['content-type'] = typeof body === 'string' ? 'application/json' : 'application/offset+octet-stream'
  if (ifMatch !== undefined) headers['if-match'] = ifMatch
  return headers
}

function fill(path: string, params: Record<string, string> | undefined): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params?.[name]
    if (value === undefined) throw new TypeError(`the path needs ${name}`)
    if (/^\.{0,2}$/.test(value)) throw new TypeError(`${name} cannot be "${value}": the path would be another one`)
    return encodeURIComponent(value)
  })
}

function queryOf(query: Record<string, unknown> | undefined): URLSearchParams {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) out.append(name, String(value))
  return out
}
