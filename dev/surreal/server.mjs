// The WebSocket side: RPC in CBOR, as the official server speaks it.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { fields, map, none, encoded, text } from "./cbor.mjs";
import { Refused, refusal } from "./engine.mjs";

const messageLimit = 64 << 20; // bytes of one request
const backlogLimit = 64 << 20; // bytes that wait for a reader; then it is cut off
const inFlightLimit = 256; // requests of one connection; then it is not read from, but for what one read brought

// open is what may be asked before signing in. The official server refuses
// guests too, unless it is started otherwise; the bare engine lets them do all.
const open = new Set(["ping", "version", "use", "let", "set", "unset", "signin", "signup", "authenticate", "invalidate", "reset"]);

// serve answers RPC on a loopback port with the sessions of an engine. It
// resolves to the HTTP server, when that listens.
export function serve(sessions, port) {
  const http = createServer((request, response) => response.writeHead(request.url === "/health" ? 200 : 404).end());
  const sockets = new WebSocketServer({
    server: http,
    path: "/rpc",
    maxPayload: messageLimit,
    perMessageDeflate: false,
    handleProtocols: () => "cbor",
    // A page in a browser is no client of ours, wherever it was loaded from.
    verifyClient: ({ req }) => req.headers.origin === undefined && /\bcbor\b/.test(req.headers["sec-websocket-protocol"]),
  });
  sockets.on("connection", (socket) => connect(socket, sessions));
  return new Promise((resolve, reject) => {
    http.on("error", reject);
    http.listen(port, "127.0.0.1", () => resolve(http));
  });
}

async function connect(socket, sessions) {
  const member = sessions.open((notification) => send(socket, map([["result", notification]])));
  member.catch(() => socket.terminate());
  let running = 0;
  socket.on("error", () => socket.terminate());
  socket.on("close", () => member.then((m) => sessions.close(m), () => {}));
  socket.on("message", async (data) => {
    if (++running >= inFlightLimit) socket.pause();
    send(socket, await answer(sessions, member, data));
    if (--running < inFlightLimit && socket.isPaused) socket.resume();
  });
}

function send(socket, frame) {
  if (socket.readyState !== socket.OPEN) return;
  if (socket.bufferedAmount > backlogLimit) socket.terminate();
  else socket.send(frame, { binary: true });
}

async function answer(sessions, member, data) {
  let id = none;
  try {
    const request = fields(data);
    id = request.get("id") ?? none;
    const method = text(request.get("method"));
    if (request.has("session")) throw refusal(-32602, "the bridge keeps one session per connection");
    const session = await member;
    if (!open.has(method) && !session.signedIn) {
      throw refusal(-32000, "There was a problem with the database: IAM error: Not enough permissions to perform this action");
    }
    const result = await sessions.run(session, method, request.get("params") ?? encoded([]));
    return map([["id", id], ["result", result]]);
  } catch (err) {
    const body = err instanceof Refused ? err.bytes : refusal(-32700, `not understood: ${err.message}`).bytes;
    return map([["id", id], ["error", body]]);
  }
}
