// The page for operators, on the admin listener: what the server does, and a look
// at one event with its proof. It shows no text of users and no choice of voters.
import { render, type ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import './style.css'
import './operator.css'
import { language, languageModel, setLanguage } from './i18n.ts'
import { value } from './metrics.ts'
import { Operator, type Sample } from './operator.ts'
import { Look } from './operatorLook.tsx'
import { Gates, Hooks, Jobs, Nodes, Readers, StorageSizes, Streams } from './operatorTables.tsx'
import { t } from './operatorTexts.ts'
import { bytes, clock, Details, number, Table, when } from './operatorUi.tsx'
import { useModel } from './platform.ts'
import { Mark } from './ui.tsx'

const model = new Operator()

function App() {
  useModel(model, languageModel)
  const [query, look] = useState('')
  useEffect(() => { document.title = t('title') + ' · Gotong' })
  return <div class="operator">
    <header class="op-bar"><Mark size={34} /><h1>{t('title')}</h1>
      {model.token && <button type="button" class="plain" aria-pressed={model.paused} onClick={() => model.pause()}>{model.paused ? t('resume') : t('pause')}</button>}
      <div class="segments">{(['id', 'en'] as const).map((code) =>
        <button type="button" lang={code} aria-pressed={language() === code} onClick={() => setLanguage(code)} aria-label={code === 'id' ? 'ID, Bahasa Indonesia' : 'EN, English'}>{code.toUpperCase()}</button>)}</div>
    </header>
    {model.token ? <main>
      <Health />
      <Tiles />
      <Look model={model} query={query} asked={() => look('')} />
      <div class="panels">
        <Gates model={model} look={look} /><Streams model={model} look={look} /><Readers model={model} /><Jobs model={model} />
        <Hooks model={model} look={look} /><StorageSizes model={model} /><Nodes model={model} />
      </div>
      <Machine />
    </main> : <Door />}
  </div>
}

function Door() {
  return <main class="op-door card">
    {model.ended && <p role="alert"><strong>{t('door.ended')}</strong></p>}
    <p>{t('door.text')}</p><pre tabIndex={0}>gotong console --data /var/lib/gotong</pre>
  </main>
}

/** Why the server is not healthy; nothing if it is. */
function faults(): string[] {
  const { ready, metrics, data } = model
  const list = Object.entries(ready?.checks ?? {}).filter(([, what]) => what !== 'ok').map(([name, what]) => t('why.check', { name, what }))
  if (ready?.reason === 'draining') list.push(t('draining'))
  if (value(metrics, 'gotong_store_failed') > 0) list.push(t('why.store'))
  if (value(metrics, 'gotong_store_damage_total') > 0) list.push(t('why.damage'))
  for (const name of new Set((data.readers ?? []).filter((r) => r.stop).map((r) => r.reader))) list.push(t('why.stopped', { name }))
  const dead = (data.jobs ?? []).filter((j) => j.dead).length
  if (dead > 0) list.push(t('why.dead', { n: dead }))
  const failing = (data.webhooks ?? []).filter((h) => h.disabled || h.failures > 0).length
  if (failing > 0) list.push(t('why.hooks', { n: failing }))
  return list
}

function Health() {
  const why = faults()
  const checks = Object.entries(model.ready?.checks ?? {})
  if (!model.ready && !model.away) return <p class="health" role="status">…</p>
  return <section class="health-box">
    <p class={model.away || why.length > 0 ? 'health bad' : 'health'} role="status">
      {model.away ? t('away') : why.length > 0 ? t('unhealthy', { why: why.join('; ') }) : t('healthy')}{model.paused && ' · ' + t('paused')}</p>
    {checks.length > 0 && <Details label={t('checks')}><Table caption={t('checks')} head={[t('check'), t('state')]} rows={checks.map(([name, what]) => [name, what === 'ok' ? t('ok') : what])} /></Details>}
  </section>
}

/** A tile: a number, its course, and the same as a table. */
function Tile(p: { title: string; note?: string; now: string; points: number[]; head: string[]; row: (s: Sample) => string[]; children?: ComponentChildren }) {
  const newest = [...model.samples].reverse().slice(0, 24)
  return <section class="tile card">
    <h2>{p.title}</h2>
    <p class="figure">{p.now} {p.note && <small class="soft">{p.note}</small>}</p>
    <Line points={p.points} />
    <Details label={t('table')}>
      {p.children}
      <Table caption={p.title} head={[t('time'), ...p.head]} rows={newest.map((s) => [clock(s.at), ...p.row(s)])} right />
    </Details>
  </section>
}

function Line({ points }: { points: number[] }) {
  const known = points.map((y) => Number.isFinite(y) ? y : 0)
  const top = Math.max(...known, 1e-9)
  const path = known.map((y, i) => `${i ? 'L' : 'M'}${(i * 240 / Math.max(1, known.length - 1)).toFixed(1)} ${(43 - 40 * y / top).toFixed(1)}`).join('')
  return <svg class="line" viewBox="0 0 240 46" preserveAspectRatio="none" aria-hidden="true">{known.length > 1 && <>
    <path class="area" d={`${path}L240 46L0 46Z`} /><path d={path} /></>}</svg>
}

const ms = (n: number) => Number.isFinite(n) ? number(n, n < 10 ? 1 : 0) + ' ms' : '–'

function Tiles() {
  const { samples, metrics } = model
  const s = samples.at(-1)
  if (!s) return null
  const of = (pick: (s: Sample) => number) => samples.map(pick)
  return <div class="tiles">
    <Tile title={t('sessions')} now={number(s.sessions)} points={of((x) => x.sessions)} head={[t('ws'), t('sse'), t('poll'), t('total')]}
      row={(x) => [x.ws, x.sse, x.poll, x.sessions].map((n) => number(n))}>
      <Table caption={`${t('sessions')}: ${t('state')}`} head={[t('state'), t('number')]} right rows={[
        [t('ws'), number(s.ws)], [t('sse'), number(s.sse)], [t('poll'), number(s.poll)],
        [t('subscriptions'), number(value(metrics, 'gotong_live_subscriptions'))], [t('catching'), number(value(metrics, 'gotong_live_catchups', { state: 'running' }))],
        [t('waiting'), number(value(metrics, 'gotong_live_catchups', { state: 'waiting' }))], [t('stale'), number(value(metrics, 'gotong_live_stale_subscriptions'))]]} />
    </Tile>
    <Tile title={t('commits')} now={number(s.ok, 1)} points={of((x) => x.ok)} head={[t('commit.ok'), t('commit.no')]} row={(x) => [number(x.ok, 1), number(x.no, 1)]} />
    <Tile title={t('latency')} note={`${t('p99')}, ${t('minute')}`} now={ms(s.p99)} points={of((x) => x.p99)} head={[t('p50'), t('p99')]} row={(x) => [ms(x.p50), ms(x.p99)]} />
    <Tile title={t('delivery')} note={`${t('p99')}, ${t('minute')}`} now={ms(s.d99)} points={of((x) => x.d99)} head={[t('p50'), t('p99')]} row={(x) => [ms(x.d50), ms(x.d99)]} />
    <Tile title={t('lag')} note={t('lag.max')} now={number(s.lag)} points={of((x) => x.lag)} head={[t('lag.max')]} row={(x) => [number(x.lag)]} />
    <Tile title={t('memory')} now={bytes(s.memory)} points={of((x) => x.memory)} head={[t('memory'), t('goroutines')]} row={(x) => [bytes(x.memory), number(x.routines)]} />
  </div>
}

function Machine() {
  const { version, commit, go } = model.version
  const began = value(model.metrics, 'process_start_time_seconds')
  return <footer class="soft op-foot">{t('version')} {version} {commit?.slice(0, 12)} {go}{began > 0 && <> · {t('started')} {when(began * 1000)}</>}</footer>
}

model.start()
render(<App />, document.getElementById('app')!)
