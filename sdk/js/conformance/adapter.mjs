// The adapter of `gotong conformance` for this client (docs/conformance.md):
// commands come as lines of JSON, and what happens goes out likewise.
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { Client, defaultTimes, pin, pins, Problem, replies, upload } from '../dist/index.js'

const log = line => process.stdout.write(`${JSON.stringify(line)}\n`)
const follows = new Map()
const listeners = new Map()
let client
let hidden = false
let online = true

const page = {
  hidden: () => hidden,
  online: () => online,
  listen(type, run) {
    const all = listeners.get(type) ?? new Set()
    listeners.set(type, all.add(run))
    return () => all.delete(run)
  },
}

/** The times that the client chooses itself, shorter. */
function scaled(scale, open) {
  const times = Object.fromEntries(Object.entries(defaultTimes).map(([name, ms]) => [name, ms * scale]))
  return { ...times, named: defaultTimes.named, open: open ?? defaultTimes.open }
}

function show(state) {
  const { name, transport, retryAt, reason } = state
  if (name === 'online') log({ event: 'online', transport })
  else if (retryAt !== undefined) log({ event: 'waiting', wait_ms: retryAt - Date.now(), reason })
  else if (name === 'ended') log({ event: 'ended', reason })
  else log({ event: name, transport })
}

function follow({ stream, from }) {
  try {
    follows.set(stream, client.follow(stream, handlers(stream, from)))
  } catch (error) { // more than 32
    log({ event: 'failed', stream, code: error.name })
  }
}

function handlers(stream, from) {
  return {
    from,
    onEvents(events) {
      events.forEach(({ seq, data }, i) =>
        log({ event: 'event', stream, seq, ...(i === 0 && { cursor: follows.get(stream)?.cursor }), data }))
    },
    onReset: reason => { log({ event: 'reset', stream, reason }) },
    onRevoked: () => log({ event: 'revoked', stream }),
    onError: error => log({ event: 'failed', stream, code: error.code ?? String(error) }),
  }
}

const tasks = {
  send: async ({ stream, type, data }) => void await client.command({ stream, type, data }),
  replies: async ({ message_id }, id) => (await replies(client, id, message_id)).map(m => m.message_id),
  pins: async (_, id) => (await pins(client, id)).map(m => m.message_id),
  pin: async ({ message_id }, id) => [(await pin(client, id, message_id)).message_id],
  upload: async ({ name, text }, id) => [(await upload(client, id, new Blob([text]), { name })).attachment_id],
}

async function answer(command) {
  const { cmd, ref, stream } = command
  try {
    log({ event: 'answer', ref, ok: true, ids: await tasks[cmd](command, stream.replace('thread/', '')) })
  } catch (error) {
    log({ event: 'answer', ref, ok: false, code: error instanceof Problem ? error.code : 'unknown' })
  }
}

function happen({ event }) {
  if (event === 'hidden' || event === 'visible') hidden = event === 'hidden'
  if (event === 'online' || event === 'offline') online = event === 'online'
  const type = event === 'hidden' || event === 'visible' ? 'visibilitychange' : event
  for (const run of [...(listeners.get(type) ?? [])]) run({ persisted: true })
}

const commands = {
  connect({ url, tokens, transports, scale, open_ms, streams = [] }) {
    const left = [...tokens]
    client = new Client({
      url, transports,
      token: why => (why === 'refused' && left.shift(), left[0]),
      platform: { WebSocket, ...page, times: scaled(scale ?? 1, open_ms) },
    })
    client.on('state', show)
    for (const stream of streams) follow(stream)
  },
  follow,
  unfollow: ({ stream }) => follows.get(stream)?.close(),
  ...Object.fromEntries(Object.keys(tasks).map(cmd => [cmd, command => void answer(command)])),
  cursors: ({ ref }) => log({
    event: 'cursors', ref,
    cursors: Object.fromEntries([...follows].filter(([, f]) => f.cursor && !f.closed).map(([stream, f]) => [stream, f.cursor])),
  }),
  sync: ({ ref }) => log({ event: 'synced', ref }),
  page: happen,
  close: () => client.close(),
}

log({ event: 'hello', client: '@gotong/client', can: ['websocket', 'sse', 'poll', 'send', 'page', 'rest'] })
createInterface({ input: process.stdin })
  .on('line', line => {
    const command = JSON.parse(line)
    commands[command.cmd]?.(command)
  })
  .on('close', () => client?.close())
