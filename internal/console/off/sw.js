// The console is off: remove its service worker, and what it cached, from this browser.
self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith('gotong-')) await caches.delete(name)
    await self.registration.unregister()
  })())
})
