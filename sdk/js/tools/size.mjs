// Prints the size of each entry, minified by esbuild and compressed by gzip,
// and fails if one is larger than it may be. KB are 1,000 bytes.
import { gzipSync } from 'node:zlib'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const most = { '.': 12 }

const root = new URL('../', import.meta.url)
const entries = Object.keys(JSON.parse(readFileSync(new URL('package.json', root))).exports)
const pad = (text, length) => String(text).padStart(length)
console.log('entry                 minified    gzip    most (KB)')
for (const entry of entries) {
  const source = entry === '.' ? 'index' : entry.slice(2)
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`src/${source}.ts`, root))],
    bundle: true, minify: true, write: false, format: 'esm', target: 'es2022', legalComments: 'none',
  })
  const [{ contents }] = outputFiles
  const gzip = gzipSync(contents, { level: 9 }).length
  const limit = most[entry]
  const name = `@gotong/client${entry.slice(1)}`
  console.log(`${name.padEnd(22)}${pad((contents.length / 1000).toFixed(1), 8)}${pad((gzip / 1000).toFixed(2), 8)}${pad(limit ?? '-', 8)}`)
  if (limit !== undefined && gzip > limit * 1000) {
    console.error(`${name} is larger than ${limit} KB`)
    process.exitCode = 1
  }
}
