// 2.6: the engine has one session for all. The bridge keeps the state of each
// connection (who, namespace, database, variables) and puts it into the engine
// before requests of that connection run. Requests of connections in the same
// state run at the same time; a change of state waits until what runs has
// ended, and then takes all that has gathered for the next state. No state
// waits longer than one round of the others.
import { call, execute, refusal } from "./engine.mjs";
import { elements, encoded, fields, map, none, text, uuidOf } from "./cbor.mjs";

const heldLimit = 10_000; // notifications that wait for the answer that says whose they are

// A state is never changed, only replaced: a request keeps the one it came with.
const nobody = Object.freeze({ who: null, ns: null, db: null, vars: new Map() });

export class SharedSession {
  #engine;
  #current; // key of the state that the engine is in, undefined if unknown
  #running = 0;
  #waiting = new Map(); // key of a state → jobs, in the order of their first
  #switching = false;
  #variables = new Set(); // names that the engine's session has
  #live = new Map(); // live query → member
  #asking = 0; // requests that may begin a live query
  #held = [];
  #tokens = new Map(); // who → the newest token, for a quick change of state

  constructor(engine) {
    this.#engine = engine;
  }

  async open(notify) {
    return { notify, state: nobody, turn: Promise.resolve(), get signedIn() { return this.state.who !== null; } };
  }

  // run keeps the order of a connection around what changes its state.
  run(member, method, params) {
    const change = changes[method];
    if (!change) return member.turn.then(() => this.#ask(member, method, params));
    const done = member.turn.then(() => change.call(this, member, method, params));
    member.turn = done.catch(() => none);
    return done;
  }

  async #ask(member, method, params) {
    if (method === "ping" || method === "version") return execute(this.#engine, map([["method", method], ["params", params]]));
    const mayLive = method === "live" || (method === "query" && /live/i.test(text(elements(params)[0]) ?? "live"));
    if (!mayLive) return this.#enter(member, method, params);
    this.#asking++;
    try {
      const answer = await this.#enter(member, method, params);
      for (const id of liveIDs(method, answer)) this.#live.set(id, member);
      return answer;
    } finally {
      this.#asking--;
      setImmediate(() => this.#release()); // after the answer has gone out
    }
  }

  #enter(member, method, params) {
    return new Promise((resolve, reject) => {
      const job = { state: member.state, request: map([["method", method], ["params", params]]), resolve, reject };
      if (method === "query" && /\buse\b/i.test(text(elements(params)[0]) ?? "")) {
        // USE in a query changes the engine's session for everybody: it runs
        // alone, and what it changed ends with it.
        job.alone = true;
        this.#waiting.set(job, [job]);
        this.#next();
        return;
      }
      const key = keyOf(job.state);
      if (!this.#switching && this.#waiting.size === 0 && key === this.#current) {
        this.#start(job);
        return;
      }
      if (!this.#waiting.has(key)) this.#waiting.set(key, []);
      this.#waiting.get(key).push(job);
      this.#next();
    });
  }

  #start(job) {
    this.#running++;
    execute(this.#engine, job.request).then(job.resolve, job.reject).finally(() => {
      this.#running--;
      this.#next();
    });
  }

  async #next() {
    if (this.#switching || this.#running > 0 || this.#waiting.size === 0) return;
    this.#switching = true;
    const [key, jobs] = this.#waiting.entries().next().value; // a job that runs alone is its own key
    this.#waiting.delete(key);
    try {
      await this.#become(jobs[0].state);
      if (jobs[0].alone) this.#current = undefined;
      for (const job of jobs) this.#start(job);
    } catch (err) {
      this.#current = undefined;
      for (const job of jobs) job.reject(err);
    }
    this.#switching = false;
    this.#next();
  }

  async #become(state) {
    const key = keyOf(state);
    if (key === this.#current) return;
    this.#current = undefined;
    const { who, ns, db, vars } = state;
    await this.#authenticate(who);
    await call(this.#engine, "use", [ns ?? null, db ?? null]);
    for (const name of this.#variables) if (!vars.has(name)) await call(this.#engine, "unset", [name]);
    for (const [name, value] of vars) await call(this.#engine, "let", [name, value]);
    this.#variables = new Set(vars.keys());
    this.#current = key;
  }

  async #authenticate(who) {
    if (who === null) return call(this.#engine, "invalidate");
    try {
      return await call(this.#engine, "authenticate", [this.#tokens.get(who.key)]);
    } catch (err) {
      if (who.method !== "signin") throw err;
      const token = await call(this.#engine, "signin", who.params); // the token is too old
      this.#tokens.set(who.key, token);
      return token;
    }
  }

  // exclusive runs what changes the engine's own session, with nothing beside it.
  #exclusive(member, method, params) {
    return new Promise((resolve, reject) => {
      const job = { state: member.state, request: map([["method", method], ["params", params]]), resolve, reject, alone: true };
      this.#waiting.set(job, [job]);
      this.#next();
    });
  }

  async signIn(member, method, params) {
    const answer = await this.#exclusive(member, method, params);
    const token = method === "authenticate" ? elements(params)[0] : answer;
    const key = method === "signin" ? params.toString("latin1") : token.toString("latin1");
    this.#tokens.set(key, token);
    const claims = claimsOf(text(token) ?? "");
    change(member, {
      who: { key, method, params },
      ns: claims.NS ? encoded(claims.NS) : member.state.ns,
      db: claims.DB ? encoded(claims.DB) : member.state.db,
    });
    return answer;
  }

  take(notification) {
    const member = this.#live.get(uuidOf(fields(notification).get("id")));
    if (member) member.notify(notification);
    else if (this.#asking > 0 && this.#held.length < heldLimit) this.#held.push(notification);
  }

  #release() {
    const held = this.#held;
    this.#held = [];
    for (const notification of held) this.take(notification);
  }

  // close ends the live queries of a connection.
  async close(member) {
    for (const [id, owner] of this.#live) {
      if (owner !== member) continue;
      this.#live.delete(id);
      const params = encoded([encoded(Buffer.concat([Buffer.from([0xd8, 37, 0x50]), Buffer.from(id, "hex")]))]);
      await this.#enter(member, "kill", params).catch(() => none);
    }
  }
}

function change(member, to) {
  member.state = Object.freeze({ ...member.state, ...to });
}

// changes is the methods that change the state of a connection.
const changes = {
  async use(member, method, params) {
    const [ns, db] = elements(params);
    change(member, { ns: chosen(ns, member.state.ns), db: chosen(db, member.state.db) });
    return none;
  },
  async let(member, method, params) {
    const [name, value] = elements(params);
    change(member, { vars: new Map(member.state.vars).set(text(name), Buffer.from(value)) });
    return none;
  },
  async unset(member, method, params) {
    const vars = new Map(member.state.vars);
    vars.delete(text(elements(params)[0]));
    change(member, { vars });
    return none;
  },
  async invalidate(member) {
    change(member, { who: null });
    return none;
  },
  async reset(member) { // the engine's own would end the process
    member.state = nobody;
    return none;
  },
  signin: SharedSession.prototype.signIn,
  signup: SharedSession.prototype.signIn,
  authenticate: SharedSession.prototype.signIn,
};
changes.set = changes.let;

// chosen is what USE means: NONE, or nothing, keeps what was; null ends it.
function chosen(value, before) {
  if (value === undefined || value.equals(none)) return before;
  return value[0] === 0xf6 ? null : Buffer.from(value);
}

function keyOf({ who, ns, db, vars }) {
  const parts = [who?.key ?? "", ns?.toString("latin1") ?? "", db?.toString("latin1") ?? ""];
  for (const [name, value] of vars) parts.push(name, value.toString("latin1"));
  return parts.map((part) => `${part.length}:${part}`).join();
}

function claimsOf(token) {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
  } catch {
    return {};
  }
}

// liveIDs is the live queries that an answer names. An id that is only data
// does no harm: no notification carries it.
function liveIDs(method, answer) {
  const values = method === "live" ? [answer] : elements(answer).map((result) => fields(result).get("result"));
  return values.map(uuidOf).filter((id) => id !== undefined);
}
