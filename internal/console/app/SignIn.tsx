// Signing in and up, taking over a login from an address, and setting a forgotten password.
import { useEffect, useState } from 'preact/hooks'
import { language, setLanguage, t } from './i18n.ts'
import { Refused, type Session } from './session.ts'
import { useModel } from './platform.ts'
import { Form, Mark, Name } from './ui.tsx'

export function SignIn({ session }: { session: Session }) {
  useModel(session)
  const [fresh, setFresh] = useState(false)
  const special = session.reset ? <Reset session={session} /> : session.offered && <Offer session={session} />
  return <main class="door">
    <div class="door-card">
      <header><Mark size={56} /><h1>Gotong</h1><p class="soft">{t('app.motto')}</p></header>
      {session.expired && <p class="note" role="status">{t('signin.expired')}</p>}
      {session.changedPassword && <p class="note" role="status">{t('reset.done')}</p>}
      {special || (fresh ? <SignUp session={session} /> : <Existing session={session} />)}
      {!special && <p class="switch">
        {fresh ? t('signup.have') : t('signin.new')}{' '}
        <button type="button" class="link" onClick={() => setFresh(!fresh)}>{fresh ? t('signin.submit') : t('signup.submit')}</button>
      </p>}
      <footer><LanguageSwitch /></footer>
    </div>
  </main>
}

function Offer({ session }: { session: Session }) {
  const other = session.login && session.login.userId !== session.offered!.userId
  return <Form run={() => session.acceptOffer()} submit={t('offer.submit')} extra={
    <button type="button" class="plain" onClick={() => { session.offered = undefined; session.changed() }}>{t('cancel')}</button>}>
    <p>{t('offer.text')} <strong><Name>{session.offered!.username}</Name></strong>.</p>
    {other && <p class="soft">{t('offer.other')} <Name>{session.login!.username}</Name></p>}
  </Form>
}

/** The page of a link that sets a new password. */
function Reset({ session }: { session: Session }) {
  return <><h2>{t('reset.title')}</h2><Form run={(d) => session.setPassword(newPassword(d))} submit={t('save')} extra={
    <button type="button" class="plain" onClick={() => { session.reset = undefined; session.changed() }}>{t('cancel')}</button>}>
    <NewPassword />
  </Form></>
}

/** The fields of a new password, which is typed twice. */
export function NewPassword() {
  return <>
    <label>{t('password.new')}<input name="new" type="password" autocomplete="new-password" required minLength={8} maxLength={256} />
      <small class="soft">{t('field.password.hint')}</small></label>
    <label>{t('password.again')}<input name="again" type="password" autocomplete="new-password" required maxLength={256} /></label>
  </>
}

/** Returns what was typed into {@link NewPassword}. */
export function newPassword(d: Record<string, string>): string {
  if (d.new !== d.again) throw new Refused(422, '', t('password.differ'))
  return d.new!
}

/** Asks for a link; the answer does not say whether there is such an account. */
function Forgot({ session, onDone }: { session: Session; onDone: () => void }) {
  const [sent, setSent] = useState(false)
  return <><h2>{t('forgot')}</h2>
    <p role="status">{sent && t('forgot.sent')}</p>
    {!sent && <Form run={async (d) => { await session.askReset(d.email!.trim()); setSent(true) }} submit={t('forgot.submit')}>
      <label>{t('field.email')}<input name="email" type="email" autocomplete="username" required autofocus /></label>
    </Form>}
    <p class="switch"><button type="button" class="link" onClick={onDone}>{t('back')}</button></p></>
}

function Existing({ session }: { session: Session }) {
  const [mails, setMails] = useState(false)
  const [forgot, setForgot] = useState(false)
  useEffect(() => void session.mails().then(setMails, () => {}), [])
  if (forgot) return <Forgot session={session} onDone={() => setForgot(false)} />
  return <><Form run={(d) => session.signIn(d.email!, d.pass!)} submit={t('signin.submit')}>
    <label>{t('field.email')}<input name="email" type="email" autocomplete="username" required autofocus /></label>
    <label>{t('field.password')}<input name="pass" type="password" autocomplete="current-password" required /></label>
  </Form>
  {mails && <p class="switch"><button type="button" class="link forgot" onClick={() => setForgot(true)}>{t('forgot')}</button></p>}</>
}

function SignUp({ session }: { session: Session }) {
  return <Form run={(d) => session.signUp(d.email!, d.pass!, d.username!, d.community!)} submit={t('signup.submit')}>
    <label>{t('field.username')}<input name="username" autocomplete="nickname" required minLength={3} maxLength={64} pattern="[A-Za-z0-9]+([._\-][A-Za-z0-9]+)*" autofocus />
      <small class="soft">{t('field.username.hint')}</small></label>
    <label>{t('field.email')}<input name="email" type="email" autocomplete="email" required /></label>
    <label>{t('field.password')}<input name="pass" type="password" autocomplete="new-password" required minLength={8} maxLength={256} />
      <small class="soft">{t('field.password.hint')}</small></label>
    <label>{t('field.community')}<input name="community" required maxLength={128} placeholder="rt05" />
      <small class="soft">{t('field.community.hint')}</small></label>
  </Form>
}

export function LanguageSwitch() {
  return <div class="segments" role="group" aria-label={t('language')}>
    {(['id', 'en'] as const).map((code) =>
      <button type="button" lang={code} aria-pressed={language() === code} onClick={() => setLanguage(code)}>{code === 'id' ? 'Bahasa Indonesia' : 'English'}</button>)}
  </div>
}
