// Reads Prometheus text, and computes rates and quantiles from two readings.

export interface Line { labels: Record<string, string>; value: number }
export type Metrics = Map<string, Line[]>

export function parse(text: string): Metrics {
  const all: Metrics = new Map()
  for (const line of text.split('\n')) {
    const m = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (!m) continue
    const labels: Record<string, string> = {}
    for (const [, name, value] of (m[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name!] = value!.replace(/\\(.)/g, (_, c: string) => c === 'n' ? '\n' : c)
    const list = all.get(m[1]!) ?? []
    list.push({ labels, value: m[3] === '+Inf' ? Infinity : Number(m[3]) })
    all.set(m[1]!, list)
  }
  return all
}

export const lines = (m: Metrics | undefined, name: string): Line[] => m?.get(name) ?? []
export const sum = (list: Line[]) => list.reduce((n, l) => n + l.value, 0)
export const value = (m: Metrics | undefined, name: string, labels: Record<string, string> = {}) =>
  sum(lines(m, name).filter((l) => Object.entries(labels).every(([k, v]) => l.labels[k] === v)))

/** How much lower than q of what was observed between two readings is, in the histogram's unit; NaN if nothing was. */
export function quantile(before: Metrics | undefined, now: Metrics, name: string, q: number): number {
  const edges = new Map<number, number>()
  const add = (m: Metrics | undefined, sign: number) => {
    for (const { labels, value } of lines(m, name + '_bucket')) {
      const le = labels.le === '+Inf' ? Infinity : Number(labels.le)
      edges.set(le, (edges.get(le) ?? 0) + sign * value)
    }
  }
  add(now, 1)
  add(before, -1)
  const sorted = [...edges].sort(([a], [b]) => a - b)
  const want = q * (sorted.at(-1)?.[1] ?? 0)
  if (!(want > 0)) return NaN
  let [low, below] = [0, 0]
  for (const [le, count] of sorted) {
    if (count >= want) return le === Infinity ? low : low + (le - low) * (want - below) / (count - below)
    low = le
    below = count
  }
  return low
}
