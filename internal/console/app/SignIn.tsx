// Signing in and up, and taking over a login from an address.
import { useState } from 'preact/hooks'
import { language, setLanguage, t } from './i18n.ts'
import type { Session } from './session.ts'
import { useModel } from './platform.ts'
import { Form, Mark, Name } from './ui.tsx'

export function SignIn({ session }: { session: Session }) {
  useModel(session)
  const [fresh, setFresh] = useState(false)
  return <main class="door">
    <div class="door-card">
      <header><Mark size={56} /><h1>Gotong</h1><p class="soft">{t('app.motto')}</p></header>
      {session.expired && <p class="note" role="status">{t('signin.expired')}</p>}
      {session.offered ? <Offer session={session} /> : fresh ? <SignUp session={session} /> : <Existing session={session} />}
      {!session.offered && <p class="switch">
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

function Existing({ session }: { session: Session }) {
  return <Form run={(d) => session.signIn(d.email!, d.pass!)} submit={t('signin.submit')}>
    <label>{t('field.email')}<input name="email" type="email" autocomplete="username" required autofocus /></label>
    <label>{t('field.password')}<input name="pass" type="password" autocomplete="current-password" required /></label>
  </Form>
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
