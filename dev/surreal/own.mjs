// 3.x: a session of the engine for each connection, and as many requests at
// once as come.
import { randomBytes } from "node:crypto";
import { call, execute, refusal } from "./engine.mjs";
import { fields, map, none, uuid, uuidOf } from "./cbor.mjs";

export class OwnSessions {
  #engine;
  #sessions = new Map(); // session in hexadecimal → what takes its notifications

  constructor(engine) {
    this.#engine = engine;
  }

  async open(notify) {
    const bytes = randomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const session = uuid(bytes);
    await call(this.#engine, "attach", [], [["session", session]]);
    this.#sessions.set(uuidOf(session), notify);
    return { session, signedIn: false };
  }

  async run(member, method, params) {
    if (method === "attach" || method === "detach") throw refusal(-32601, "the bridge keeps one session per connection");
    const pairs = [["method", method], ["params", params], ["session", member.session]];
    const answer = await execute(this.#engine, map(pairs));
    if (["signin", "signup", "authenticate"].includes(method)) member.signedIn = true;
    if (["invalidate", "reset"].includes(method)) member.signedIn = false;
    return answer;
  }

  // take hands a notification to the connection of its session.
  take(notification) {
    const session = uuidOf(fields(notification).get("session"));
    this.#sessions.get(session)?.(notification);
  }

  // close ends the session, and its live queries with it.
  async close(member) {
    this.#sessions.delete(uuidOf(member.session));
    await call(this.#engine, "detach", [], [["session", member.session]]).catch(() => none);
  }
}
