// An App backend for Room.CallbackAfterMemberEnter and ...Leave: Express 5, rooms in memory.
import { createHash, timingSafeEqual } from "node:crypto";
import express from "express";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const TOKEN = process.env.ROOMHOOK_TOKEN || process.env.TOKEN;
const PORT = Number(process.argv[2] ?? process.env.PORT ?? 8000);
const COMMANDS = { "Room.CallbackAfterMemberEnter": false, "Room.CallbackAfterMemberLeave": true };
const rooms = new Map(); // RoomId -> account -> { at, gone }; a database table in real life

class Refused extends Error {}

function checkUrl({ query }, response, next) {
  const only = (name) => [query[name] ?? []].flat().join(); // a parameter that comes twice is an array
  if (only("SdkAppid") !== SDKAPPID) throw new Refused("SdkAppid is not ours"); // as text: Number(" 014…") would be
  if (!TOKEN) return next();
  const sent = only("RequestTime");
  if (!/^[0-9]{1,12}$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > 60) {
    throw new Refused("RequestTime is not within a minute of now");
  }
  const [given, right] = [only("Sign"), createHash("sha256").update(TOKEN + sent).digest("hex")].map(Buffer.from);
  // timingSafeEqual throws when the lengths differ
  if (given.length !== right.length || !timingSafeEqual(given, right)) throw new Refused("Sign does not match");
  next();
}

function readPacket(request, response, next) {
  try {
    // express.json() skips a body without Content-Type, and takes bytes that are not UTF-8 for U+FFFD
    const text = new TextDecoder("utf-8", { fatal: true }).decode(request.body);
    request.packet = JSON.parse(text);
  } catch {
    throw new Refused("the body is no JSON document");
  }
  const command = request.packet?.CallbackCommand;
  if (typeof command !== "string" || request.query.CallbackCommand !== command) {
    throw new Refused("CallbackCommand differs between URL and body");
  }
  next();
}

function synchronise({ packet }, response, next) {
  if (!Object.hasOwn(COMMANDS, packet.CallbackCommand)) return next(); // none of our business
  const { RoomId: id, MemberList_Account: accounts, EventTime: at } = packet;
  const isText = (value) => typeof value === "string" && value !== "";
  if (!isText(id) || !Array.isArray(accounts) || !accounts.every(isText) || !Number.isSafeInteger(at)) {
    throw new Refused("the body is no packet of this callback");
  }
  const [room, gone] = [rooms.get(id) ?? new Map(), COMMANDS[packet.CallbackCommand]];
  rooms.set(id, room);
  for (const account of accounts) {
    const known = room.get(account);
    // The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
    if (!known || at > known.at || (at === known.at && gone)) room.set(account, { at, gone });
  }
  next();
}

const app = express();
const rawBody = express.raw({ type: () => true, limit: "1mb" });
app.post("/callback", checkUrl, rawBody, readPacket, synchronise, (_, response) => {
  response.json({ ActionStatus: "OK", ErrorCode: 0, ErrorInfo: "" });
});
app.get("/rooms/:id", ({ params: { id } }, response) => {
  response.json([...(rooms.get(id) ?? [])].filter(([, { gone }]) => !gone).map(([account]) => account));
});
// Four parameters make it the error handler; without one, Express answers with a page of HTML and the stack trace.
app.use((error, request, response, next) => {
  const foreseen = error instanceof Refused || error.status < 500; // the latter are express.raw()'s
  if (!foreseen) console.error(error);
  const answer = { ActionStatus: "FAIL", ErrorCode: 1, ErrorInfo: foreseen ? error.message : "internal error" };
  response.status(foreseen ? 200 : 500).json(answer);
});
app.listen(PORT, "127.0.0.1").keepAliveTimeout = 75_000; // by default 5 s, and a quiet room rests for longer
