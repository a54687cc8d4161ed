import { SignedOut } from './problem.js'

/**
 * Returns an access token. Why is "refused" if the server rejected the token
 * that it returned last: then it has to return another one. A falsy answer
 * means that nobody is signed in.
 */
export type TokenProvider = (why: 'start' | 'refused') => string | null | undefined | Promise<string | null | undefined>

/** The token of a client. Of many callers at once, one asks the provider and all get its answer. */
export class Tokens {
  #token: string | undefined
  #refused: string | undefined
  #asking: Promise<string> | undefined

  constructor(private readonly provider: TokenProvider | undefined) {}

  get available(): boolean {
    return this.provider !== undefined
  }

  /** Returns the token, or throws {@link SignedOut}, or what the provider threw. */
  get(): Promise<string> {
    if (this.#token !== undefined) return Promise.resolve(this.#token)
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #ask(): Promise<string> {
    const refused = this.#refused
    const token = await this.provider?.(refused === undefined ? 'start' : 'refused')
    if (!token || token === refused) throw new SignedOut()
    this.#token = token
    return token
  }

  /** The server rejected this token. If it is still the current one, the next caller gets another. */
  refuse(token: string): void {
    if (token !== this.#token) return
    this.#token = undefined
    this.#refused = token
  }

  /** Forgets the token, so that the provider is asked again. */
  forget(): void {
    this.#token = this.#refused = undefined
  }
}
