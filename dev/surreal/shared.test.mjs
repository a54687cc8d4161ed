import assert from "node:assert/strict";
import { test } from "node:test";
import { elements, encoded, fields, map, none, text, uuid } from "./cbor.mjs";
import { SharedSession } from "./shared.mjs";

// Engine is one session for all, as 2.6 has it. A query answers the state that
// it ran in, after a turn of the loop, and it fails if that changed meanwhile.
class Engine {
  state = { who: "", ns: "", db: "", vars: {} };
  running = 0;
  most = 0;
  switches = 0;

  async execute(request) {
    const pairs = fields(request);
    const params = elements(pairs.get("params"));
    const method = text(pairs.get("method"));
    const change = {
      use: () => Object.assign(this.state, { ns: text(params[0]), db: text(params[1]) }),
      signin: () => (this.state.who = text(params[0])),
      authenticate: () => (this.state.who = text(params[0]).replace("token of ", "")),
      invalidate: () => (this.state.who = ""),
      let: () => (this.state.vars[text(params[0])] = text(params[1])),
      unset: () => delete this.state.vars[text(params[0])],
    }[method];
    if (change) {
      assert.equal(this.running, 0, `${method} while a request runs`);
      change();
      this.switches++;
      return method === "signin" ? encoded(`token of ${text(params[0])}`) : none;
    }
    const before = JSON.stringify(this.state);
    this.most = Math.max(this.most, ++this.running);
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    this.running--;
    assert.equal(JSON.stringify(this.state), before, "the state changed under a request");
    if (text(params[0])?.startsWith("LIVE")) return encoded([map([["result", uuid(Buffer.from(text(params[1]), "hex"))]])]);
    return encoded(before);
  }
}

async function member(sessions, who, ns, notify = () => {}) {
  const m = await sessions.open(notify);
  await sessions.run(m, "signin", encoded([who]));
  await sessions.run(m, "use", encoded([ns, "d"]));
  return m;
}

test("each connection runs in its own state, and equal ones at the same time", { timeout: 20_000 }, async () => {
  const engine = new Engine();
  const sessions = new SharedSession(engine);
  const members = [];
  for (let i = 0; i < 12; i++) {
    const who = `user${i % 3}`;
    const ns = `ns${i % 2}`;
    members.push({ who, ns, m: await member(sessions, who, ns) });
  }
  engine.switches = 0;
  const jobs = [];
  for (let round = 0; round < 50; round++) {
    for (const { who, ns, m } of members) {
      jobs.push(sessions.run(m, "query", encoded([`RETURN ${round}`])).then((answer) => {
        const state = JSON.parse(text(answer));
        assert.deepEqual([state.who, state.ns], [who, ns]);
      }));
    }
  }
  await Promise.all(jobs);
  assert.ok(engine.most > 4, `at most ${engine.most} ran at the same time`);
  assert.ok(engine.switches < 100, `${engine.switches} changes of state for ${jobs.length} requests`);
});

test("no call waits for ever behind a busy state", { timeout: 20_000 }, async () => {
  const sessions = new SharedSession(new Engine());
  const [busy, quiet] = [await member(sessions, "a", "x"), await member(sessions, "b", "y")];
  let done = false;
  const flood = Array.from({ length: 20 }, async () => {
    while (!done) await sessions.run(busy, "query", encoded(["RETURN 1"]));
  });
  for (let i = 0; i < 20; i++) await sessions.run(quiet, "query", encoded(["RETURN 2"]));
  done = true;
  await Promise.all(flood);
});

test("variables and what a connection changes keep their order", async () => {
  const sessions = new SharedSession(new Engine());
  const [a, b] = [await member(sessions, "a", "x"), await member(sessions, "b", "y")];
  const asked = [
    sessions.run(a, "let", encoded(["v", "1"])),
    sessions.run(a, "query", encoded(["RETURN 1"])),
    sessions.run(b, "query", encoded(["RETURN 1"])),
    sessions.run(a, "unset", encoded(["v"])),
    sessions.run(a, "use", encoded(["z", "d"])),
    sessions.run(a, "query", encoded(["RETURN 1"])),
    sessions.run(a, "query", encoded(["USE NS other"])),
    sessions.run(a, "query", encoded(["RETURN 1"])),
    sessions.run(a, "reset", encoded([])),
    sessions.run(a, "query", encoded(["RETURN 1"])),
  ];
  const states = (await Promise.all(asked)).filter((x) => !x.equals(none)).map((x) => JSON.parse(text(x)));
  assert.deepEqual(states.map((s) => [s.who, s.ns, s.vars.v]), [
    ["a", "x", "1"], ["b", "y", undefined], ["a", "z", undefined], ["a", "z", undefined], ["a", "z", undefined], ["", undefined, undefined],
  ]);
});

test("a notification goes to whom its query belongs, also before the answer", async () => {
  const sessions = new SharedSession(new Engine());
  const received = [];
  const a = await member(sessions, "a", "x", () => received.push("a"));
  await member(sessions, "b", "x", () => received.push("b"));
  const id = "ab".repeat(16);
  const note = map([["id", uuid(Buffer.from(id, "hex"))], ["action", "CREATE"]]);
  const asked = sessions.run(a, "query", encoded(["LIVE SELECT", id]));
  await new Promise((resolve) => setImmediate(resolve));
  sessions.take(note);
  assert.deepEqual(received, []);
  await asked;
  await new Promise((resolve) => setImmediate(resolve));
  sessions.take(note);
  sessions.take(map([["id", uuid(Buffer.alloc(16))]]));
  assert.deepEqual(received, ["a", "a"]);
  await sessions.close(a);
  sessions.take(note);
  assert.deepEqual(received, ["a", "a"]);
});
