// The service worker: the page opens without a network. It keeps the page and
// its assets, and nothing that the API answers.
declare const ASSETS: string[] // names that have a hash
declare const VERSION: string // of these assets

const sw = self as unknown as {
  addEventListener(type: string, fn: (event: any) => void): void
  clients: { claim(): Promise<void> }
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
