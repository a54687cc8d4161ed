// Search over the messages and the names of threads that the user may read.
import type { rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { dayOrTime, t, titleOf } from './i18n.ts'
import type { Home } from './home.ts'
import { useModel } from './platform.ts'
import { Avatar, explain, Form, Icon, Name } from './ui.tsx'

/** The query is in the address, so that going back from a message finds it again. */
export function Search({ home, query }: { home: Home; query: string }) {
  useModel(home)
  const [found, setFound] = useState<rest.ChatFound>()
  const [error, setError] = useState('')
  const look = async (cursor?: string) => {
    try {
      const { body } = await home.client.request('GET', '/v1/search', { query: { query, cursor } })
      setFound((before) => cursor && before ? { ...body, names: before.names, items: [...before.items, ...body.items] } : body)
      setError('')
    } catch (e) {
      setError(explain(e))
    }
  }
  useEffect(() => {
    setFound(undefined)
    if (query !== '' && !query.endsWith(' ')) void look() // that is where its user goes on writing
  }, [query])
  const { items = [], names = [], next_cursor: next } = found ?? {}
  return <>
    <header class="bar"><a class="icon-button back" href="#/" aria-label={t('back')}><Icon name="back" /></a><h1 class="clip">{t('search')}</h1></header>
    <div class="scroll page">
      <Form class="inline" submit={t('search.submit')} run={async (d) => { location.hash = '#/search/' + encodeURIComponent(d.query!.trim()) }}>
        <label>{t('search.query')}<input name="query" key={query} type="search" defaultValue={query} required maxLength={256} autofocus enterkeyhint="search" /><small class="soft">{t('search.hint')}</small></label>
      </Form>
      <p class="error" role="alert">{error}</p>
      <ul class="list cards found">
        {names.map((n) => <li key={n.id}><a class="item" href={n.kind === 'group' ? undefined : (n.kind === 'case' ? '#/c/' : '#/t/') + n.id}><Avatar name={n.snippet.text} id={n.id} />
          <span class="item-text"><strong class="clip"><Marked of={n.snippet} /></strong>{n.kind !== 'thread' && <span class="soft">{t(n.kind === 'case' ? 'search.case' : 'search.group')}</span>}</span></a></li>)}
        {items.map((m) => <li key={m.message_id + m.seq}><a class="item" href={`#/t/${m.thread_id}/${m.message_id}`}>
          <Avatar name={m.sent_by ?? m.author.name} id={m.author.user_id} />
          <span class="item-text"><span class="item-line"><strong class="clip"><Name>{m.sent_by ?? m.author.name}</Name></strong>
            <span class="soft clip"><Name>{titleOf(home.room(m.thread_id))}</Name></span><time class="soft" dateTime={m.at}>{dayOrTime(m.sent_at_ms ?? Date.parse(m.at))}</time></span>
          <span class="soft" dir="auto"><Marked of={m.snippet} /></span>
          {m.file_names?.map((f) => <span class="soft clip" dir="auto"><Icon name="clip" /> <Marked of={f} /></span>)}</span></a></li>)}
      </ul>
      {found && items.length + names.length === 0 && !next && <p class="soft" role="status">{t('search.none')}</p>}
      {next && <p class="center"><button type="button" class="link" onClick={() => look(next)}>{t('more')}</button></p>}
    </div>
  </>
}

/** A text with what fits the query marked; places count code points. */
function Marked({ of }: { of: rest.SearchSnippet }) {
  const points = [...of.text]
  let at = 0
  return <bdi>{of.marks.flatMap((m) => {
    const before = points.slice(at, m.from).join('')
    at = m.to
    return [before, <mark>{points.slice(m.from, m.to).join('')}</mark>]
  })}{points.slice(at).join('')}{of.cut && ' …'}</bdi>
}
