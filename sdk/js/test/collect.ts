import type { Client, StreamEvent } from '../src/index.js'

/** What a follower saw of a thread, up to the message "end". It runs in Node and in a page. */
export interface Collected {
  /** The seq of every event, as it was handled. */
  seqs: number[]
  /** The texts of the messages. */
  bodies: string[]
  transports: string[]
}

/**
 * Follows a thread until the message "end" and sends messages of its own
 * meanwhile, one after each 20 events that it sees.
 */
export function collect(client: Client, stream: string, send: boolean, progress = (_: Collected) => {}): Promise<Collected> {
  const seen: Collected = { seqs: [], bodies: [], transports: [] }
  client.on('state', ({ name, transport }) => {
    if (name === 'online' && transport && !seen.transports.includes(transport)) seen.transports.push(transport)
  })
  return new Promise((resolve, reject) => {
    client.follow(stream, {
      from: 'start',
      onEvents(events: StreamEvent[]) {
        for (const event of events) {
          seen.seqs.push(event.seq)
          const { body } = event.data as { body?: string }
          if (body !== undefined) seen.bodies.push(body)
          if (send && event.seq % 20 === 0) {
            client.command({ stream, type: 'message.post', data: { body: `own ${event.seq}` } }).then(null, reject)
          }
          if (body === 'end') resolve(seen)
        }
        progress(seen)
      },
      onReset: reason => reject(new Error(`reset: ${reason}`)),
      onRevoked: problem => reject(problem ?? new Error('revoked')),
      onError: reject,
    })
  })
}
