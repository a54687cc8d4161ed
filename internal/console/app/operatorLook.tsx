// A look at one stream or event. The browser checks the proof of the event.
import { useEffect, useRef, useState } from 'preact/hooks'
import { checkProof, type Checked, type EventProof } from '@gotong/client/proof'
import type { Operator, Recent } from './operator.ts'
import { t } from './operatorTexts.ts'
import { Details, number, Table, when } from './operatorUi.tsx'

interface Found { stream?: Recent; event?: EventProof; error?: string }

export function Look({ model, query, asked }: { model: Operator; query: string; asked: () => void }) {
  const field = useRef<HTMLInputElement>(null)
  const [found, find] = useState<Found>({})
  const [busy, setBusy] = useState(false)
  const run = async (text: string) => {
    const [, stream, seq] = /^([a-z]+\/[^\s/]+?)(?:[\s:]+(\d{1,15}))?$/.exec(text.trim()) ?? []
    if (!stream) return find({ error: t('look.bad') })
    setBusy(true)
    try {
      const of = seq ? { do: 'event', stream, seq: Number(seq) } : { do: 'streams', stream }
      const reply = await model.order(of)
      find({ event: reply.event, stream: reply.streams?.[0], error: reply.error ?? (reply.event || reply.streams ? undefined : t('look.nothing')) })
    } catch (error) { find({ error: (error as Error).message }) }
    setBusy(false)
  }
  const show = (text: string) => {
    field.current!.value = text
    field.current!.focus()
    void run(text)
  }
  useEffect(() => {
    if (!query) return
    asked()
    show(query)
  }, [query])
  const { stream, event } = found
  return <section class="card look" aria-label={t('look')}>
    <form class="inline" onSubmit={(e) => { e.preventDefault(); void run(field.current!.value) }}>
      <label>{t('look.label')}<input ref={field} name="look" spellcheck={false} autocapitalize="none" autocomplete="off" placeholder={t('look.hint')} /></label>
      <button class="primary" aria-disabled={busy}>{t('look.submit')}</button>
    </form>
    <p class="error" role="alert">{found.error}</p>
    {stream && <>
      <Table caption={t('stream')} head={[t('stream'), t('head'), t('partition'), t('position'), t('last')]} rows={[[stream.stream, number(stream.head), stream.partition, number(stream.position), when(stream.at)]]} />
      <button type="button" class="plain" onClick={() => show(`${stream.stream}:${stream.head}`)}>{t('event.newest')}</button></>}
    {event && <Event model={model} event={event} key={event.id} />}
  </section>
}

function Event({ model, event: e }: { model: Operator; event: EventProof }) {
  const [checked, set] = useState<Checked>()
  const key = useRef<HTMLInputElement>(null)
  const check = async () => {
    try {
      set(await checkProof(e, model.key.split(/\s+/).filter(Boolean), true))
    } catch (error) { set({ result: 'not checked', reason: (error as Error).message }) } // a key that is none
  }
  useEffect(() => { void check() }, [])
  const rows: Array<[string, string]> = [
    [t('event.type'), e.type], [t('time'), when(e.at / 1000)], [t('event.id'), e.id], [t('event.audience'), e.audience || t('event.all')],
    [t('partition'), String(e.partition)], [t('position'), number(e.position)], [t('event.prev'), e.prev], [t('event.link'), e.chains[e.seq - e.first] ?? ''],
    [t('event.data'), e.data_commitment], [t('event.content'), e.content_commitment],
  ]
  return <article>
    <h2>{t('event', { seq: number(e.seq), stream: e.stream })}</h2>
    <p role="status" class={`verdict ${checked?.result === 'checked' ? 'good' : checked?.result === 'wrong' ? 'bad' : ''}`}>{!checked ? t('proof.busy')
      : checked.result === 'checked' ? t('proof.checked', { size: number(checked.size) })
      : checked.result === 'wrong' ? t('proof.wrong', { why: checked.reason }) : t('proof.not', { why: checked.reason })}</p>
    {checked && checked.result !== 'checked' && <form class="inline" onSubmit={(ev) => { ev.preventDefault(); model.key = key.current!.value; void check() }}>
      <label>{t('proof.key')}<input ref={key} name="key" defaultValue={model.key} spellcheck={false} autocomplete="off" /><small class="soft">{t('proof.keyHint')}</small></label>
      <button class="plain">{t('proof.check')}</button></form>}
    <p class="soft">{t('event.private')} {t('proof.covers')}</p>
    <dl class="facts">{rows.map(([name, what]) => <div><dt>{name}</dt><dd>{what}</dd></div>)}</dl>
    <Details label={t('event.raw')}><pre tabIndex={0}>{JSON.stringify(e, null, 2)}</pre></Details>
  </article>
}
