import type { Problem as WireProblem } from './wire.js'

/** An error that the server reported (RFC 9457), or that a proxy made. */
export class Problem extends Error {
  readonly status: number
  /** Stable, for programs: "not_found", "rate_limited" … Empty if it is not the server's own answer. */
  readonly code: string
  readonly title: string
  readonly detail: string
  /** Quote it when you ask for help. */
  readonly traceId: string
  readonly errors: ReadonlyArray<{ field: string; detail: string }>
  /** Milliseconds that the server asks to wait, if it does. */
  readonly retryAfter: number | undefined

  constructor(of: Partial<WireProblem> & { status: number }) {
    super(`${of.status} ${of.code || 'error'}: ${of.detail || 'no explanation'}`)
    this.name = 'Problem'
    this.status = of.status
    this.code = of.code ?? ''
    this.title = of.title ?? ''
    this.detail = of.detail ?? ''
    this.traceId = of.trace_id ?? ''
    this.errors = of.errors ?? []
    this.retryAfter = of.retry_after_ms
  }

  /** The request may or may not have taken effect: repeat it with the same request id. */
  get unknown(): boolean {
    const { status, code } = this
    return [408, 425, 429].includes(status) || status >= 500 || code === 'request_in_progress' || code === 'gate_closing'
  }

  /** The same request may succeed later, without a repair of the server. */
  get passes(): boolean {
    return this.unknown && this.code !== 'corrupt_event' && this.code !== 'unreadable'
  }
}

/** The outcome of a command or write is not known, and it is no longer repeated. */
export class UnknownOutcome extends Error {
  constructor(
    readonly requestId: string,
    why: string,
  ) {
    super(`outcome unknown, repeat with request id ${requestId}: ${why}`)
    this.name = 'UnknownOutcome'
  }
}

/** No token is accepted any more: sign in again. */
export class SignedOut extends Error {
  constructor() {
    super('the server rejects the token, and there is no other')
    this.name = 'SignedOut'
  }
}

/** Reads an answer that is not a success. */
export async function problemOf(answer: Response): Promise<Problem> {
  let body: Partial<WireProblem> = {}
  if (answer.headers.get('content-type')?.startsWith('application/problem+json')) {
    try {
      body = (await answer.json()) ?? {}
    } catch {
      // The status says enough.
    }
  }
  return new Problem({ ...body, status: answer.status, retry_after_ms: retryAfter(answer) ?? body.retry_after_ms })
}

/** The wait in Retry-After, in ms. A date is compared with the answer's own date. */
function retryAfter(answer: Response): number | undefined {
  const text = answer.headers.get('retry-after')
  if (text === null) return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const wait = Date.parse(text) - Date.parse(answer.headers.get('date') ?? '')
  return wait >= 0 ? wait : undefined
}
