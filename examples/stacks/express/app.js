import express from "express";

const SDKAPPID = process.env.SDKAPPID ?? "1400000001";
const PRESENT = { "Room.CallbackAfterMemberEnter": true, "Room.CallbackAfterMemberLeave": false };
const rooms = new Map(); // RoomId -> Map(account -> {time, present})

const app = express();
app.disable("x-powered-by");
app.use(express.json({ type: () => true, limit: "4mb" })); // the Room backend sends no Content-Type

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function checkSdkAppid(req, res, next) {
  // twice: an array, which is not equal to a string
  next(req.query.SdkAppid === SDKAPPID ? undefined : new HttpError(403, "unknown SdkAppid"));
}

function apply(event) {
  const { RoomId, MemberList_Account: accounts, EventTime: time, CallbackCommand } = event;
  if (typeof RoomId !== "string" || !Array.isArray(accounts) || !Number.isSafeInteger(time)) {
    throw new HttpError(400, "malformed packet");
  }
  if (!accounts.every((account) => typeof account === "string")) throw new HttpError(400, "accounts are strings");
  if (!rooms.has(RoomId)) rooms.set(RoomId, new Map());
  const members = rooms.get(RoomId);
  for (const account of accounts) {
    if (time > (members.get(account)?.time ?? -1)) members.set(account, { time, present: PRESENT[CallbackCommand] });
  }
}

app.post("/callback", checkSdkAppid, (req, res) => {
  const command = req.body?.CallbackCommand;
  if (typeof command !== "string" || command !== req.query.CallbackCommand) {
    throw new HttpError(400, "CallbackCommand differs between URL and body");
  }
  if (Object.hasOwn(PRESENT, command)) apply(req.body);
  res.json({ ActionStatus: "OK", ErrorInfo: "", ErrorCode: 0 });
});

app.get("/members", (req, res) => {
  const members = rooms.get(req.query.room) ?? new Map();
  res.json([...members].filter(([, { present }]) => present).map(([account]) => account));
});

app.use((error, req, res, next) => {
  const status = error.status ?? 500;
  const info = status < 500 ? error.message : "internal error";
  res.status(status).json({ ActionStatus: "FAIL", ErrorInfo: info, ErrorCode: status });
});

app.listen(process.env.PORT, "127.0.0.1");
