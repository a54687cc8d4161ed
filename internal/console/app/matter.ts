// One case: its stage, the open gate with its votes, and what has happened.
import type { Follow, rest } from '@gotong/client'
import type { Home } from './home.ts'
import { Model, soon } from './platform.ts'

export class Matter extends Model {
  view: rest.CasesCaseView | undefined
  open: rest.CasesTransitionView | undefined
  timeline: rest.CasesCaseEntry[] | undefined
  members: rest.CasesMemberView[] | undefined
  failed = false
  shown = false
  #follow: Follow | undefined

  constructor(readonly home: Home, readonly id: string) {
    super()
  }

  setView(view: rest.CasesCaseView): void {
    this.view = view
    this.changed()
  }

  follow(): void {
    if ((this.#follow && !this.#follow.closed) || !this.view) return
    try {
      this.#follow = this.home.client.follow('case/' + this.id, {
        from: this.view.as_of,
        onEvents: () => this.#loadSoon(),
        onReset: () => this.view?.as_of,
        onRevoked: () => {
          this.home.matters.delete(this.id)
          this.view = this.timeline = this.members = this.open = undefined
          this.failed = true
          this.changed()
          this.home.changed()
        },
        onError: () => { this.#follow = undefined },
      })
    } catch { /* as many streams as the server allows */ }
  }

  #loadSoon = soon(200, () => void (this.shown ? this.load() : this.#head().catch(() => undefined))) // the next event reads it again

  async #head(): Promise<void> {
    const params = { id: this.id }
    this.view = (await this.home.client.request('GET', '/v1/cases/{id}', { params })).body
    const { open_transition_id: open } = this.view
    this.open = open ? (await this.home.client.request('GET', '/v1/transitions/{id}', { params: { id: open } })).body : undefined
    this.changed()
    this.home.changed()
  }

  async load(): Promise<void> {
    const params = { id: this.id }
    const { request } = this.home.client
    try {
      await this.#head()
      this.follow()
      const [timeline, members] = await Promise.all([
        request('GET', '/v1/transitions/{id}/timeline', { params, query: { limit: 200 } }),
        request('GET', '/v1/cases/{id}/members', { params }),
      ])
      this.timeline = timeline.body
      this.members = members.body
      this.failed = false
    } catch {
      this.failed = true
    }
    this.changed()
  }

  async vote(choice: 'yes' | 'no' | 'abstain'): Promise<void> {
    await this.home.client.request('POST', '/v1/transitions/{id}/votes', { params: { id: this.open!.transition_id }, body: { choice } })
    await this.load()
  }

  async object(reason: string, dispute = false): Promise<void> {
    const path = dispute ? '/v1/transitions/{id}/disputes' : '/v1/transitions/{id}/objections'
    await this.home.client.request<unknown>('POST', path, { params: { id: this.open!.transition_id }, body: { reason } })
    await this.load()
  }

  nameOf(userId: string | undefined): string {
    return this.members?.find((m) => m.user_id === userId)?.name ?? ''
  }
}
