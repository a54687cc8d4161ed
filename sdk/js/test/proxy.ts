import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A repeatable source of random numbers (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A TCP proxy that cuts each connection after a random number of bytes, until it has made enough cuts. */
export class CuttingProxy {
  cuts = 0
  #server = createServer(socket => this.#relay(socket))
  #open = new Set<Socket>()

  constructor(
    private readonly target: number,
    private readonly wanted: number,
    private readonly random: () => number,
    private readonly longest: number,
  ) {}

  listen(): Promise<number> {
    return new Promise(resolve => this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as AddressInfo).port)))
  }

  get done(): boolean {
    return this.cuts >= this.wanted
  }

  #relay(down: Socket): void {
    const up = connect(this.target, '127.0.0.1')
    let left = 1 + Math.floor(this.random() * this.longest) // bytes in both directions
    const cut = () => {
      for (const socket of [down, up]) {
        this.#open.delete(socket)
        socket.resetAndDestroy()
      }
    }
    const pass = (to: Socket) => (chunk: Buffer) => {
      if (this.done || chunk.length < left) {
        left -= chunk.length
        to.write(chunk)
      } else if (!to.destroyed) {
        this.cuts++
        to.write(chunk.subarray(0, left))
        left = 0
        to.end()
        setTimeout(cut, 1) // the last bytes go out first
      }
    }
    for (const [from, to] of [[down, up], [up, down]] as const) {
      this.#open.add(from)
      from.on('data', pass(to))
      from.on('error', cut)
      from.on('close', cut)
    }
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#open) socket.destroy()
  }
}
