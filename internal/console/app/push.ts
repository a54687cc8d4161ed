// Web Push on this device. The permission is asked for only when the user wants it.
import type { Home } from './home.ts'

const able = () => isSecureContext && 'serviceWorker' in navigator && 'PushManager' in window

/** Returns whether this device gets pushes; undefined if it cannot. A subscription of this device is renewed. */
export async function pushed(home: Home): Promise<boolean | undefined> {
  if (!able() || Notification.permission === 'denied') return undefined
  try {
    await home.client.request('GET', '/v1/push/key')
    const subscription = await (await navigator.serviceWorker.ready).pushManager.getSubscription()
    if (subscription) await put(home, subscription)
    return subscription !== null
  } catch {
    return undefined // the server sends none
  }
}

export async function pushOn(home: Home): Promise<boolean> {
  if (await Notification.requestPermission() !== 'granted') throw new DOMException('denied', 'NotAllowedError')
  const { body } = await home.client.request('GET', '/v1/push/key')
  const { pushManager } = await navigator.serviceWorker.ready
  await (await pushManager.getSubscription())?.unsubscribe() // it may be of another key or user
  await put(home, await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: body.public_key }))
  return true
}

/** Ends the subscription of this device, here and on the server. */
export async function pushOff(home: Home): Promise<boolean> {
  const subscription = await (await navigator.serviceWorker.ready).pushManager.getSubscription()
  const { body } = await home.client.request('GET', '/v1/push/subscriptions')
  for (const s of body) {
    if (s.endpoint === subscription?.endpoint) await home.client.request<unknown>('DELETE', '/v1/push/subscriptions/{id}', { params: { id: s.subscription_id } })
  }
  await subscription?.unsubscribe()
  return false
}

async function put(home: Home, subscription: PushSubscription): Promise<void> {
  const { endpoint, keys } = subscription.toJSON() as { endpoint: string; keys: { p256dh: string; auth: string } }
  await home.client.request<unknown>('PUT', '/v1/push/subscriptions', { body: { endpoint, p256dh: keys.p256dh, auth: keys.auth } })
}
