// Serves SurrealDB's engine on a loopback WebSocket. README.md has the options.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { call, open } from "./engine.mjs";
import { text } from "./cbor.mjs";
import { OwnSessions } from "./own.mjs";
import { SharedSession } from "./shared.mjs";
import { serve } from "./server.mjs";

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: "3" },
    url: { type: "string" },
    mem: { type: "boolean", default: false },
    port: { type: "string", default: "0" },
    user: { type: "string", default: "root" },
    pass: { type: "string", default: "root" },
    keep: { type: "boolean", default: false },
  },
});

function check() {
  if (!["2", "3"].includes(options.engine)) throw new Error("--engine is 2 or 3");
  if (!/^\d{1,5}$/.test(options.port)) throw new Error("--port is a number");
  if (!/^\w+$/.test(options.user) || !/^[\w.-]+$/.test(options.pass)) throw new Error("--user and --pass are letters and digits");
  if (options.mem && options.url) throw new Error("--mem and --url exclude each other");
}

function place() {
  if (options.mem) return { url: "mem://" };
  if (options.url) return { url: options.url };
  const folder = mkdtempSync(path.join(tmpdir(), "surreal-"));
  return { url: `rocksdb://${folder}`, folder };
}

// end stops at once: what was acknowledged is on the disk.
function end(folder) {
  if (folder) rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}

async function main() {
  check();
  const { url, folder } = place();
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => end(folder));
  if (!options.keep) {
    process.stdin.on("end", () => end(folder)).on("error", () => end(folder)).resume();
  }
  const engine = await open(options.engine, url);
  await call(engine, "query", [`DEFINE USER IF NOT EXISTS ${options.user} ON ROOT PASSWORD '${options.pass}' ROLES OWNER`]);
  const version = text(await call(engine, "version"));
  const sessions = options.engine === "2" ? new SharedSession(engine) : new OwnSessions(engine);
  const notifications = await engine.notifications();
  const { port } = (await serve(sessions, Number(options.port))).address();
  process.stdout.write(`${JSON.stringify({ port, version, url, pid: process.pid })}\n`);
  for (;;) {
    const notification = await notifications.recv();
    if (!notification) return;
    sessions.take(Buffer.from(notification));
  }
}

main().catch((err) => {
  process.stderr.write(`${err.message}\n`);
  process.exit(1);
});
