// The service worker: the page opens without a network. It keeps the page and
// its assets, and nothing that the API answers.
declare const ASSETS: string[] // names that have a hash
declare const VERSION: string // of these assets
declare const ICON: string // for notifications

const sw = self as unknown as {
  addEventListener(type: string, fn: (event: any) => void): void
  clients: { claim(): Promise<void>; matchAll(of: object): Promise<Array<{ focus(): Promise<{ navigate(to: string): Promise<unknown> }> }>>; openWindow(to: string): Promise<unknown> }
  registration: { getNotifications(of: object): Promise<Array<{ close(): void }>>; showNotification(title: string, options: object): Promise<void> }
  skipWaiting(): Promise<void>
}
const cacheName = 'gotong-' + VERSION
const patience = 3000 // ms that the page is waited for before the kept one is shown

sw.addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(['/', '/manifest.webmanifest', ...ASSETS])))
})

sw.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith('gotong-') && name !== cacheName) await caches.delete(name)
    }
    await sw.clients.claim()
  })())
})

sw.addEventListener('message', (event) => {
  if (event.data === 'skip') void sw.skipWaiting()
})

/** What is pushed: docs/api.md has the fields. */
interface Push { v: number; type: string; stream: string; kind?: string; direct?: boolean; group?: string; at_ms: number; unread: number; badge: number }

const texts = {
  id: { one: 'Pesan baru', direct: 'Pesan langsung', siaga: 'Siaga!', mention: 'Anda disebut', reply: 'Ada balasan', inbox: 'Pemberitahuan baru', in: ' di ', group: 'Pesan', n: ' belum dibaca' },
  en: { one: 'A new message', direct: 'A direct message', siaga: 'Emergency!', mention: 'You were mentioned', reply: 'A reply to you', inbox: 'A new notification', in: ' in ', group: 'A message', n: ' unread' },
}

sw.addEventListener('push', (event) => {
  let push: Push
  try { push = event.data.json() } catch { return }
  if (push.v === 1 && (push.type === 'thread' || push.type === 'inbox')) event.waitUntil(notify(push))
})

/** Shows how much is unread in a thread, or closes what was shown. Nothing is named but what the push names. */
async function notify(push: Push): Promise<void> {
  const text = navigator.language.startsWith('id') ? texts.id : texts.en
  const { badge, kind } = push
  const inbox = push.type === 'inbox'
  const tag = inbox ? 'inbox' : push.stream
  if ('setAppBadge' in navigator) (navigator as any).setAppBadge(badge).catch(() => {}) // what shows it may not answer
  if (push.unread === 0) {
    for (const n of await sw.registration.getNotifications({ tag })) n.close()
    return
  }
  const what = inbox ? text.inbox : kind === 'siaga' || kind === 'mention' || kind === 'reply' ? text[kind] : push.group ? text.group : push.direct ? text.direct : text.one
  const title = push.group ? what + text.in + push.group : what
  await sw.registration.showNotification(title, { tag, renotify: true, body: push.unread + text.n, timestamp: push.at_ms, icon: ICON, data: tag })
}

sw.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const tag = String(event.notification.data)
  const to = tag === 'inbox' ? '/#/inbox' : '/#/t/' + tag.split('/')[1]
  event.waitUntil((async () => {
    const page = (await sw.clients.matchAll({ type: 'window' }))[0]
    if (page) await (await page.focus()).navigate(to)
    else await sw.clients.openWindow(to)
  })())
})

sw.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== location.origin || url.search !== '') return
  if (url.pathname === '/') event.respondWith(page(request))
  else if (ASSETS.includes(url.pathname)) event.respondWith(asset(request))
})

async function page(request: Request): Promise<Response> {
  const kept = await (await caches.open(cacheName)).match('/')
  const fresh = fetch(request)
  if (!kept) return fresh
  const late = new Promise<Response>((resolve) => setTimeout(() => resolve(kept), patience))
  return Promise.race([fresh, late]).catch(() => kept)
}

async function asset(request: Request): Promise<Response> {
  return (await (await caches.open(cacheName)).match(request.url)) ?? fetch(request)
}
