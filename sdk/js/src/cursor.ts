/** A place in a stream: everything after event number seq of this epoch. */
export interface Position {
  epoch: string
  seq: number
}

/** Reads a cursor such as "rwjrtjnz:41"; undefined if it is none. */
export function parseCursor(text: unknown): Position | undefined {
  const match = typeof text === 'string' && /^([a-z0-9]{4,32}):(0|[1-9]\d*)$/.exec(text)
  if (!match) return undefined
  const seq = Number(match[2])
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined
}

export function formatCursor(at: Position): string {
  return `${at.epoch}:${at.seq}`
}

/** The one cursor of several streams, for SSE and long-poll. */
export function packCursors(list: ReadonlyArray<[stream: string, cursor: string]>): string {
  const lines = list.map(([stream, cursor]) => `${stream}=${cursor}`)
  return btoa(lines.join('\n')).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

/**
 * Where an application keeps its cursors. They are a cache: without them, a
 * stream is followed from now, or from where {@link FollowOptions.from} says.
 * Whatever the store throws is ignored, as private windows refuse storage.
 */
export interface CursorStore {
  get(stream: string): string | null | undefined | Promise<string | null | undefined>
  set(stream: string, cursor: string): unknown
  delete(stream: string): unknown
}

/** Keeps cursors in localStorage, or in anything like it. */
export function storedCursors(prefix = 'gotong:', storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>): CursorStore {
  const place = () => storage ?? localStorage // reading it may throw
  return {
    get: stream => place().getItem(prefix + stream),
    set: (stream, cursor) => place().setItem(prefix + stream, cursor),
    delete: stream => place().removeItem(prefix + stream),
  }
}

/** Reads the one cursor of several streams. What is malformed is left out. */
export function unpackCursors(text: string): Map<string, Position> {
  const found = new Map<string, Position>()
  let lines = ''
  try {
    lines = atob(text.replace(/-/g, '+').replace(/_/g, '/'))
  } catch {
    // Then it holds no cursor.
  }
  for (const line of lines.split('\n')) {
    const [stream, cursor] = line.split('=')
    const at = parseCursor(cursor)
    if (stream && at) found.set(stream, at)
  }
  return found
}
