// The tables of the operators' page. A table whose feature this server does not
// have, or has not used, is not shown.
import { useState } from 'preact/hooks'
import { lines, sum, value } from './metrics.ts'
import { mostJobs, type Hook, type Job, type Operator, type Reader } from './operator.ts'
import { t } from './operatorTexts.ts'
import { bytes, Details, Named, number, Panel, Table, when } from './operatorUi.tsx'

interface Of { model: Operator }
interface Looking extends Of { look: (query: string) => void }

export function Gates({ model, look }: Looking) {
  const list = model.data.gates
  if (!list) return null
  return <Panel title={t('gates')}><Table caption={t('gates')} head={[t('gate'), t('gate.step'), t('gate.phase'), t('gate.closes'), t('gate.part')]}
    rows={list.map((g) => [<Named name={`${g.stream}:${g.gate}`} open={() => look(`${g.stream}:${g.gate}`)} />, `${g.from_stage} → ${g.to_stage}`, g.phase, when(g.closes_at),
      g.votes ? t('gate.of', { n: g.took_part, voters: g.voters }) : '–'])} /></Panel>
}

export function Streams({ model, look }: Looking) {
  const list = model.data.streams ?? []
  return <Panel title={t('streams')}><Table caption={t('streams')} head={[t('stream'), t('head'), t('partition'), t('position'), t('last')]}
    rows={list.map((s) => [<Named name={s.stream} open={() => look(s.stream)} />, number(s.head), s.partition, number(s.position), when(s.at)])} /></Panel>
}

export function Readers({ model }: Of) {
  const list = model.data.readers ?? []
  const names = [...new Set(list.map((r) => r.reader))]
  const behind = (r: Reader) => Math.max(0, r.end - r.cursor)
  const late = (name: string) => Math.max(0, ...lines(model.metrics, 'gotong_reader_behind_seconds').filter((l) => l.labels.reader === name).map((l) => l.value))
  const stops = (of: Reader[]) => of.flatMap((r) => r.stop ? [`${r.partition}:${r.stop.position} ${r.stop.error}`] : []).join('; ')
  return <Panel title={t('readers')}>
    <Table caption={t('readers')} head={[t('reader'), t('behind'), t('behind.s'), t('stopped')]}
      rows={names.map((name) => [name, list.filter((r) => r.reader === name)] as const).map(([name, of]) => [name, number(of.reduce((n, r) => n + behind(r), 0)), number(late(name), 1), stops(of) || '–'])} />
    <Details label={t('partition')}><Table caption={t('partition')} head={[t('reader'), t('partition'), t('position'), t('behind')]}
      rows={list.map((r) => [r.reader, r.partition, number(r.cursor), number(behind(r))])} right /></Details>
  </Panel>
}

export function Jobs({ model }: Of) {
  const [said, say] = useState('')
  const jobs = model.data.jobs ?? []
  const queues = [...new Set([...jobs.map((j) => j.queue), ...lines(model.metrics, 'gotong_job_late_seconds').map((l) => l.labels.queue!)])].sort()
  const count = (queue: string, is: (j: Job) => boolean) => number(jobs.filter((j) => j.queue === queue && is(j)).length)
  const dead = jobs.filter((j) => j.dead)
  const retry = async (j: Job) => say(await model.change({ do: 'retry', queue: j.queue, job: j.id }) ?? t('job.retried', { id: j.id }))
  return <Panel title={t('jobs')}>
    <Table caption={t('jobs')} head={[t('queue'), t('job.waiting'), t('job.running'), t('job.dead'), t('job.late')]} right rows={queues.map((queue) => [
      queue, count(queue, (j) => !j.dead && !j.running), count(queue, (j) => j.running), count(queue, (j) => j.dead), number(value(model.metrics, 'gotong_job_late_seconds', { queue }), 1)])} />
    {jobs.length >= mostJobs && <p class="soft">{t('job.more', { n: mostJobs })}</p>}
    {dead.length > 0 && <Table caption={t('job.dead')} head={[t('job'), t('job.failures'), t('error'), t('job.retry')]}
      rows={dead.slice(0, 50).map((j) => [`${j.queue} ${j.id}`, number(j.failures), j.error ?? '', <button type="button" class="plain" onClick={() => void retry(j)} aria-label={`${t('job.retry')}: ${j.id}`}>{t('job.retry')}</button>])} />}
    <p role="status">{said}</p>
  </Panel>
}

export function Hooks({ model, look }: Looking) {
  const [said, say] = useState('')
  const list = model.data.webhooks
  if (!list) return null
  const replay = async (id: string) => say(await model.change({ do: 'replay', webhook: id }) ?? t('hook.replayed', { id }))
  const state = (h: Hook) => h.disabled ? t('hook.off', { why: h.disabled }) : h.failing_since && h.failures > 0 ? t('hook.failing', { time: when(h.failing_since) }) : t('ok')
  return <Panel title={t('hooks')}>
    <Table caption={t('hooks')} head={[t('hook'), t('hook.host'), t('hook.home'), t('state'), t('hook.good'), t('hook.blocked'), t('hook.dead')]}
      rows={list.map((h) => [h.id, h.host, h.home, state(h), when(h.last_success_at), number(h.blocked), number(h.dead)])} />
    {list.map((h) => <Details label={t('hook.log', { id: h.id })} key={h.id}>
      <Table caption={t('hook.log', { id: h.id })} head={[t('time'), t('stream'), t('hook.status'), t('hook.took'), t('error')]}
        rows={[...(h.log ?? [])].reverse().map((a) => [when(a.at), a.stream ? <Named name={`${a.stream}:${a.seq}`} open={() => look(`${a.stream}:${a.seq}`)} /> : '–', a.status || '–', number(a.duration_ms), a.error ?? ''])} />
      {h.dead > 0 && <button type="button" class="plain" onClick={() => void replay(h.id)}>{t('hook.replay')}</button>}
    </Details>)}
    <p role="status">{said}</p>
  </Panel>
}

export function StorageSizes({ model }: Of) {
  const s = model.data.storage
  if (!s) return null
  return <Panel title={t('storage')}><Table caption={t('storage')} head={[t('what'), t('number')]} right
    rows={[[t('db'), bytes(s.database)], [t('wal'), bytes(s.wal)], ...(s.free ? [[t('free'), bytes(s.free)]] : [])]} /></Panel>
}

/** Shown only where nodes share the store, or this one has exchanged messages with others. */
export function Nodes({ model }: Of) {
  const list = model.data.nodes ?? []
  const up = value(model.metrics, 'gotong_bus_connected') > 0
  const bus = up || sum(lines(model.metrics, 'gotong_bus_messages_total')) > 0
  if (!bus && list.length === 0) return null
  const of = (direction: string) => number(value(model.metrics, 'gotong_bus_messages_total', { direction }))
  return <Panel title={t('nodes')}>
    {list.length > 0 && <Table caption={t('nodes')} head={[t('node'), t('version'), t('node.at'), t('partition')]}
      rows={list.map((n) => [n.node.slice(0, 8), n.version || '–', when(n.at), (n.partitions ?? []).join(', ') || '–'])} />}
    {bus && <Table caption={t('bus')} head={[t('bus'), t('number')]} right rows={[[t('state'), up ? t('bus.up') : t('bus.down')], [t('bus.in'), of('in')], [t('bus.out'), of('out')]]} />}
  </Panel>
}
