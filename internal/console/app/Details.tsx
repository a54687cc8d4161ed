// What a thread is, who is in it, and what one can change.
import { useEffect, useState } from 'preact/hooks'
import { known, left, t, titleOf, type Key } from './i18n.ts'
import { useModel } from './platform.ts'
import type { Room, ThreadView } from './room.ts'
import { Avatar, clean, Dialog, explain, Form, Icon, IconButton, Name } from './ui.tsx'

export function Details({ room, onClose }: { room: Room; onClose: () => void }) {
  useModel(room)
  const { present, home } = room
  const [changing, setChanging] = useState(false)
  const [sure, setSure] = useState(false)
  const [asked, setAsked] = useState('') // whom to block, until it is confirmed
  const [error, setError] = useState('')
  const [level, setLevel] = useState<string>()
  useEffect(() => void home.client.request('GET', '/v1/notifications/preferences').then(({ body }) => setLevel(body.threads[room.id] ?? 'all'), () => {}), [])
  useEffect(() => { room.loadMembers().catch((e) => setError(explain(e))) }, [])
  const view = room.view
  const leads = !view?.with && (view?.my_role === 'owner' || view?.my_role === 'admin')
  const params = { id: room.id }
  const patch = (body: object) => home.client.request<unknown>('PATCH', '/v1/chat/threads/{id}', { params, body })
  const mute = async () => {
    try {
      const answer = view?.muted ? await home.client.request('DELETE', '/v1/chat/threads/{id}/mute', { params })
        : await home.client.request('PUT', '/v1/chat/threads/{id}/mute', { params, body: {} })
      room.setView(answer.body)
      home.changed()
    } catch (e) {
      setError(explain(e))
    }
  }
  const block = async (u: { user_id: string; name?: string }) => {
    try {
      await home.client.request('PUT', '/v1/blocks/{user_id}', { params: { user_id: u.user_id } })
      setAsked('')
      setError(t('block.done', { name: clean(u.name ?? '') }))
    } catch (e) {
      setError(explain(e))
    }
  }
  const leave = async () => {
    try {
      await home.client.request('POST', '/v1/chat/threads/{id}/leave', { params })
      location.hash = '#/'
      home.forget(room)
    } catch (e) {
      setError(explain(e))
    }
  }
  const write = async (uid: string) => {
    try {
      const { body } = await home.client.request<ThreadView>('PUT', '/v1/chat/direct/{uid}', { params: { uid } })
      home.room(body.thread_id).setView(body)
      location.hash = '#/t/' + body.thread_id
      onClose()
    } catch (e) {
      setError(explain(e))
    }
  }
  const members = [...(room.members ?? [])].sort((a, b) => Number(present?.users?.has(b.user_id) ?? 0) - Number(present?.users?.has(a.user_id) ?? 0))
  return <Dialog label={t('members.details')} class="drawer" onClose={onClose}>
    <div class="account"><Avatar name={titleOf(room)} id={view?.with?.user_id ?? room.id} icon={view?.icon} /><h2><Name>{titleOf(room)}</Name></h2>
      <IconButton icon="close" label={t('close')} onClick={onClose} /></div>
    {view?.with?.username && view.with.username !== view.with.name && <p class="soft">@<Name>{view.with.username}</Name></p>}
    {view?.topic && <p dir="auto">{view.topic}</p>}
    <p class="soft"><Icon name={view?.privacy_level === 'private' ? 'lock' : 'globe'} /> {view?.privacy_level === 'private' ? t('thread.private') : t('thread.public')}</p>
    {view?.scope_id.startsWith('ent-') && <p><a class="group" href={'#/g/' + view.scope_id} onClick={onClose}>{t('group.about')}</a></p>}
    {!!view?.slow_mode_s && <p class="soft slow"><Icon name="clock" /> {t('slow.on', { time: left(view.slow_mode_s * 1000) })}</p>}
    <p class="error" role="alert">{error}</p>
    {changing && <Form submit={t('save')} run={async (d) => {
      await patch({ name: d.name!.trim(), topic: d.topic!.trim(), icon: d.icon!.trim() })
      if (Number(d.slow) !== (view?.slow_mode_s ?? 0)) await patch({ slow_mode_s: Number(d.slow) })
      setChanging(false)
    }}>
      <label>{t('new.name')}<input name="name" defaultValue={view?.name ?? ''} maxLength={128} /></label>
      <label>{t('thread.topic')}<input name="topic" defaultValue={view?.topic ?? ''} maxLength={250} /></label>
      <label>{t('new.icon')}<input name="icon" class="short" defaultValue={view?.icon ?? ''} maxLength={16} /></label>
      <label>{t('slow')}<select name="slow">{[...new Set([0, 10, 60, 300, 3600, view?.slow_mode_s ?? 0])].map((s) => <option value={s} selected={s === (view?.slow_mode_s ?? 0)}>{s ? left(s * 1000) : t('slow.off')}</option>)}</select><small class="soft">{t('slow.hint')}</small></label>
    </Form>}
    {level !== undefined && <label>{t('level')}<select value={level} onChange={(e) => {
      const to = e.currentTarget.value
      setLevel(to)
      void home.client.request('PATCH', '/v1/notifications/preferences', { body: { threads: { [room.id]: to } } }).catch((e) => setError(explain(e)))
    }}>{(['all', 'mentions', 'none'] as const).map((l) => <option value={l}>{t(`level.${l}`)}</option>)}</select></label>}
    {!view?.with && <><h3>{t('members')} <span class="soft">{view?.member_count}</span></h3>
    <ul class="list people">
      {members.map((m) => <li key={m.user_id} class="item">
        <Avatar name={m.name ?? ''} id={m.user_id} here={present?.users?.has(m.user_id)} />
        <span class="item-text"><strong class="clip"><Name>{m.name ?? ''}</Name></strong>{m.username && m.username !== m.name && <span class="soft clip">@<Name>{m.username}</Name></span>}{present?.users?.has(m.user_id) && <span class="unseen">{t('members.here', { n: '' })}</span>}</span>
        <span class="soft">{known('role.' + m.role) ? t(('role.' + m.role) as Key) : m.role}</span>
        {m.user_id !== home.me.userId && <IconButton icon="chat" label={t('members.write', { name: clean(m.name ?? '') })} onClick={() => write(m.user_id)} />}
        {m.user_id !== home.me.userId && <button type="button" class={asked === m.user_id ? 'plain danger' : 'icon-button'} title={t('block.who', { name: clean(m.name ?? '') })} aria-label={t('block.who', { name: clean(m.name ?? '') })}
          onClick={() => asked === m.user_id ? block(m) : setAsked(m.user_id)}>{asked === m.user_id ? t('block') : <Icon name="hand" />}</button>}
      </li>)}
    </ul></>}
    <div class="buttons">
      {view?.my_role && <button type="button" class="plain" aria-pressed={view.muted ?? false} onClick={mute}><Icon name="mute" /> {view.muted ? t('thread.unmute') : t('thread.mute')}</button>}
      {view?.with && <button type="button" class="plain danger" onClick={() => block(view.with!)}><Icon name="hand" /> {t('block')}</button>}
      {leads && !changing && <button type="button" class="plain" onClick={() => setChanging(true)}><Icon name="edit" /> {t('thread.rename')}</button>}
      {leads && <button type="button" class="plain" onClick={() => void patch({ archived: !view?.archived_at_ms }).catch((e) => setError(explain(e)))}><Icon name="archive" /> {view?.archived_at_ms ? t('thread.unarchive') : t('thread.archive')}</button>}
      {view?.members === 'own' && !view.with && (sure ? <button type="button" class="primary danger" onClick={leave}>{t('thread.leave.sure')}</button>
        : <button type="button" class="plain danger" onClick={() => setSure(true)}><Icon name="out" /> {t('thread.leave')}</button>)}
    </div>
  </Dialog>
}
