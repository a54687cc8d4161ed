// Parts of the operators' page: tables, and numbers, sizes and times as text.
import type { ComponentChildren } from 'preact'
import { language } from './i18n.ts'
import { t } from './operatorTexts.ts'

export const number = (n: number, digits = 0) =>
  Number.isFinite(n) ? new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(n) : '–'

export function bytes(n: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']
  const at = n > 0 ? Math.min(4, Math.floor(Math.log10(n) / 3)) : 0
  return new Intl.NumberFormat(language(), { style: 'unit', unit: units[at], maximumFractionDigits: 1 }).format(n / 1000 ** at)
}

const stamp = (at: number, options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(language() === 'id' ? 'id-ID' : 'en-GB', options).format(at)
export const clock = (at: number) => stamp(at, { timeStyle: 'medium' })

/** A time with its zone, from ms or from the text of the server. */
export function when(at: number | string | undefined): string {
  const n = typeof at === 'string' ? Date.parse(at) : at
  return n ? stamp(n, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' }) : '–'
}

export function Details({ label, children }: { label: string; children: ComponentChildren }) {
  return <details><summary>{label}</summary>{children}</details>
}

/** A table that scrolls sideways in itself; with right, all but its first column are numbers. */
export function Table(p: { caption: string; head: string[]; rows: ComponentChildren[][]; right?: boolean }) {
  if (p.rows.length === 0) return <p class="soft none">{t('none')}</p>
  return <div class="wide" tabIndex={0} role="group" aria-label={p.caption}><table class={p.right ? 'right' : ''}>
    <caption class="unseen">{p.caption}</caption>
    <thead><tr>{p.head.map((h) => <th scope="col">{h}</th>)}</tr></thead>
    <tbody>{p.rows.map((row) => <tr>{row.map((cell, i) => i === 0 ? <th scope="row">{cell}</th> : <td>{cell}</td>)}</tr>)}</tbody>
  </table></div>
}

export function Panel({ title, children }: { title: string; children: ComponentChildren }) {
  return <section class="panel card"><h2>{title}</h2>{children}</section>
}

/** A name that opens what it names. */
export function Named({ name, open }: { name: string; open: () => void }) {
  return <button type="button" class="named" data-name={name} onClick={open}>{name}</button>
}
