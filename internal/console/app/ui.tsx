// Small parts that all screens share.
import type { ComponentChildren, ComponentProps } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { t } from './i18n.ts'
import { Model, useModel } from './platform.ts'
import type { Mention } from './room.ts'
import { Refused } from './session.ts'

const paths = {
  back: 'M15 5l-7 7 7 7', close: 'M6 6l12 12M18 6L6 18', more: 'M5 12h.01M12 12h.01M19 12h.01', send: 'M5 12h13M12 5l7 7-7 7',
  people: 'M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-6 7-6s7 2 7 6M16 3.500a4 4 0 0 1 0 7M18 15c2.500.700 4 2.600 4 6',
  reply: 'M9 7l-5 5 5 5M4 12h9a7 7 0 0 1 7 7', smile: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.500 14.500s1.200 2 3.500 2 3.500-2 3.500-2M9 9.500h.01M15 9.500h.01',
  down: 'M12 5v14M5 12l7 7 7-7', plus: 'M12 5v14M5 12h14', clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2', check: 'M4 12.500l5 5L20 7',
  warn: 'M12 9v4M12 17h.01M10.300 3.900L2.500 17.500A2 2 0 0 0 4.200 20.500h15.600a2 2 0 0 0 1.700-3L13.700 3.900a2 2 0 0 0-3.400 0z',
  lock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3', globe: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4', trash: 'M5 7h14M10 11v6M14 11v6M7 7l1 13h8l1-13M9 7V4h6v3', copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  case: 'M12 4v16M7 20h10M5 8h14M5 8l-3 6a3.500 3.500 0 0 0 6 0zM19 8l-3 6a3.500 3.500 0 0 0 6 0z', out: 'M9 4H5v16h4M15 8l4 4-4 4M19 12H9', hand: 'M12 3v10M8 6v7M16 6v7M4.500 11.500L8 17c1 2 3 3.500 5 3.500h1a5.500 5.500 0 0 0 5.500-5.500V9',
  chat: 'M4 5h16v11H10l-5 4v-4H4z', bell: 'M18 16H6c1-1.500 1-3 1-6a5 5 0 0 1 10 0c0 3 0 4.500 1 6zM10 19.500h4', flag: 'M6 21V4M6 5h12l-2.500 4L18 13H6', pin: 'M9 4h6l-1 6 3 3H7l3-3zM12 13v7', clip: 'M8 12l6-6a3 3 0 0 1 4 4l-8 8a5 5 0 0 1-7-7l8-8', mute: 'M18 16H6c1-1.500 1-3 1-6a5 5 0 0 1 10 0c0 3 0 4.500 1 6zM10 19.500h4M4 4l16 16', archive: 'M4 8h16v12H4zM3 4h18v4H3zM10 12h4', search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
} as const
export type IconName = keyof typeof paths

export function Icon({ name }: { name: IconName }) {
  return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d={paths[name]} /></svg>
}

/** A button that shows an icon, and says its label to those who do not see it. */
export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string } & ComponentProps<'button'>) {
  return <button type="button" title={label} aria-label={label} {...rest} class={'icon-button ' + (rest.class ?? '')}><Icon name={icon} /></button>
}

export function Mark({ size = 40 }: { size?: number }) {
  return <svg width={size} height={size} viewBox="0 0 64 64" aria-hidden="true" class="mark">
    <rect width="64" height="64" rx="15" /><path d="M32 11.500 51 27a3 3 0 0 1 1 2.300V43a5 5 0 0 1-5 5H30.500L20 56.500V48h-3a5 5 0 0 1-5-5V29.300A3 3 0 0 1 13 27Z" />
    <circle cx="22.500" cy="36" r="3.400" /><circle cx="32" cy="36" r="3.400" class="middle" /><circle cx="41.500" cy="36" r="3.400" />
  </svg>
}

/** A hue for a name or an id, the same on every device. */
export function hueOf(text: string): number {
  let h = 0
  for (const c of text) h = (h * 31 + c.codePointAt(0)!) >>> 0
  return (Math.imul(h ^ (h >>> 15), 0x9e3779b1) >>> 0) % 24 * 15
}

export function Avatar({ name, id, icon, here }: { name: string; id: string; icon?: string; here?: boolean }) {
  const letters = clean(name).split(/[\s._-]+/).filter(Boolean).slice(0, 2).map((w) => [...w][0]!.toUpperCase()).join('')
  return <span class={icon ? 'avatar emoji' : 'avatar'} style={{ '--hue': String(hueOf(id)) }} aria-hidden="true">
    {icon || letters || '?'}{here && <i class="here" />}
  </span>
}

/** A name without the characters that change the direction of text. */
export function clean(name: string): string {
  return name.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
}

export function Name({ children }: { children: string }) {
  return <bdi>{clean(children)}</bdi>
}

const address = /\b(?:https?:\/\/|mailto:)[^\s<>"'`]+/g

/** A text with the users that it names, whose places count code points. Me: whether that is the user of this page. */
export function Named({ text, mentions, me }: { text: string; mentions: Mention[] | undefined; me: (m: Mention) => boolean }) {
  if (!mentions?.length) return <Text>{text}</Text>
  const points = [...text]
  let at = 0
  return <>{mentions.flatMap((m) => {
    const before = points.slice(at, m.from).join('')
    at = m.to
    return [<Text>{before}</Text>, <bdi class={me(m) ? 'mention me' : 'mention'} title={m.name && clean(m.name)}>{points.slice(m.from, m.to).join('')}</bdi>]
  })}<Text>{points.slice(at).join('')}</Text></>
}

/** Text as text, with links for web and mail addresses only, and for none with a user before the host. */
export function Text({ children }: { children: string }) {
  const parts: ComponentChildren[] = []
  let at = 0
  for (const m of children.matchAll(address)) {
    const text = m[0].replace(/[.,;:!?)\]}]+$/, '')
    const url = linked(text)
    if (!url) continue
    parts.push(children.slice(at, m.index), <a href={url.href} target="_blank" rel="noopener noreferrer" dir="ltr">{shown(text, url)}</a>)
    at = m.index + text.length
  }
  parts.push(children.slice(at))
  return <>{parts}</>
}

export function linked(text: string): URL | undefined {
  try {
    const url = new URL(text)
    const names = url.username !== '' || url.password !== '' // what stands before an @ passes for the host
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) && !names ? url : undefined
  } catch {
    return undefined
  }
}

/** An address with letters of other scripts is shown in the form that cannot imitate another one. */
function shown(text: string, url: URL): string {
  return url.hostname.includes('xn--') ? url.href : text
}

/**
 * A dialog of the browser: it keeps the focus, closes with Escape, and returns
 * the focus. At is where it opens on a wide screen.
 */
export function Dialog(p: { label: string; class?: string; at?: DOMRect; onClose: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    const dialog = ref.current!
    dialog.showModal()
    if (p.at && innerWidth >= 720) {
      const { width, height } = dialog.getBoundingClientRect()
      dialog.style.left = Math.max(8, Math.min(p.at.right - width, innerWidth - width - 8)) + 'px'
      dialog.style.top = Math.max(8, Math.min(p.at.bottom + 4, innerHeight - height - 8)) + 'px'
    }
    return () => dialog.close()
  }, [])
  return <dialog ref={ref} class={p.class ?? 'sheet'} aria-label={p.label} onClose={p.onClose}
    onClick={(e) => { if (e.target === ref.current) p.onClose() }}>
    <div class="dialog-body">{p.children}</div>
  </dialog>
}

/** A form of one or more fields whose button is busy while it is sent, and which shows why it failed. */
export function Form(p: { submit: string; busy?: string; class?: string; run: (data: Record<string, string>) => Promise<unknown>; children: ComponentChildren; extra?: ComponentChildren }) {
  const [state, set] = useState<{ busy?: boolean; error?: string }>({})
  const alive = useRef(true)
  useEffect(() => () => { alive.current = false }, [])
  return <form class={p.class ?? 'form'} onSubmit={async (e) => {
    e.preventDefault()
    if (state.busy) return
    const data = Object.fromEntries([...new FormData(e.currentTarget)].map(([k, v]) => [k, String(v)]))
    set({ busy: true })
    try {
      await p.run(data)
      if (alive.current) set({})
    } catch (error) {
      if (alive.current) set({ error: explain(error) })
    }
  }}>
    {p.children}
    <p class="error" role="alert">{state.error}</p>
    <div class="buttons"><button class="primary" aria-disabled={state.busy}>{state.busy ? p.busy ?? t('busy') : p.submit}</button>{p.extra}</div>
  </form>
}

/** Says in the user's language why something failed; a detail of the server is in English. */
export function explain(error: unknown): string {
  const { status, code, detail } = error as Partial<Refused>
  switch (true) {
    case error instanceof Refused && status === 0 || status === undefined: return t('error.noAnswer')
    case code === 'gate_closed': return t('error.gateClosed')
    case code === 'already_exists': return t('error.exists')
    case status === 401: return t('error.credentials')
    case status === 403: return `${t('error.forbidden')} ${detail ?? ''}`
    case status === 404: return t('error.notFound')
    case status === 429: return t('error.slow')
    default: return detail || t('error.other')
  }
}

/** What screen readers say when they have time. It is in the page from the start, and mostly empty. */
class Spoken extends Model {
  text = ''
  #waiting: string[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  say(...lines: string[]): void {
    this.#waiting.push(...lines)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      const list = this.#waiting.splice(0)
      this.text = list.length > 3 ? t('news.count', { n: list.length }) : list.join('. ')
      this.changed()
    }, this.text === '' ? 200 : 3000)
  }
}
export const spoken = new Spoken()

export function Announcer() {
  useModel(spoken)
  return <div class="unseen" role="status" aria-live="polite">{spoken.text}</div>
}
