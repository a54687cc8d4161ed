import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from '../src/index.js'

export const binary = fileURLToPath(new URL('../../../../bin/gotong', import.meta.url))

/** A server of its own, with an empty data directory. */
export interface Server {
  port: number
  /** Its checkpoints, and the key that signs them. */
  checkpoints: string
  stop(): void
}

/** Starts `gotong serve`, as `make build` made it. */
export function serve(): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'gotong-sdk-'))
  const checkpoints = join(dir, 'checkpoints')
  const limits = ['user', 'address', 'command'].flatMap(of => [`--${of}-rate=100000`, `--${of}-burst=100000`])
  const server = spawn(binary, [
    'serve', '--addr=127.0.0.1:0', '--admin-addr=127.0.0.1:0', `--data=${join(dir, 'data')}`, `--checkpoints=${checkpoints}`, '--log-level=error', ...limits,
  ], { stdio: ['ignore', 'pipe', 'pipe'] })
  // Its data are thrown away, so it need not end in good order, and nothing waits for it.
  const stop = () => {
    server.removeAllListeners('exit')
    server.on('exit', () => rmSync(dir, { recursive: true, force: true }))
    server.kill('SIGKILL')
  }
  let output = ''
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.on('exit', code => reject(new Error(`gotong serve ended with ${code}: ${output}`)))
    const read = (chunk: Buffer) => {
      output += chunk
      const found = /^API +http:\/\/127\.0\.0\.1:(\d+)/m.exec(output)
      if (found) resolve({ port: Number(found[1]), checkpoints, stop })
    }
    server.stdout.on('data', read)
    server.stderr.on('data', read)
  })
}

/** Signs a person up, and returns their token. */
export async function signUp(client: Client, name: string): Promise<string> {
  const { body } = await client.request('POST', '/v1/auth/signup', {
    body: { email: `${name}@rt05.example`, pass: 'hujan-deras-2026', username: name, community_id: 'rt05' },
  })
  return body.access_token
}
