// Threads of a scope that one may join, and a new thread.
import type { rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { t } from './i18n.ts'
import type { Home } from './home.ts'
import { kv } from './platform.ts'
import type { ThreadView } from './room.ts'
import { Avatar, explain, Form, Icon, Name } from './ui.tsx'

export function Find({ home }: { home: Home }) {
  const [scope, setScope] = useState(kv.get('scope') ?? '')
  const [list, setList] = useState<ThreadView[]>()
  const [error, setError] = useState('')
  useEffect(() => {
    if (scope !== '') look(scope)
  }, [scope])
  const look = (where: string) => {
    kv.set('scope', where)
    void home.client.request('GET', '/v1/chat/threads', { query: { scope_id: where.trim(), limit: 100 } })
      .then(({ body }) => setList(body), (e) => setError(explain(e)))
  }
  const go = (id: string) => {
    home.refreshSoon()
    location.hash = '#/t/' + id
  }
  const join = async (id: string) => {
    setError('')
    try {
      await home.client.request('POST', '/v1/chat/threads/{id}/join', { params: { id } })
      go(id)
    } catch (e) {
      setError(explain(e))
    }
  }
  const create = async (d: Record<string, string>) => {
    const body = { scope_id: d.scope!, privacy_level: d.privacy as 'public', name: d.name!.trim(), ...(d.icon ? { icon: d.icon } : {}) } as rest.ChatCreateThread
    go(((await home.client.request('POST', '/v1/chat/threads', { body })).body as ThreadView).thread_id)
  }
  return <>
    <header class="bar"><a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip">{t('find.title')}</h1></header>
    <div class="scroll page">
      <section>
        <h2>{t('find.open')}</h2>
        <Form class="inline" submit={t('find.look')} run={async (d) => setScope(d.scope!)}>
          <label>{t('field.community')}<input name="scope" defaultValue={scope.trim()} required maxLength={128} /></label>
        </Form>
        <p class="error" role="alert">{error}</p>
        <ul class="list cards">
          {list?.map((v) => <li key={v.thread_id} class="item">
            <Avatar name={v.name || v.scope_id} id={v.thread_id} icon={v.icon} />
            <span class="item-text"><strong class="clip"><Name>{v.name || v.scope_id}</Name></strong>
              <span class="soft clip">{v.topic || t('members.count', { n: v.member_count })}</span></span>
            {v.my_role ? <a class="plain" href={'#/t/' + v.thread_id}>{t('find.openIt')}</a>
              : <button type="button" class="primary" onClick={() => join(v.thread_id)}>{t('find.join')}</button>}
          </li>)}
        </ul>
        {list?.length === 0 && <p class="soft">{t('find.none')}</p>}
      </section>
      <section>
        <h2>{t('new.title')}</h2>
        <Form submit={t('new.submit')} run={create}>
          <label>{t('new.name')}<input name="name" required maxLength={128} /></label>
          <label>{t('new.icon')}<input name="icon" maxLength={16} class="short" placeholder="💬" /></label>
          <input type="hidden" name="scope" value={scope.trim()} />
          <fieldset class="choice"><legend>{t('new.who')}</legend>
            <label><input type="radio" name="privacy" value="public" defaultChecked /> {t('new.public')}</label>
            <label><input type="radio" name="privacy" value="private" /> {t('new.private')}</label></fieldset>
        </Form>
      </section>
    </div>
  </>
}
