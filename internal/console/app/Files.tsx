// Files of messages, and those that are on their way into one.
import { link, upload, type rest } from '@gotong/client'
import { useEffect, useState } from 'preact/hooks'
import { languageModel, size, t } from './i18n.ts'
import { Model, useModel } from './platform.ts'
import type { Room } from './room.ts'
import { clean, Dialog, explain, Icon, IconButton, spoken } from './ui.tsx'

type File_ = rest.ThreadAttachment

/** The files of one message. */
export function Files({ room, list, tab }: { room: Room; list: File_[]; tab: boolean }) {
  return <ul class="files">{list.map((f) => <li key={f.attachment_id}><One room={room} file={f} tab={tab} /></li>)}</ul>
}

function One({ room, file: f, tab }: { room: Room; file: File_; tab: boolean }) {
  const [thumb, setThumb] = useState<string>()
  const [large, setLarge] = useState<string>()
  const fresh = () => link(room.home.client, f.attachment_id)
  useEffect(() => { // links live five minutes: each is asked for when it is used
    if (f.thumbnail) fresh().then((l) => setThumb(l.thumbnail_url), () => {})
  }, [f.attachment_id])
  const open = async () => {
    try {
      const { url } = await fresh()
      if (f.thumbnail) return setLarge(url)
      const a = document.createElement('a')
      Object.assign(a, { href: url, download: f.file_name })
      a.click()
    } catch (e) {
      spoken.say(explain(e))
    }
  }
  const name = clean(f.file_name)
  return <>
    <button type="button" class={f.thumbnail ? 'picture' : 'plain file'} tabIndex={tab ? 0 : -1} onClick={open} aria-label={`${t('file.open')}: ${name}`}
      style={f.thumbnail && f.width && f.height ? { aspectRatio: `${f.width} / ${f.height}` } : undefined}>
      {f.thumbnail ? thumb && <img src={thumb} alt="" /> : <><Icon name="clip" /><span class="clip" dir="auto">{name}</span><span class="soft">{size(f.size_bytes)}</span></>}
    </button>
    {large && <Dialog label={name} class="large" onClose={() => setLarge(undefined)}>
      <div class="account"><h2 class="clip" dir="auto">{name}</h2><a class="icon-button" href={large} download={f.file_name} aria-label={t('file.save')} title={t('file.save')}><Icon name="down" /></a><IconButton icon="close" label={t('close')} onClick={() => setLarge(undefined)} /></div>
      <img src={large} alt="" /></Dialog>}
  </>
}

/** A file that is on its way to the server. It continues after a cut. */
export class Upload extends Model {
  id: string | undefined
  error: string | undefined
  part = 0 // of 1, that has arrived
  #begun: string | undefined
  #stop = new AbortController()

  constructor(readonly room: Room, readonly file: File) {
    super()
    upload(room.home.client, room.id, file, {
      signal: this.#stop.signal,
      onBegun: (id) => { this.#begun = id },
      onProgress: (bytes) => {
        this.part = bytes / file.size
        this.changed()
      },
    }).then(({ attachment_id }) => { this.id = attachment_id }, (e) => { this.error = explain(e) }).then(() => this.changed())
  }

  /** Gives it up, on the server too. */
  discard(): void {
    this.#stop.abort()
    if (this.#begun) void this.room.home.client.request<unknown>('DELETE', '/v1/chat/attachments/{id}', { params: { id: this.#begun } }).catch(() => {})
  }
}

/** The files that the next message will have. */
export function Uploads({ list, onRemove }: { list: Upload[]; onRemove: (u: Upload) => void }) {
  useModel(languageModel, ...list)
  if (list.length === 0) return null
  return <ul class="files uploads" aria-label={t('file.list')}>{list.map((u) => <li key={u.file.name + u.file.lastModified}>
    <Icon name="clip" /><span class="clip" dir="auto">{clean(u.file.name)}</span><span class={u.error ? 'error' : 'soft'} role={u.error ? 'alert' : undefined}>{u.error ?? size(u.file.size)}</span>
    {!u.error && !u.id && <progress max={1} value={u.part} aria-label={clean(u.file.name)} />}
    <IconButton icon="close" label={`${t('file.remove')}: ${clean(u.file.name)}`} onClick={() => onRemove(u)} /></li>)}</ul>
}
