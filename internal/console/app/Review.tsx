// What waits for a moderator, and one message of it: what the reports open, and the decision.
import type { rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { dateTime, known, t, titleOf, type Key } from './i18n.ts'
import type { Home } from './home.ts'
import { useModel } from './platform.ts'
import { explain, Form, Icon, Name, Text } from './ui.tsx'

export const grounds = ['harassment', 'hate', 'violence', 'illegal', 'misinformation', 'spam', 'child_safety', 'other'] as const
type Ground = typeof grounds[number]
const severities = ['low', 'medium', 'high'] as const
const actions = ['publish_now', 'publish_with_warning', 'hold_for_review', 'block'] as const

/** The text of a word of the server, or the word itself. */
const word = (key: string): string => known(key) ? t(key as Key) : key.slice(key.indexOf('.') + 1)

/** The choice of a reason; without any, the first is empty. */
export function Grounds({ optional }: { optional?: boolean }) {
  return <label>{t('ground')}<select name="reason">{optional && <option value="">–</option>}{grounds.map((g) => <option value={g}>{t(`ground.${g}`)}</option>)}</select></label>
}

/** What waits for the user; nothing for those who moderate nothing. */
export function Queue({ home }: { home: Home }) {
  const [list, setList] = useState<rest.ModerationView[]>([])
  useEffect(() => void home.client.request('GET', '/v1/moderations/review-queue', { query: { limit: 50 } }).then(({ body }) => setList(body), () => {}), [home.inboxTurn])
  if (list.length === 0) return null
  return <section><h2>{t('review.queue')}</h2><ul class="list cards queue">{list.map((m) => <li key={m.content_id}><a class="item" href={'#/review/' + encodeURIComponent(m.content_id)}>
    <span class="avatar emoji" aria-hidden="true"><Icon name="flag" /></span>
    <span class="item-text"><strong class="clip"><Name>{titleOf(home.room(m.content_id.split(':')[0]!)) || t('message')}</Name></strong>
      <span class="soft">{[word('review.' + m.moderation_status), m.report_count && t('review.reports', { n: m.report_count }), m.waits_since_ms && dateTime(m.waits_since_ms)].filter(Boolean).join(' · ')}</span></span></a></li>)}</ul></section>
}

export function Review({ home, id }: { home: Home; id: string }) {
  useModel(home)
  const [opened, setOpened] = useState<rest.ModerationOpenedView>()
  const [error, setError] = useState('')
  const [action, setAction] = useState<typeof actions[number]>('publish_now')
  const params = { content_id: id }
  const open = () => home.client.request<rest.ModerationOpenedView>('POST', '/v1/moderations/{content_id}/open', { params, body: {} })
    .then(({ body }) => setOpened(body), (e) => setError(explain(e)))
  const [thread, message] = id.split(':') as [string, string]
  const room = home.room(thread)
  const nameOf = (user: string) => room.rows.find((r) => r.userId === user)?.name ?? room.members?.find((m) => m.user_id === user)?.name ?? ''
  const c = opened?.content
  return <>
    <header class="bar"><a class="icon-button back" href="#/inbox" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip">{t('review')}</h1></header>
    <div class="scroll page review">
      <p class="soft">{t('review.look')}</p>
      {!opened && !error && <button type="button" class="primary" onClick={open}>{t('review.open')}</button>}
      <p class="error" role="alert">{error}</p>
      {opened && c && <>
        <p><span class="tag">{word('review.' + c.moderation_status)}</span> {c.reason_code && word('ground.' + c.reason_code)} {room.view?.my_role && <a href={`#/t/${thread}/${message}`}>{titleOf(room)}</a>}</p>
        {opened.messages.map((m, i) => <article key={m.message_id} class={i === 0 ? 'card' : ''}>
          {m.revisions.map((r) => <blockquote key={r.revision} class="held" dir="auto"><Text>{r.body}</Text><p class="soft"><Name>{nameOf(m.author_id)}</Name> {dateTime(r.at_ms)}</p></blockquote>)}</article>)}
        {opened.reports.length > 0 && <><h2>{t('review.reports', { n: opened.reports.length })}</h2><ul class="events">{opened.reports.map((r) => <li key={r.at_ms}>{word('ground.' + r.reason)} <time class="soft">{dateTime(r.at_ms)}</time>
          {r.text && <blockquote dir="auto">{r.text}</blockquote>}</li>)}</ul></>}
        {(c.decisions ?? []).length > 0 && <><h2>{t('review.decisions')}</h2><ul class="events">{c.decisions!.map((d) => <li key={d.seq}>{word('review.' + d.moderation_status)} {d.reason_code && word('ground.' + d.reason_code)} <time class="soft">{dateTime(d.decided_at_ms)}</time>
          {d.grounds?.violations?.map((x) => <span class="soft"> · {word('ground.' + x.category)}: {word('severity.' + x.severity)}</span>)}
          {d.grounds?.reasoning && <blockquote dir="auto">{d.grounds.reasoning}</blockquote>}{d.appeal && <blockquote dir="auto">{d.appeal}</blockquote>}</li>)}</ul></>}
        <Form submit={t('review.decide')} run={async (d) => {
          const body: rest.ModerationDecision = { content_id: id, moderation_action: d.action as 'block' }
          if (d.reason) body.reason_code = d.reason as Ground
          if (d.reason && d.severity) body.violations = [{ category: d.reason, severity: d.severity }]
          if (d.note!.trim()) body.reasoning = d.note!.trim()
          if (d.action === 'hold_for_review') Object.assign(body, { hold_duration_minutes: Number(d.minutes), auto_release_if_no_action: d.ends === 'on' })
          await home.client.request<unknown>('POST', '/v1/moderations', { body })
          await open()
          home.countInbox()
        }}>
          <fieldset class="choice"><legend>{t('review.decision')}</legend>{actions.map((a) => <label key={a}><input type="radio" name="action" value={a} checked={a === action} onChange={() => setAction(a)} /> {t(`action.${a}`)}</label>)}</fieldset>
          {action === 'hold_for_review' && <><label>{t('review.minutes')}<input name="minutes" type="number" min={1} max={10080} defaultValue="15" required class="short" /></label>
            <div class="choice"><label><input type="checkbox" name="ends" /> {t('review.ends')}</label></div></>}
          <Grounds optional />
          <label>{t('severity')}<select name="severity"><option value="">–</option>{severities.map((s) => <option value={s}>{t(`severity.${s}`)}</option>)}</select></label>
          <label>{t('review.note')}<textarea name="note" rows={2} maxLength={2000} /><small class="soft">{t('review.note.hint')}</small></label>
        </Form>
      </>}
    </div>
  </>
}
