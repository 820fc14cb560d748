import Koa from "koa";
import Router from "@koa/router";
import parse from "co-body";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const PRESENT = new Map([["Room.CallbackAfterMemberEnter", true], ["Room.CallbackAfterMemberLeave", false]]);
const rooms = new Map();

const app = new Koa();
const router = new Router();

app.use(async (ctx, next) => {
  try {
    await next();
    if (ctx.status >= 400 && !ctx.body) ctx.throw(ctx.status);
  } catch (error) {
    ctx.status = error.status ?? 500;
    ctx.body = { ActionStatus: "FAIL", ErrorInfo: error.expose || error.status < 500 ? error.message : "internal error", ErrorCode: ctx.status };
  }
});

router.post("/callback", async (ctx) => {
  ctx.assert(ctx.query.SdkAppid === SDKAPPID, 403, "unknown SdkAppid");
  const event = await parse.json(ctx, { limit: "4mb" }); // koa-bodyparser would want a Content-Type
  const command = event?.CallbackCommand;
  ctx.assert(typeof command === "string" && command === ctx.query.CallbackCommand, 400, "CallbackCommand differs");
  if (PRESENT.has(command)) {
    const { RoomId, MemberList_Account: accounts, EventTime: time } = event;
    ctx.assert(typeof RoomId === "string" && Number.isInteger(time), 400, "RoomId or EventTime is wrong");
    ctx.assert(Array.isArray(accounts) && accounts.every((a) => typeof a === "string"), 400, "MemberList_Account is wrong");
    const members = rooms.get(RoomId) ?? rooms.set(RoomId, new Map()).get(RoomId);
    for (const account of accounts) {
      if (time > (members.get(account)?.time ?? -1)) members.set(account, { time, present: PRESENT.get(command) });
    }
  }
  ctx.body = { ActionStatus: "OK", ErrorInfo: "", ErrorCode: 0 };
});

router.get("/members", (ctx) => {
  ctx.body = [...(rooms.get(ctx.query.room) ?? [])].flatMap(([account, { present }]) => (present ? [account] : []));
});

app.use(router.routes()).use(router.allowedMethods());
app.silent = true;
app.listen(process.env.PORT, "127.0.0.1");
