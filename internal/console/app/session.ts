// Who is signed in on this device: tokens, their refresh, and signing out.
import { t } from './i18n.ts'
import { kv, Model, randomId, wipe } from './platform.ts'

export interface Login {
  access: string
  refresh?: string
  expires: number // ms since 1970
  userId: string
  username: string
  role: string
}

/** An error of the API, as far as the page shows it. status 0: no answer. */
export class Refused extends Error {
  constructor(readonly status: number, readonly code: string, readonly detail: string) {
    super(detail || code)
  }
}

interface Auth {
  access_token: string
  refresh_token: string | null
  device_token?: string
  user_id: string
  username: string
  role: string
  expires_at_ms: number
}

const early = 60_000 // ms before its end that a token is replaced

/** One request without a client: for signing in and out. */
async function call<T>(method: string, path: string, body?: object, token?: string, key = randomId()): Promise<T> {
  const headers: Record<string, string> = { 'Idempotency-Key': key }
  if (body) headers['Content-Type'] = 'application/json'
  if (token) headers.Authorization = 'Bearer ' + token
  let answer: Response
  try {
    answer = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(15_000), cache: 'no-store',
    })
  } catch {
    throw new Refused(0, 'no_answer', '')
  }
  const text = await answer.text()
  let json: any
  try { json = JSON.parse(text) } catch { json = {} }
  if (!answer.ok) throw new Refused(answer.status, json.code ?? '', json.errors?.[0] ? `${json.errors[0].field}: ${json.errors[0].detail}` : json.detail ?? '')
  return json as T
}

export class Session extends Model {
  login: Login | undefined = kv.json<Login>('login')
  /** A token from the address, and whose it is: it is not used before the user says so. */
  offered: Login | undefined
  /** The login ended without the user's doing. */
  expired = false
  /** The token of a link from the address: it sets a new password, once. */
  reset: string | undefined
  changedPassword = false
  #refreshing: Promise<string | undefined> | undefined

  constructor() {
    super()
    addEventListener('storage', (e) => {
      if (e.key !== null && e.key !== 'gotong.login') return
      const now = kv.json<Login>('login')
      if (now?.userId !== this.login?.userId) location.reload() // another tab signed in or out
      else this.login = now
    })
  }

  /** Takes a token out of the address, before anything else can see it there. */
  async takeFragment(): Promise<void> {
    const found = /^#(token|reset)=([\w.-]+)$/.exec(location.hash)
    if (!found) return
    history.replaceState(null, '', location.pathname)
    const access = found[2]!
    if (found[1] === 'reset') {
      this.reset = access
      this.changedPassword = false
      return this.changed()
    }
    try {
      const me = await call<{ user_id: string; username: string; role: string }>('GET', '/v1/auth/me', undefined, access)
      this.offered = { access, expires: expiryOf(access), userId: me.user_id, username: me.username, role: me.role }
    } catch {
      this.expired = true
    }
    this.changed()
  }

  async acceptOffer(): Promise<void> {
    const login = this.offered!
    this.offered = undefined
    await this.#enter(login)
  }

  async setPassword(pass: string): Promise<void> {
    try {
      await call('POST', '/v1/auth/reset', { token: this.reset, pass })
    } catch (e) {
      throw e instanceof Refused && e.status === 401 ? new Refused(422, '', t('reset.over')) : e
    }
    this.reset = undefined
    this.changedPassword = true
    this.changed()
  }

  /** Returns whether the server sends links that set a new password. */
  async mails(): Promise<boolean> {
    return (await call<{ offered: boolean }>('GET', '/v1/auth/reset-requests')).offered
  }

  async askReset(email: string): Promise<void> {
    await call('POST', '/v1/auth/reset-requests', { email })
  }

  async signIn(email: string, pass: string): Promise<void> {
    const device = kv.get('device')
    await this.#began(await call<Auth>('POST', '/v1/auth/signin', { email, pass, ...(device ? { device_token: device } : {}) }))
  }

  async signUp(email: string, pass: string, username: string, community: string): Promise<void> {
    await this.#began(await call<Auth>('POST', '/v1/auth/signup', { email, pass, username, community_id: community }))
    kv.set('scope', community)
  }

  async #began(a: Auth): Promise<void> {
    await this.#enter(loginOf(a))
    if (a.device_token) kv.set('device', a.device_token)
  }

  async #enter(login: Login): Promise<void> {
    const before = kv.get('user')
    if (before !== null && before !== login.userId) await wipe() // what another user left here
    kv.set('user', login.userId)
    this.expired = this.changedPassword = false
    this.#keep(login)
  }

  #keep(login: Login): void {
    this.login = login
    kv.set('login', JSON.stringify(login))
    this.changed()
  }

  /** Returns a valid token; undefined if the login has ended. Throws if there is no answer. */
  token = async (why: 'start' | 'refused'): Promise<string | undefined> => {
    const used = this.login?.access
    const stored = kv.json<Login>('login')
    if (stored && stored.userId === this.login?.userId) this.login = stored // another tab may have refreshed
    const { login } = this
    if (!login) return undefined
    if (why === 'start' ? login.expires - Date.now() > early : login.access !== used) return login.access
    if (!login.refresh) return why === 'start' && login.expires > Date.now() ? login.access : this.#ended()
    this.#refreshing ??= alone(() => this.#refresh(login)).finally(() => { this.#refreshing = undefined })
    return this.#refreshing
  }

  async #refresh(mine: Login): Promise<string | undefined> {
    const stored = kv.json<Login>('login')
    if (!stored) return this.#ended()
    if (stored.access !== mine.access) {
      this.login = stored
      return stored.access
    }
    try {
      const key = 'refresh:' + mine.refresh!.slice(-24).replace(/[^\w.-]/g, '') // the same for repetitions
      const next = loginOf(await call<Auth>('POST', '/v1/auth/refresh', { refresh: mine.refresh }, undefined, key))
      if (this.login?.userId !== mine.userId) return undefined // signed out in the meantime
      this.#keep(next)
      return next.access
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return this.#ended()
      throw error
    }
  }

  #ended(): undefined {
    this.login = undefined
    this.expired = true
    kv.delete('login')
    this.changed()
    return undefined
  }

  /** Ends the login, and deletes what it left on this device. */
  async signOut(): Promise<void> {
    const access = await this.token('start').catch(() => undefined) // the server rejects one that has expired
    if (access) await call('POST', '/v1/auth/logout', undefined, access).catch(() => {})
    this.login = undefined
    this.expired = false
    await wipe(true)
    this.changed()
  }
}

function loginOf(a: Auth): Login {
  return { access: a.access_token, refresh: a.refresh_token ?? undefined, expires: a.expires_at_ms, userId: a.user_id, username: a.username, role: a.role }
}

/** The time in a token, to know when it ends; the server decides by its own reading. */
function expiryOf(token: string): number {
  try {
    return JSON.parse(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))).exp * 1000
  } catch {
    return Date.now() + 15 * 60_000
  }
}

/** Of all tabs, one at a time; without locks, each alone. The server accepts a spent token again for some seconds. */
async function alone<T>(run: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request('gotong-refresh', run) : run()
}
