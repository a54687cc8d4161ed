// One case: where it stands, what is being decided, and what has happened.
import type { rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { dateTime, deadline, known, left, stageName, t, type Key } from './i18n.ts'
import type { Home } from './home.ts'
import type { Matter } from './matter.ts'
import { useModel, useTick } from './platform.ts'
import { Avatar, clean, explain, Form, Icon, Name, Text } from './ui.tsx'

export function CaseScreen({ home, id }: { home: Home; id: string }) {
  const matter = home.matter(id)
  useModel(matter)
  useEffect(() => {
    matter.shown = true
    void matter.load()
    return () => { matter.shown = false }
  }, [matter, home.connected])
  const { view, timeline, members } = matter
  if (!view) return <div class="empty"><h1>{matter.failed ? t('case.gone') : t('loading')}</h1><a href="#/">{t('back')}</a></div>
  return <>
    <header class="bar">
      <a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a>
      <div class="title"><h1 class="clip" dir="auto">{clean(view.title)}</h1><p class="soft clip">{stageName(view.track)} · {t('members.count', { n: view.member_count })}</p></div>
    </header>
    <div class="scroll page case">
      <Path matter={matter} />
      {view.description && <p class="lead" dir="auto"><Text>{view.description}</Text></p>}
      {matter.open?.gate ? <Gate matter={matter} step={matter.open} gate={matter.open.gate} /> : view.active_stage !== 'tuntas' && <p class="card soft">{t('case.quiet')}</p>}
      <h2>{t('case.history')}</h2>
      <ol class="events">{[...(timeline ?? [])].reverse().map((e) => <Entry key={e.event_id} matter={matter} e={e} />)}</ol>
      {members && <><h2>{t('case.members')}</h2><ul class="list people">{members.map((m) => <li key={m.user_id} class="item">
        <Avatar name={m.name ?? ''} id={m.user_id} /><strong class="clip"><Name>{m.name ?? ''}</Name></strong><span class="soft">{m.track_roles.join(', ')}</span></li>)}</ul></>}
    </div>
  </>
}

/** The stages that the case has passed, the present one, and the proposed one. */
function Path({ matter }: { matter: Matter }) {
  const stages: string[] = []
  for (const e of matter.timeline ?? []) {
    const d = e.data as { stage?: string } | undefined
    if ((e.type === 'case.created' || e.type === 'transition.applied' || e.type === 'transition.undone') && d?.stage) stages.push(d.stage)
  }
  const now = matter.view!.active_stage
  if (stages.at(-1) !== now) stages.push(now)
  const next = matter.open?.to_stage
  return <ol class="path" aria-label={t('case.path')}>
    {stages.map((s, i) => <li key={i} class={i === stages.length - 1 ? 'now' : 'past'} aria-current={i === stages.length - 1 ? 'step' : undefined}>
      {i < stages.length - 1 && <Icon name="check" />}{stageName(s)}</li>)}
    {next && next !== now && <li class="next">{stageName(next)}</li>}
  </ol>
}

function Gate({ matter, step, gate }: { matter: Matter; step: rest.CasesTransitionView; gate: rest.CasesGateView }) {
  useTick(1000)
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const over = gate.closes_at_ms <= Date.now()
  const votes = gate.phase === 'vote' || gate.phase === 'ratification'
  const span = Math.max(1, gate.closes_at_ms - gate.opens_at_ms)
  const vote = async (choice: 'yes' | 'no' | 'abstain') => {
    if (busy) return
    setBusy(true)
    setError('')
    await matter.vote(choice).catch((e) => setError(explain(e)))
    setBusy(false)
  }
  return <section class="card gate" aria-labelledby="gate">
    <h2 id="gate">{t('case.from', { name: clean(step.actor.username), from: stageName(step.from_stage), to: stageName(step.to_stage) })}</h2>
    <p><span class="tag">{known('gate.' + gate.phase) ? t(('gate.' + gate.phase) as Key) : gate.phase}</span> {gate.secret && <span class="tag">{t('gate.secret')}</span>}</p>
    {gate.phase === 'consent' && <p>{t('gate.consent.text')}</p>}
    {votes && <p>{t('gate.vote.text', { n: gate.threshold })}</p>}
    <p class="deadline"><Icon name="clock" /> {over ? t('gate.closed') : <>{t('gate.closes')} <time dateTime={new Date(gate.closes_at_ms).toISOString()}>{deadline(gate.closes_at_ms)}</time> · <b>{t('gate.left', { time: left(gate.closes_at_ms - Date.now()) })}</b></>}</p>
    <progress max={span} value={Math.min(span, Math.max(0, Date.now() - gate.opens_at_ms))} aria-label={t('gate.closes')} />
    {votes && <>
      <p class="soft">{t('gate.tookPart', { n: gate.took_part, voters: gate.voters, quorum: gate.quorum })}</p>
      <div class="votes" role="group" aria-label={t('vote.title')}>
        {(['yes', 'no', 'abstain'] as const).map((c) => <button type="button" key={c} class={'vote ' + c} aria-pressed={gate.my_choice === c} aria-disabled={over || busy} onClick={() => { if (!over) void vote(c) }}>{t(`vote.${c}`)}</button>)}
      </div>
      {gate.my_choice && <p class="soft" role="status">{t('vote.mine', { choice: t(`vote.${gate.my_choice}`) })}</p>}
    </>}
    <p class="error" role="alert">{error}</p>
    {(gate.phase === 'consent' || gate.phase === 'challenge') && !over && <details>
      <summary><Icon name="hand" /> {t('object.title')}</summary>
      <Form submit={gate.phase === 'consent' ? t('object.submit') : t('dispute.submit')} run={(d) => matter.object(d.reason!.trim(), gate.phase === 'challenge')}>
        <label>{t('object.reason')}<textarea name="reason" required maxLength={500} rows={3} dir="auto" /></label>
      </Form>
    </details>}
  </section>
}

function Entry({ matter, e }: { matter: Matter; e: rest.CasesCaseEntry }) {
  const d = (e.data ?? {}) as Record<string, any>
  const why = 'why.' + d.why
  const choice = 'vote.' + d.choice
  const tally = d.tally ?? d
  const key = 'ev.' + e.type
  const text = t(known(key) ? key : 'ev.other', {
    type: e.type, who: clean(matter.nameOf(d.user_id) || ''), from: stageName(d.from_stage ?? ''), to: stageName(d.stage ?? d.to_stage ?? ''),
    choice: known(choice) ? t(choice) : '', why: known(why) ? t(why) : d.why ?? '', yes: tally.yes ?? 0, no: tally.no ?? 0, abstain: tally.abstain ?? 0,
  })
  const reason = (e.content as { reason?: string } | undefined)?.reason
  const name = clean(e.actor.username)
  const own = !name || /applied|rejected|tallied|reminded|ratified|undone/.test(e.type) // what time brought about
  return <li class={e.type.replace('.', '-')}>
    <span>{!own && <><b><Name>{name}</Name></b> </>}{text}</span> <time class="soft" dateTime={e.at}>{dateTime(e.occurred_at_ms)}</time>
    {reason && <blockquote dir="auto"><Text>{reason}</Text></blockquote>}
  </li>
}
