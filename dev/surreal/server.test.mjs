import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import { encoded, fields, map, none, text } from "./cbor.mjs";
import { refusal } from "./engine.mjs";
import { serve } from "./server.mjs";

// Sessions answers a query with its params, when it is let.
class Sessions {
  waiting = [];
  closed = 0;
  notify = [];

  async open(notify) {
    this.notify.push(notify);
    return { signedIn: false };
  }

  async run(member, method, params) {
    if (method === "signin") member.signedIn = true;
    if (method === "fail") throw refusal(-32000, "the engine says no");
    if (method === "wait") await new Promise((resolve) => this.waiting.push(resolve));
    return method === "signin" ? none : params;
  }

  async close() {
    this.closed++;
    this.ended?.();
  }
}

async function start(t) {
  const sessions = new Sessions();
  const http = await serve(sessions, 0);
  const sockets = [];
  t.after(() => {
    for (const s of sockets) s.terminate();
    http.close();
  });
  const open = async (options, protocols = "cbor", path = "/rpc") => {
    const socket = new WebSocket(`ws://127.0.0.1:${http.address().port}${path}`, protocols, options);
    sockets.push(socket);
    await once(socket, "open");
    return socket;
  };
  return { sessions, open };
}

async function ask(socket, id, method, more = []) {
  socket.send(map([["id", id], ["method", method], ["params", encoded(["x"])], ...more]));
  return fields((await once(socket, "message"))[0]);
}

const message = (answer) => text(fields(answer.get("error")).get("message"));

test("only programs that speak CBOR get in", async (t) => {
  const { open } = await start(t);
  await assert.rejects(open({ origin: "http://127.0.0.1" }), /401/);
  await assert.rejects(open({}, "json"), /401/);
  await assert.rejects(open({}, "cbor", "/sql"), /400/);
  assert.equal((await open()).protocol, "cbor");
});

test("guests get nothing; each answer has the id of its request", async (t) => {
  const { open } = await start(t);
  const [a, b] = [await open(), await open()];
  assert.match(message(await ask(a, 1, "query")), /Not enough permissions/);
  assert.deepEqual((await ask(a, 2, "signin")).get("result"), none);
  const answer = await ask(a, 70_000, "query");
  assert.deepEqual([answer.get("id"), answer.get("result")], [encoded(70_000), encoded(["x"])]);
  assert.match(message(await ask(b, 3, "query")), /Not enough permissions/);
  assert.match(message(await ask(a, 4, "fail")), /the engine says no/);
  assert.match(message(await ask(a, 5, "query", [["session", "s"]])), /one session per connection/);
});

test("what is no request is answered, and the connection goes on", async (t) => {
  const { open } = await start(t);
  const socket = await open();
  for (const bytes of ["", "ff", "80", "a1626964", "a0"]) {
    socket.send(Buffer.from(bytes, "hex"));
    const answer = fields((await once(socket, "message"))[0]);
    assert.ok(answer.has("error"), bytes);
  }
  assert.deepEqual((await ask(socket, 1, "signin")).get("result"), none);
});

test("notifications have no id, and go to their own connection", async (t) => {
  const { sessions, open } = await start(t);
  const [a, b] = [await open(), await open()];
  b.on("message", () => assert.fail("not for this one"));
  sessions.notify[0](encoded("ding"));
  const note = fields((await once(a, "message"))[0]);
  assert.deepEqual([...note.keys()], ["result"]);
});

test("a connection with too much to do is not read from", async (t) => {
  const { sessions, open } = await start(t);
  const socket = await open();
  await ask(socket, 0, "signin");
  let answered = 0;
  const all = new Promise((resolve) => socket.on("message", () => { if (++answered === 600) resolve(); }));
  const params = encoded(["x".repeat(8 << 10)]); // a read brings few of them
  for (let id = 1; id <= 600; id++) socket.send(map([["id", id], ["method", "wait"], ["params", params]]));
  while (sessions.waiting.length < 256) await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(sessions.waiting.length < 300, `${sessions.waiting.length} run`);
  while (answered < 600) {
    while (sessions.waiting.length > 0) sessions.waiting.pop()();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await all;
});

test("who does not read is cut off, and the session ends", { timeout: 20_000 }, async (t) => {
  const { sessions, open } = await start(t);
  const socket = await open();
  const ended = new Promise((resolve) => (sessions.ended = resolve));
  socket.pause();
  const big = encoded("x".repeat(8 << 20));
  for (let i = 0; i < 20; i++) sessions.notify[0](big);
  socket.resume();
  await ended;
  assert.equal(sessions.closed, 1);
});
