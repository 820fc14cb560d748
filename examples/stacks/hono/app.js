import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { z } from "zod";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const PRESENT = { "Room.CallbackAfterMemberEnter": true, "Room.CallbackAfterMemberLeave": false };
const rooms = new Map();

const Packet = z.object({ CallbackCommand: z.string() });
const Change = z.object({
  RoomId: z.string(),
  MemberList_Account: z.array(z.string()),
  EventTime: z.number().int().nonnegative(),
});

const app = new Hono();

app.use("/callback", bodyLimit({ maxSize: 4 << 20 }), async (c, next) => {
  const ids = c.req.queries("SdkAppid") ?? [];
  if (ids.length !== 1 || ids[0] !== SDKAPPID) throw new HTTPException(403, { message: "unknown SdkAppid" });
  await next();
});

app.post("/callback", async (c) => {
  const json = await c.req.json(); // whatever the Content-Type
  const { CallbackCommand: command } = Packet.parse(json);
  if (command !== c.req.query("CallbackCommand")) throw new HTTPException(400, { message: "CallbackCommand differs" });
  if (Object.hasOwn(PRESENT, command)) {
    const { RoomId, MemberList_Account, EventTime } = Change.parse(json);
    if (!rooms.has(RoomId)) rooms.set(RoomId, new Map());
    const members = rooms.get(RoomId);
    for (const account of MemberList_Account) {
      if (EventTime > (members.get(account)?.time ?? -1)) members.set(account, { time: EventTime, present: PRESENT[command] });
    }
  }
  return c.json({ ActionStatus: "OK", ErrorInfo: "", ErrorCode: 0 });
});

app.get("/members", (c) =>
  c.json([...(rooms.get(c.req.query("room")) ?? [])].filter(([, m]) => m.present).map(([account]) => account)));

app.onError((error, c) => {
  const fail = (status, info) => c.json({ ActionStatus: "FAIL", ErrorInfo: info, ErrorCode: status }, status);
  if (error instanceof HTTPException) return fail(error.status, error.message);
  if (error instanceof z.ZodError || error instanceof SyntaxError) return fail(400, "malformed packet");
  return fail(500, "internal error");
});

serve({ fetch: app.fetch, port: Number(process.env.PORT), hostname: "127.0.0.1" });
