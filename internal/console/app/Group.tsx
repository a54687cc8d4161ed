// A group, and its policy for the review of messages, which its admins change.
import type { rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { t } from './i18n.ts'
import type { Home } from './home.ts'
import { Refused } from './session.ts'
import { clean, explain, Form, Icon } from './ui.tsx'

const numbers = [['flag_at', 3, 1, 100], ['hide_at', 5, 1, 100], ['newcomer_hours', 0, 0, 720]] as const // each with its default, least and greatest
const switches = ['auto_hide', 'auto_hold', 'edge_pod_outside'] as const

export function Group({ home, id }: { home: Home; id: string }) {
  const [group, setGroup] = useState<rest.GroupsDetail>()
  const [error, setError] = useState('')
  const [saved, setSaved] = useState(false)
  useEffect(() => void home.client.request('GET', '/v1/groups/{id}', { params: { id } })
    .then(({ body }) => setGroup(body), (e) => setError(e.status === 404 ? t('group.gone') : explain(e))), [])
  const policy = group?.my_role === 'admin' ? group.policy : undefined
  const save = async (d: Record<string, string>) => {
    setSaved(false)
    for (const [name, , from, to] of numbers) {
      if (Number(d[name]) < from || Number(d[name]) > to) throw new Refused(422, '', t('policy.range', { what: t(`policy.${name}`), from, to }))
    }
    const fields = [...numbers.map(([name]) => [name, Number(d[name])]), ...switches.map((name) => [name, d[name] === 'on'])]
    await home.client.request('PATCH', '/v1/groups/{id}', { params: { id }, body: { policy: Object.fromEntries(fields) } })
    setSaved(true)
  }
  return <>
    <header class="bar"><a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip title" dir="auto">{group ? clean(group.name) : t('group.about')}</h1></header>
    <div class="scroll page">
      <p class="error" role="alert">{error}</p>
      {group && <p class="soft">{t('members.count', { n: group.member_count })}</p>}
      {group?.description && <p dir="auto">{group.description}</p>}
      {policy && <section><h2>{t('policy')}</h2>
        <Form class="form policy" submit={t('save')} run={save}>
          {numbers.map(([name, usual]) => <label key={name}>{t(`policy.${name}`)}<input name={name} type="number" inputMode="numeric" class="short" required defaultValue={policy[name] || usual} />
            {name === 'newcomer_hours' && <small class="soft">{t('policy.newcomer_hours.hint')}</small>}</label>)}
          <div class="choice">{switches.map((name) => <label key={name}><input type="checkbox" name={name} defaultChecked={policy[name] ?? false} /> {t(`policy.${name}`)}</label>)}</div>
        </Form>
        <p role="status">{saved && t('saved')}</p></section>}
    </div>
  </>
}
