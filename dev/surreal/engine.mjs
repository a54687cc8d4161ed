// Loads an engine: the native library within its npm package, whose "exports"
// hide it.
import { createRequire } from "node:module";
import { readdirSync } from "node:fs";
import path from "node:path";
import { encoded, map, text } from "./cbor.mjs";

const here = import.meta.dirname;

function library(line) {
  const dist = path.join(here, "node_modules", `surrealdb-node-${line}`, "dist");
  const wanted = `surrealdb-node.${process.platform}-${process.arch}`;
  const musl = process.report?.getReport().header.glibcVersionRuntime === undefined;
  const files = readdirSync(dist).filter((name) => name.startsWith(wanted) && name.endsWith(".node"));
  const file = files.find((name) => process.platform !== "linux" || name.includes(musl ? "musl" : "gnu"));
  if (!file) throw new Error(`no engine for ${process.platform} on ${process.arch} in ${dist}`);
  return path.join(dist, file);
}

// open starts engine line "2" or "3" at a URL.
export async function open(line, url) {
  // 2.6 syncs commits only if this is set, 3.x by default.
  process.env.SURREAL_SYNC_DATA ??= "true";
  if (line === "3" && url.startsWith("rocksdb://") && !url.includes("?")) url += "?sync=every";
  const { SurrealNodeEngine } = createRequire(import.meta.url)(library(line));
  return SurrealNodeEngine.connect(url, { capabilities: true });
}

// Refused is an answer of the engine that says no.
export class Refused extends Error {
  constructor(bytes) {
    super("refused");
    this.bytes = bytes; // the error as CBOR: a map with code and message
  }
}

// refusal is an error of the bridge's own, in the form of the engine's.
export function refusal(code, message) {
  return new Refused(map([["code", code], ["message", message]]));
}

// execute runs one request, a map as CBOR, and answers its result as CBOR.
export async function execute(engine, request) {
  let answer;
  try {
    answer = Buffer.from(await engine.execute(request));
  } catch (err) {
    throw refusal(-32000, err.message); // 2.6 has no codes
  }
  // 3.x answers {error: {code, …}}: one pair, whose value is a map.
  if (answer[0] === 0xa1 && text(answer, 1) === "error" && answer[7] >> 5 === 5) throw new Refused(answer.subarray(7));
  return answer;
}

// call executes a method with params that are CBOR or what encoded takes.
export function call(engine, method, params = [], more = []) {
  return execute(engine, map([["method", method], ["params", encoded(params)], ...more]));
}
