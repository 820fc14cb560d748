import Fastify from "fastify";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const ENTER = "Room.CallbackAfterMemberEnter";
const LEAVE = "Room.CallbackAfterMemberLeave";
const rooms = new Map();

const app = Fastify({ bodyLimit: 4 << 20, ajv: { customOptions: { coerceTypes: false, removeAdditional: false } } });

// The Room backend sends no Content-Type; whatever comes is JSON.
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "string" }, app.getDefaultJsonParser("error", "error"));

const schema = {
  querystring: {
    type: "object",
    required: ["SdkAppid", "CallbackCommand"],
    properties: { SdkAppid: { type: "string" }, CallbackCommand: { type: "string" } },
  },
  body: {
    type: "object",
    required: ["CallbackCommand"],
    properties: { CallbackCommand: { type: "string" } },
    if: { properties: { CallbackCommand: { enum: [ENTER, LEAVE] } } },
    then: {
      required: ["RoomId", "MemberList_Account", "EventTime"],
      properties: {
        RoomId: { type: "string" },
        MemberList_Account: { type: "array", items: { type: "string" } },
        EventTime: { type: "integer" },
      },
    },
  },
};

app.post("/callback", { schema }, async (request, reply) => {
  const { query, body } = request;
  if (query.SdkAppid !== SDKAPPID) return reply.code(403).send(fail(403, "unknown SdkAppid"));
  if (query.CallbackCommand !== body.CallbackCommand) return reply.code(400).send(fail(400, "CallbackCommand differs"));
  if (body.CallbackCommand === ENTER || body.CallbackCommand === LEAVE) {
    if (!rooms.has(body.RoomId)) rooms.set(body.RoomId, new Map());
    const members = rooms.get(body.RoomId);
    for (const account of body.MemberList_Account) {
      if (body.EventTime > (members.get(account)?.time ?? -1)) {
        members.set(account, { time: body.EventTime, present: body.CallbackCommand === ENTER });
      }
    }
  }
  return { ActionStatus: "OK", ErrorInfo: "", ErrorCode: 0 };
});

app.get("/members", async (request) =>
  [...(rooms.get(request.query.room) ?? [])].filter(([, m]) => m.present).map(([account]) => account));

function fail(code, info) {
  return { ActionStatus: "FAIL", ErrorInfo: info, ErrorCode: code };
}

app.setErrorHandler((error, request, reply) => {
  const status = error.statusCode ?? 500;
  reply.code(status).send(fail(status, status < 500 ? error.message : "internal error"));
});

await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
