// The account: password, e-mail address, logins, and its end.
import type { rest } from '@gotong/client'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { dateTime, t } from './i18n.ts'
import type { Home } from './home.ts'
import { Refused } from './session.ts'
import { NewPassword, newPassword } from './SignIn.tsx'
import { explain, Form, Icon } from './ui.tsx'

export function Account({ home }: { home: Home }) {
  const call = async (method: 'PUT' | 'POST', path: '/v1/auth/me/password' | '/v1/auth/me/email' | '/v1/auth/me/delete', body: object) => {
    try {
      await home.client.request<unknown>(method, path, { body })
    } catch (e) {
      const { status, detail } = e as Partial<Refused>
      throw status === 403 && detail?.startsWith('The password') ? new Refused(422, '', t('password.wrong')) : e
    }
  }
  const [turn, setTurn] = useState(0) // of the logins
  return <>
    <header class="bar"><a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip title">{t('account.manage')}</h1></header>
    <div class="scroll page">
      <Part title={t('password.change')} done={t('password.done')} run={async (d) => {
        await call('PUT', '/v1/auth/me/password', { current: d.current, pass: newPassword(d) })
        setTurn(turn + 1)
      }}>
        <Present name="current" /><NewPassword />
      </Part>
      <Part title={t('email.change')} done={t('saved')} run={(d) => call('PUT', '/v1/auth/me/email', { email: d.email!.trim(), pass: d.pass })}>
        <label>{t('email.new')}<input name="email" type="email" autocomplete="email" required maxLength={256} /></label><Present name="pass" />
      </Part>
      <Logins home={home} turn={turn} />
      <details><summary>{t('account.delete')}</summary>
        <Part submit={t('account.delete')} run={async (d) => {
          await call('POST', '/v1/auth/me/delete', { pass: d.pass })
          home.close()
          await home.session.signOut()
          location.replace(location.pathname)
        }}>
          <p>{t('account.delete.text')}</p><Present name="pass" />
          <div class="choice"><label><input type="checkbox" required /> {t('account.delete.sure')}</label></div>
        </Part></details>
    </div>
  </>
}

function Present({ name }: { name: string }) {
  return <label>{t('password.now')}<input name={name} type="password" autocomplete="current-password" required maxLength={256} /></label>
}

/** A form that is empty again once it was sent. */
function Part(p: { title?: string; submit?: string; done?: string; run: (d: Record<string, string>) => Promise<void>; children: ComponentChildren }) {
  const [times, set] = useState(0)
  return <section>
    {p.title && <h2>{p.title}</h2>}
    <p role="status">{times > 0 && p.done}</p>
    <Form key={times} submit={p.submit ?? t('save')} run={async (d) => { await p.run(d); set(times + 1) }}>{p.children}</Form>
  </section>
}

function Logins({ home, turn }: { home: Home; turn: number }) {
  const [list, setList] = useState<rest.AccountsLoginView[]>([])
  const [error, setError] = useState('')
  const look = () => home.client.request('GET', '/v1/auth/logins').then(({ body }) => setList(body))
  const failed = (e: unknown) => setError(explain(e))
  useEffect(() => void look().catch(failed), [turn])
  const end = (id: string) => home.client.request<unknown>('DELETE', '/v1/auth/logins/{id}', { params: { id } }).then(look).catch(failed)
  return <section><h2>{t('logins')}</h2>
    <p class="error" role="alert">{error}</p>
    <ul class="list cards">{list.map((l) => <li key={l.login_id} class="item">
      <span class="item-text"><strong class="clip">{deviceOf(l.agent)}</strong>
        <span class="soft">{t('logins.used', { at: dateTime(l.used_at_ms) })}</span></span>
      {l.current ? <span class="tag">{t('logins.this')}</span>
        : <button type="button" class="plain" aria-label={`${t('logins.end')}: ${deviceOf(l.agent)}, ${dateTime(l.created_at_ms)}`} onClick={() => end(l.login_id)}>{t('logins.end')}</button>}
    </li>)}</ul>
  </section>
}

/** The browser and the system that a client names; otherwise what it calls itself. */
function deviceOf(agent = ''): string {
  const first = (...names: string[]) => names.find((n) => agent.includes(n))
  const browser = first('Firefox', 'Edg', 'OPR', 'Chrome', 'Safari')?.replace('Edg', 'Edge').replace('OPR', 'Opera')
  return [browser, first('Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux')].filter(Boolean).join(' · ') || agent || t('logins.unknown')
}
