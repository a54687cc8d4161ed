/** The times that a client chooses itself, in ms. What the server names is not among them. */
export const defaultTimes = {
  /** Between the starts of two attempts, whatever happens. */
  floor: 100,
  /** The longest wait after the first failure; it doubles with each further one … */
  base: 500,
  /** … up to this. */
  cap: 30_000,
  /** The shortest wait of a page that nobody sees. */
  hidden: 3000,
  /** Between the starts of two attempts that outside events bring forward. */
  hurry: 1000,
  /** The longest wait that a server can name. */
  named: 3_600_000,
  /** For opening a connection, up to its first sign of life. */
  open: 10_000,
  /** A connection that lasted so long was no failure. */
  lasting: 30_000,
  /** Between two tries of better transports. */
  climb: 30_000,
  /** For the answer to a ping … */
  pong: 10_000,
  /** … and if there is a reason to doubt the connection. */
  pongSoon: 5000,
  /** What is queued may take so long to arrive after the page slept. */
  wake: 3000,
  /** Silence after which an event stream counts as dead: the server sends at least a comment every 20 s. */
  silence: 45_000,
  /** How long the server may hold a poll. */
  poll: 25_000,
  /** How much later its answer may come. */
  pollLate: 20_000,
  /** An answer to a poll that comes sooner and brings nothing is a failure. */
  quick: 12_500,
  /** For the answer to a request. */
  answer: 30_000,
}

export type Times = typeof defaultTimes
