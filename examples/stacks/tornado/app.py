import asyncio
import json
import os
import sys

from tornado.escape import json_decode
from tornado.web import Application, HTTPError, RequestHandler

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}
rooms: dict[str, dict[str, tuple[int, bool]]] = {}


class CallbackHandler(RequestHandler):
    def prepare(self):
        if self.get_query_arguments("SdkAppid", strip=False) != [SDKAPPID]:
            raise HTTPError(403, reason="unknown SdkAppid")

    def post(self):
        try:
            event = json_decode(self.request.body)
            command = event["CallbackCommand"]
        except (ValueError, TypeError, LookupError, RecursionError):
            raise HTTPError(400, reason="malformed packet")
        if command != self.get_query_argument("CallbackCommand"):
            raise HTTPError(400, reason="CallbackCommand differs")
        if command in PRESENT:
            self.change(event, PRESENT[command])
        self.write({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0})

    def change(self, event, present):
        room, accounts, time = (event.get(key) for key in ("RoomId", "MemberList_Account", "EventTime"))
        if not isinstance(room, str) or not isinstance(accounts, list) or not isinstance(time, int):
            raise HTTPError(400, reason="malformed packet")
        if not all(isinstance(account, str) for account in accounts):
            raise HTTPError(400, reason="malformed packet")
        members = rooms.setdefault(room, {})
        for account in accounts:
            if account not in members or members[account][0] < time:
                members[account] = (time, present)

    def write_error(self, status_code, **kwargs):
        self.finish({"ActionStatus": "FAIL", "ErrorInfo": self._reason, "ErrorCode": status_code})


class MembersHandler(RequestHandler):
    def get(self):
        room = rooms.get(self.get_query_argument("room", strip=False), {})
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps([account for account, (_, present) in room.items() if present]))


async def main(port):
    app = Application([("/callback", CallbackHandler), ("/members", MembersHandler)])
    app.listen(port, "127.0.0.1", max_body_size=4 << 20)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
