// What the page needs of the browser, and goes on without: storage, one
// database, and models that are drawn once per frame.
import { Component, createElement, type FunctionComponent } from 'preact'
import { useEffect, useReducer } from 'preact/hooks'

const prefix = 'gotong.'
const memory = new Map<string, string>() // where storage is full or refused, as in private windows

/** localStorage under a prefix; it never throws. What finds no room there is kept in memory. */
export const kv = {
  get(key: string): string | null {
    try { return memory.get(key) ?? localStorage.getItem(prefix + key) } catch { return null }
  },
  set(key: string, value: string): void {
    this.delete(key) // else an older value would outlive one that finds no room
    try { localStorage.setItem(prefix + key, value) } catch { memory.set(key, value) }
  },
  delete(key: string): void {
    memory.delete(key)
    try { localStorage.removeItem(prefix + key) } catch { /* refused */ }
  },
  keys(): string[] {
    const list = [...memory.keys()]
    try {
      for (let i = 0; i < localStorage.length; i++) {
        const key = localStorage.key(i)!
        if (key.startsWith(prefix)) list.push(key.slice(prefix.length))
      }
    } catch { /* refused */ }
    return list
  },
  json<T>(key: string): T | undefined {
    try { return JSON.parse(this.get(key) ?? '') as T } catch { return undefined }
  },
}

/** Copies of what was shown, in IndexedDB, so that the page opens without a network. Without a database there are none. */
export const copies = {
  get: <T>(key: string) => inStore<T | undefined>('readonly', (s) => s.get(key)),
  put: (key: string, value: unknown) => inStore('readwrite', (s) => s.put(value, key)),
  delete: (key: string) => inStore('readwrite', (s) => s.delete(key)),
  wipe: async (forGood: boolean) => {
    const open = await database
    open?.close()
    database = forGood ? Promise.resolve(undefined) : undefined
    await new Promise<void>((done) => {
      try {
        const r = indexedDB.deleteDatabase('gotong')
        r.onsuccess = r.onerror = r.onblocked = () => done()
      } catch { done() }
    })
  },
}

let database: Promise<IDBDatabase | undefined> | undefined

function opened(): Promise<IDBDatabase | undefined> {
  return (database ??= new Promise((done) => {
    try {
      const r = indexedDB.open('gotong', 1)
      r.onupgradeneeded = () => r.result.createObjectStore('copies')
      r.onsuccess = () => {
        r.result.onversionchange = () => r.result.close() // another tab signs out
        done(r.result)
      }
      r.onerror = r.onblocked = () => done(undefined)
    } catch { done(undefined) }
  }))
}

async function inStore<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T | undefined> {
  const db = await opened()
  return new Promise((done) => {
    try {
      const r = act(db!.transaction('copies', mode).objectStore('copies'))
      r.onsuccess = () => done(r.result as T)
      r.onerror = () => done(undefined)
    } catch { done(undefined) }
  })
}

/** Deletes everything that this page keeps on the device, but for the choice of language. For good: it keeps nothing more. */
export async function wipe(forGood = false): Promise<void> {
  for (const key of kv.keys()) if (key !== 'language') kv.delete(key)
  await copies.wipe(forGood)
  try {
    for (const name of await caches.keys()) if (name.startsWith('gotong-')) await caches.delete(name)
    for (const r of await navigator.serviceWorker.getRegistrations()) await r.unregister()
  } catch { /* not a secure context: there are none */ }
}

/** State that is shown. Many changes lead to one drawing, with the next frame. */
export class Model {
  #watchers = new Set<() => void>()
  #due = false

  changed(): void {
    if (this.#due) return
    this.#due = true
    const draw = () => {
      if (!this.#due) return
      this.#due = false
      for (const watch of [...this.#watchers]) watch()
    }
    if (document.visibilityState === 'visible') requestAnimationFrame(draw)
    setTimeout(draw, 250) // frames stop in a page that nobody sees
  }

  watch(run: () => void): () => void {
    this.#watchers.add(run)
    return () => void this.#watchers.delete(run)
  }
}

/** Draws the component again when a model changes. */
export function useModel(...models: Array<Model | undefined>): void {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    const offs = models.map((m) => m?.watch(() => again(undefined)))
    return () => offs.forEach((off) => off?.())
  }, models)
}

/** Draws the component again each so many ms, while the page is seen. */
export function useTick(ms: number, on = true): void {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    if (!on) return
    const timer = setInterval(() => document.visibilityState === 'visible' && again(undefined), ms)
    return () => clearInterval(timer)
  }, [ms, on])
}

/** Runs a function once, ms after the first of many calls. */
export function soon(ms: number, run: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined
      run()
    }, ms)
  }
}

/** A random id; crypto.randomUUID is missing on pages without HTTPS. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
}

/** A component that is drawn again only if a property has changed. */
export function memo<P extends object>(draw: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return Object.keys(next).some((k) => next[k as keyof P] !== (this.props as P)[k as keyof P])
    }
    render() {
      return createElement(draw, this.props as P)
    }
  }
  return Memo as unknown as FunctionComponent<P>
}
