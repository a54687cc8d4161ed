// Files of messages: uploads that continue after a cut, links and downloads.
import type { Client } from './client.js'
import { Pace } from './pace.js'
import { Problem, problemOf, SignedOut } from './problem.js'
import type { FilesView } from './rest.js'

export interface UploadOptions {
  /** Default: that of the file, or "file". */
  name?: string
  /** The same key begins the same upload. Default: a new one. */
  idempotencyKey?: string
  /** Called when the upload has begun, with the id that its file will have. */
  onBegun?: (id: string) => void
  /** Called with the number of bytes that have arrived. */
  onProgress?: (bytes: number) => void
  /** Ends the attempts. What has arrived remains for 24 hours. */
  signal?: AbortSignal
}

const path = '/v1/chat/attachments/{id}'
const most = 1 << 20 // bytes of one request

/**
 * Uploads a file for a thread, in parts by the tus protocol. After a cut it continues from what has arrived, until all has or the signal ends it.
 * Returns the file, whose attachment_id a message can name. Throws a Problem if the server rejects the file.
 */
export async function upload(client: Client, threadId: string, file: Blob, options: UploadOptions = {}): Promise<FilesView> {
  const { signal } = options
  const ask = (method: string, more: object) => client.request<unknown>(method, path, { params: { id }, signal, ...more })
  const tus = { 'tus-resumable': '1.0.0' }
  const name = new TextEncoder().encode(options.name ?? (file as { name?: string }).name ?? 'file')
  const begun = await client.request<unknown>('POST', '/v1/chat/attachments', {
    query: { thread_id: threadId }, idempotencyKey: options.idempotencyKey, signal,
    headers: { ...tus, 'upload-length': `${file.size}`, 'upload-metadata': `filename ${btoa(String.fromCharCode(...name))}` },
  } as object)
  const id = begun.headers.get('location')!.replace(/.*\//, '')
  options.onBegun?.(id)
  const pace = new Pace(client.platform)
  let at = Number(begun.headers.get('upload-offset'))
  while (at < file.size) {
    options.onProgress?.(at)
    const headers = { ...tus, 'upload-offset': `${at}` }
    let answer
    try {
      answer = await ask('PATCH', { headers, part: file.slice(at, at + most) })
      pace.succeed()
    } catch (error) {
      const other = error instanceof Problem && error.code !== 'state_conflict' && !error.unknown
      if (signal?.aborted || client.closing.aborted || error instanceof SignedOut || other) throw error
      pace.fail((error as Partial<Problem>).retryAfter)
      await new Promise<void>(resolve => void client.platform.setTimeout(resolve, pace.wait()))
      answer = await ask('HEAD', { headers: tus })
    }
    at = Number(answer.headers.get('upload-offset'))
  }
  options.onProgress?.(at)
  return link(client, id)
}

/** Returns a file with links to it, which work for 5 minutes. */
export async function link(client: Client, id: string): Promise<FilesView> {
  return (await client.request('GET', '/v1/chat/attachments/{id}/link', { params: { id } })).body
}

/** Returns the bytes of a file. Throws a Problem if you may not see it. */
export async function download(client: Client, id: string): Promise<Blob> {
  const { url } = await link(client, id)
  const answer = await client.platform.fetch(client.address(url), { cache: 'no-store' })
  if (!answer.ok) throw await problemOf(answer)
  return answer.blob()
}
