// Two devices of one user against the real server: after every step of a random
// history, both show the same unread counts, and these are right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { Client, defaultTimes, markRead, unread, type Follow, type rest } from '../src/index.js'
import { parseCursor } from '../src/cursor.js'
import { seeded } from './proxy.js'
import { serve, signUp } from './server.js'

const times = { ...defaultTimes, floor: 1, base: 5, cap: 50, hurry: 5, poll: 200, quick: 1, open: 5000 }

type Counts = Record<string, number>

/** A device that follows all threads, and asks for the counts whenever something happened. */
class Device {
  counts: Counts = {}
  client!: Client
  #sockets = new Set<WebSocket>()
  #follows = new Map<string, Follow>()
  #cursors = new Map<string, string>()
  #asking = false
  #again = false
  #woken: Array<() => void> = []

  constructor(private readonly url: string, private readonly token: string, private readonly threads: string[]) {
    for (const id of threads) this.#cursors.set(id, 'start')
    this.open()
  }

  get away(): boolean {
    return this.#follows.size === 0
  }

  open(): void {
    const sockets = this.#sockets
    class Line extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols)
        sockets.add(this)
        this.on('close', () => sockets.delete(this))
      }
    }
    this.client = new Client({ url: this.url, token: () => this.token, platform: { WebSocket: Line, times }, transports: ['websocket'] })
    this.client.on('state', ({ name }) => name === 'online' && this.ask())
    this.client.on('signal', ({ type }) => type === 'read' && this.ask())
    for (const id of this.threads) {
      this.#follows.set(id, this.client.follow(`thread/${id}`, { from: this.#cursors.get(id)!, onEvents: () => this.ask() }))
    }
  }

  close(): void {
    for (const [id, follow] of this.#follows) this.#cursors.set(id, follow.cursor ?? 'start')
    this.#follows.clear()
    this.client.close()
  }

  /** Its connection breaks; the client makes the next one by itself. */
  drop(): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  ask(): void {
    this.#again = true
    if (!this.#asking) void this.#ask(this.client)
  }

  async #ask(client: Client): Promise<void> {
    this.#asking = true
    while (this.#again && client === this.client) {
      this.#again = false
      try {
        this.counts = byThread(await unread(client))
      } catch (error) {
        if (!this.away) throw error
      }
    }
    this.#asking = false
    if (this.#again) return this.#ask(this.client)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#woken.splice(0)) wake()
  }

  /** Waits until it has handled all events before these heads, and shows these counts. */
  async shows(heads: Map<string, number>, counts: Counts, step: string): Promise<void> {
    const behind = () => [...heads].filter(([id, seq]) => (parseCursor(this.#follows.get(id)!.cursor)?.seq ?? 0) < seq).length > 0
    const same = () => JSON.stringify(this.counts) === JSON.stringify(counts)
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#wake()
    }, 30_000)
    while (!late && (this.#asking || behind() || !same())) await new Promise<void>(resolve => this.#woken.push(resolve))
    clearTimeout(timer)
    assert.deepEqual(this.counts, counts, step)
    assert.ok(!behind(), `${step}: behind`)
  }
}

const byThread = (list: rest.ChatUnread[]): Counts => Object.fromEntries(list.map(u => [u.thread_id, u.unread] as const).sort())

interface Message { id: string; n: number; author: Client; revision: number; deleted: boolean }

/** What must be counted, by the rules of the domain. */
class Thread {
  messages: Message[] = []
  mark = 0
  archived = false
  constructor(readonly id: string) {}

  unread(me: Client): number {
    return this.messages.filter(m => m.n > this.mark && m.author !== me && !m.deleted).length
  }
}

test('the unread counts of two devices are equal after every step of a random history', async t => {
  const server = await serve()
  const url = `http://127.0.0.1:${server.port}`
  const open: Array<{ close(): void }> = [{ close: () => server.stop() }]
  try {
    const person = async (name: string) => {
      const anybody = new Client({ url })
      const token = await signUp(anybody, name)
      anybody.close()
      const client = new Client({ url, token: () => token, platform: { WebSocket, times } })
      open.unshift(client)
      return { client, token }
    }
    const [{ client: wati }, { client: joko }, { client: me, token }] = await Promise.all([person('Wati'), person('Joko'), person('Sari')])
    const threads: Thread[] = []
    for (let i = 0; i < 3; i++) {
      const { body } = await wati.request('POST', '/v1/chat/threads', { body: { scope_id: 'rt05', privacy_level: 'public' } })
      const id = (body as rest.ChatThreadView).thread_id
      for (const one of [joko, me]) await one.request('POST', '/v1/chat/threads/{id}/join', { params: { id } })
      threads.push(new Thread(id))
    }
    const devices = [0, 1].map(() => new Device(url, token, threads.map(one => one.id)))
    open.unshift(...devices)
    const random = seeded(12)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!

    const post = async (thread: Thread, author: Client) => {
      const { body } = await author.request('POST', '/v1/chat/threads/{id}/messages/send', { params: { id: thread.id }, body: { body: 'pesan' } })
      const { message_id: id, n } = body as rest.ChatMessageView
      thread.messages.push({ id, n, author, revision: 0, deleted: false })
    }
    const read = async (thread: Thread, device: Device) => {
      const { id, n } = pick(thread.messages)
      thread.mark = Math.max(thread.mark, n) // a mark only moves forward
      await markRead(device.client, thread.id, id)
      device.ask()
    }
    const present = () => pick(devices.filter(one => !one.away))
    const params = (thread: Thread, message: Message) => ({ id: thread.id, mid: message.id })
    // After a new connection, a message in every thread: once it is there, the
    // device follows again, and signals reach it.
    const touch = () => Promise.all(threads.filter(one => !one.archived).map(one => post(one, wati)))
    const steps: Record<string, (thread: Thread) => Promise<unknown>> = {
      post: thread => post(thread, pick([wati, joko])),
      'post again': thread => post(thread, pick([wati, joko])),
      'post oneself': thread => post(thread, me),
      read: thread => read(thread, present()),
      'read on both': thread => Promise.all(devices.filter(one => !one.away).map(one => read(thread, one))),
      'read while others post': thread => Promise.all([read(thread, present()), post(thread, joko)]),
      async edit(thread) {
        const message = pick(thread.messages.filter(one => !one.deleted))
        if (!message) return
        await message.author.request('PATCH', '/v1/chat/threads/{id}/messages/{mid}', { params: params(thread, message), body: { body: 'lain', revision: message.revision++ } })
      },
      async delete(thread) {
        const message = pick(thread.messages.filter(one => !one.deleted))
        if (!message) return
        message.deleted = true
        await message.author.request('DELETE', '/v1/chat/threads/{id}/messages/{mid}', { params: params(thread, message) })
      },
      async mute(thread) {
        const { client } = present()
        const method = pick(['PUT', 'DELETE'] as const)
        if (method === 'PUT') await client.request('PUT', '/v1/chat/threads/{id}/mute', { params: { id: thread.id }, body: {} })
        else await client.request('DELETE', '/v1/chat/threads/{id}/mute', { params: { id: thread.id } })
      },
      async archive(thread) {
        thread.archived = true
        await wati.request('PATCH', '/v1/chat/threads/{id}', { params: { id: thread.id }, body: { archived: true } })
      },
      async 'take back'() {
        for (const thread of threads.filter(one => one.archived)) {
          thread.archived = false
          await wati.request('PATCH', '/v1/chat/threads/{id}', { params: { id: thread.id }, body: { archived: false } })
        }
      },
      async drop() {
        present().drop()
        await touch()
      },
      async 'go away'() {
        if (devices.every(one => !one.away)) pick(devices).close()
      },
      async 'come back'() {
        for (const one of devices.filter(one => one.away)) one.open()
        await touch()
      },
    }
    const names = Object.keys(steps)
    const happened = new Set<string>()
    await touch()
    for (let i = 0; i < 150; i++) {
      const thread = pick(threads.filter(one => !one.archived))
      const name = thread ? pick(names) : 'take back'
      happened.add(name)
      await steps[name]!(thread!)
      const step = `step ${i}, ${name}`
      const list = await unread(me)
      const counts = byThread(list)
      assert.deepEqual(counts, Object.fromEntries(threads.filter(one => !one.archived).map(one => [one.id, one.unread(me)] as const).sort()), step)
      const heads = new Map(list.map(one => [one.thread_id, parseCursor(one.as_of)!.seq]))
      await Promise.all(devices.filter(one => !one.away).map(one => one.shows(heads, counts, step)))
    }
    assert.deepEqual([...happened].sort(), names.sort())
    t.diagnostic(`${threads.map(one => one.messages.length)} messages, ${threads.map(one => one.unread(me))} of them unread`)
  } finally {
    for (const one of open) one.close()
  }
})
