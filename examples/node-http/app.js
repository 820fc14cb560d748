// An App backend for Room.CallbackAfterMemberEnter and ...Leave: Node's own http, rooms in memory.
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const TOKEN = process.env.ROOMHOOK_TOKEN || process.env.TOKEN;
const PORT = Number(process.argv[2] ?? process.env.PORT ?? 8000);
const COMMANDS = { "Room.CallbackAfterMemberEnter": false, "Room.CallbackAfterMemberLeave": true };
const LIMIT = 2 ** 20; // bytes of body
const rooms = new Map(); // RoomId -> account -> { at, gone }; a database table in real life

class Refused extends Error {}

function checkUrl(query) {
  const only = (name) => query.getAll(name).join(); // two of a name make neither
  if (only("SdkAppid") !== SDKAPPID) throw new Refused("SdkAppid is not ours"); // as text: Number(" 014…") would be
  if (!TOKEN) return;
  const sent = only("RequestTime");
  if (!/^[0-9]{1,12}$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > 60) {
    throw new Refused("RequestTime is not within a minute of now");
  }
  const [given, right] = [only("Sign"), createHash("sha256").update(TOKEN + sent).digest("hex")].map(Buffer.from);
  // timingSafeEqual throws when the lengths differ
  if (given.length !== right.length || !timingSafeEqual(given, right)) throw new Refused("Sign does not match");
}

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= LIMIT) chunks.push(chunk); // the rest is read and dropped: leaving the loop would reset the connection
  }
  if (size > LIMIT) throw new Refused("the body is too large");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new Refused("the body is no JSON document");
  }
}

function synchronise(packet, query) {
  const command = packet?.CallbackCommand;
  if (typeof command !== "string" || query.getAll("CallbackCommand").join() !== command) {
    throw new Refused("CallbackCommand differs between URL and body");
  }
  if (!Object.hasOwn(COMMANDS, command)) return; // none of our business
  const { RoomId: id, MemberList_Account: accounts, EventTime: at } = packet;
  const isText = (value) => typeof value === "string" && value !== "";
  if (!isText(id) || !Array.isArray(accounts) || !accounts.every(isText) || !Number.isSafeInteger(at)) {
    throw new Refused("the body is no packet of this callback");
  }
  const [room, gone] = [rooms.get(id) ?? new Map(), COMMANDS[command]];
  rooms.set(id, room);
  for (const account of accounts) {
    const known = room.get(account);
    // The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
    if (!known || at > known.at || (at === known.at && gone)) room.set(account, { at, gone });
  }
}

async function answer(request) {
  const { pathname, searchParams } = new URL(`http://localhost${request.url}`);
  if (request.method === "GET" && pathname.startsWith("/rooms/")) {
    const room = rooms.get(decodeURIComponent(pathname.slice("/rooms/".length))) ?? new Map();
    return [200, [...room].filter(([, { gone }]) => !gone).map(([account]) => account)];
  }
  if (pathname !== "/callback") return [404, null];
  if (request.method !== "POST") return [405, null];
  checkUrl(searchParams);
  synchronise(await read(request), searchParams);
  return [200, { ActionStatus: "OK", ErrorCode: 0, ErrorInfo: "" }];
}

createServer(async (request, response) => {
  let status, body;
  try {
    [status, body] = await answer(request);
  } catch (error) {
    // Uncaught, any error ends the process: also that of a client which hangs up in the middle of its body.
    const refused = error instanceof Refused;
    if (!refused) console.error(error);
    const info = refused ? error.message : "internal error";
    [status, body] = [refused ? 200 : 500, { ActionStatus: "FAIL", ErrorCode: 1, ErrorInfo: info }];
  }
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}).listen(PORT, "127.0.0.1").keepAliveTimeout = 75_000; // by default 5 s, and a quiet room rests for longer
