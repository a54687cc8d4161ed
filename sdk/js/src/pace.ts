import type { Platform } from './platform.js'

/**
 * Decides when something may be tried again. This is the only place that does:
 * connections, subscriptions, requests and commands all ask it, whatever ended
 * their last attempt. So nothing can loop without a delay.
 *
 * All times are of the monotonic clock.
 */
export class Pace {
  #failures = 0
  #started = -Infinity // the last attempt
  #due = -Infinity
  #named = -Infinity // the server said: not before

  constructor(private readonly platform: Platform) {}

  /** Milliseconds until the next attempt may start; 0 if it may now. */
  wait(): number {
    return Math.max(0, this.#due - this.platform.mono())
  }

  /** An attempt starts. */
  begin(): void {
    this.#started = this.platform.mono()
    this.#due = this.#started + this.platform.times.floor
  }

  /**
   * The attempt failed. The next one waits for as long as the server named;
   * if it named nothing, for a random time up to 0.5 s, 1 s, … 30 s (full
   * jitter).
   */
  fail(named?: number): void {
    const { platform } = this
    const { floor, base, cap, hidden, named: longest } = platform.times
    const now = platform.mono()
    let wait = platform.random() * Math.min(cap, base * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 30)
    if (platform.hidden()) wait = Math.max(wait, hidden)
    if (named !== undefined && named > 0) {
      wait = Math.min(named, longest)
      this.#named = now + wait
    }
    this.#due = Math.max(this.#started + floor, now + wait)
  }

  /** Something went well: the next failure counts as the first. */
  succeed(): void {
    this.#failures = 0
  }

  /**
   * Something outside changed, such as the network: try soon. Not at once,
   * because many clients may notice it at the same moment, and never before the
   * time that the server named.
   */
  hurry(): void {
    const { platform } = this
    const { base, hurry } = platform.times
    const soon = Math.max(platform.mono() + platform.random() * base, this.#started + hurry, this.#named)
    this.#due = Math.min(this.#due, soon)
  }
}
