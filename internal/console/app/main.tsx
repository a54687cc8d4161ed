// The page: who is signed in, what is shown, and the service worker.
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import './style.css'
import { Account } from './Account.tsx'
import { CaseScreen } from './CaseScreen.tsx'
import { Find } from './Find.tsx'
import { Group } from './Group.tsx'
import { Home } from './home.ts'
import { Inbox } from './Inbox.tsx'
import { languageModel, t } from './i18n.ts'
import { Model, useModel } from './platform.ts'
import { Review } from './Review.tsx'
import { Search } from './Search.tsx'
import { Session } from './session.ts'
import { Connection, Sidebar } from './Sidebar.tsx'
import { SignIn } from './SignIn.tsx'
import { ThreadScreen } from './ThreadScreen.tsx'
import { Announcer, Mark } from './ui.tsx'

const views = ['t', 'c', 'find', 'inbox', 'search', 'review', 'account', 'g'] // a thread, a case, finding one, what concerns the user, searching, a message that a moderator reviews, the account, a group

/** The place in the page. A fragment never reaches the server, and hides none of its paths. */
class Route extends Model {
  view = ''
  id = ''
  at = '' // a message of the thread

  constructor() {
    super()
    addEventListener('hashchange', () => this.read())
    this.read()
  }

  read(): void {
    const [view = '', id = '', at = ''] = location.hash.replace(/^#\/?/, '').split('/')
    Object.assign(this, { view: views.includes(view) ? view : '', id, at })
    this.changed()
  }
}

const session = new Session()
const route = new Route()

/** A newer page is ready, and waits until its user wants it. */
class Update extends Model {
  waiting: ServiceWorker | undefined
}
const update = new Update()

function App() {
  useModel(session, route, languageModel)
  const { login } = session
  const [home, setHome] = useState<Home>()
  useEffect(() => {
    if (!login || session.offered || session.reset) return setHome(undefined)
    const made = new Home(session, login)
    setHome(made)
    void made.start()
    return () => made.close()
  }, [login?.userId, session.offered, session.reset])
  if (!login || session.offered || session.reset) return <><SignIn session={session} /><Announcer /></>
  return home ? <Signed home={home} key={home.me.userId} /> : <div class="splash"><Mark size={64} /></div>
}

function Signed({ home }: { home: Home }) {
  useModel(home, route, update)
  const { view, id, at } = route
  useEffect(() => {
    const unread = home.unread > 0 ? `(${home.unread}) ` : ''
    document.title = unread + 'Gotong'
  })
  const Pane = view === '' ? 'section' : 'main'
  return <div class="app" data-view={view || 'list'}>
    <Sidebar home={home} view={view} id={id} />
    <Pane class="pane" aria-label={view === '' ? t('empty.title') : undefined}>
      <Connection home={home} />
      {view === 't' ? <ThreadScreen home={home} id={id} at={at} key={id} />
        : view === 'c' ? <CaseScreen home={home} id={id} key={id} />
        : view === 'inbox' ? <Inbox home={home} />
        : view === 'review' ? <Review home={home} id={decoded(id)} key={id} />
        : view === 'search' ? <Search home={home} query={decoded(id)} />
        : view === 'account' ? <Account home={home} />
        : view === 'g' ? <Group home={home} id={id} key={id} />
        : view === 'find' ? <Find home={home} />
        : <div class="empty"><Mark size={72} /><h2>{t('empty.title')}</h2><p class="soft">{t('empty.text')}</p></div>}
    </Pane>
    {update.waiting && <div class="toast" role="status">{t('update.ready')} <button type="button" class="link" onClick={() => {
      update.waiting!.postMessage('skip')
    }}>{t('update.now')}</button></div>}
    <Announcer />
  </div>
}

function decoded(part: string): string {
  try { return decodeURIComponent(part) } catch { return part }
}

/** The one policy of Trusted Types: it makes the address of the service worker, and no other. */
function workerAddress(): string {
  const types = (globalThis as any).trustedTypes
  if (!types) return '/sw.js'
  return types.createPolicy('gotong', { createScriptURL: (url: string) => {
    if (url !== '/sw.js') throw new TypeError('not the service worker')
    return url
  } }).createScriptURL('/sw.js')
}

async function installWorker(): Promise<void> {
  if (!('serviceWorker' in navigator)) return // a page without HTTPS has none
  const registration = await navigator.serviceWorker.register(workerAddress(), { scope: '/', updateViaCache: 'none' })
  const look = () => {
    update.waiting = navigator.serviceWorker.controller ? registration.waiting ?? undefined : undefined
    update.changed()
  }
  look()
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look))
  let controlled = navigator.serviceWorker.controller !== null
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (controlled) location.reload() // in every tab: a newer worker has deleted what this page may still load
    controlled = true
  })
  document.addEventListener('visibilitychange', () => { // an app on a home screen has no button to reload
    if (document.visibilityState === 'visible') void registration.update().catch(() => {})
  })
}

addEventListener('hashchange', () => void session.takeFragment()) // the link was opened in this tab
void session.takeFragment().then(() => {
  render(<App />, document.getElementById('app')!)
  return installWorker()
}).catch(() => {}) // without a worker, the page works all the same
