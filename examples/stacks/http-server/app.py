"""The standard library only: ThreadingHTTPServer, HTTP/1.1, SQLite in memory would be overkill: a dict and a lock."""
import json
import os
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}
LIMIT = 4 << 20
lock = threading.Lock()
state: dict[tuple[str, str], tuple[int, bool]] = {}


def apply(query, body):
    if query.get("SdkAppid") != [SDKAPPID]:
        raise PermissionError("unknown SdkAppid")
    event = json.loads(body)
    command = event["CallbackCommand"]
    if query.get("CallbackCommand") != [command]:
        raise ValueError("CallbackCommand differs")
    if command not in PRESENT:
        return
    room, accounts, time = event["RoomId"], event["MemberList_Account"], event["EventTime"]
    if type(room) is not str or type(accounts) is not list or type(time) is not int:
        raise TypeError("wrong type")
    if not all(type(account) is str for account in accounts):
        raise TypeError("wrong type")
    with lock:
        for account in accounts:
            if time > state.get((room, account), (-1, False))[0]:
                state[room, account] = time, PRESENT[command]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        url = urlsplit(self.path)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LIMIT:
            self.close_connection = True
            return self.reply(HTTPStatus.LENGTH_REQUIRED, fail(2, "Content-Length is needed"))
        body = self.rfile.read(int(length))
        if url.path != "/callback":
            return self.reply(HTTPStatus.NOT_FOUND, fail(404, "not found"))
        try:
            apply(parse_qs(url.query, keep_blank_values=True), body)
        except PermissionError as error:
            self.reply(HTTPStatus.FORBIDDEN, fail(1, str(error)))
        except (ValueError, KeyError, TypeError, RecursionError):
            self.reply(HTTPStatus.BAD_REQUEST, fail(2, "malformed packet"))
        else:
            self.reply(HTTPStatus.OK, {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0})

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path != "/members":
            return self.reply(HTTPStatus.NOT_FOUND, fail(404, "not found"))
        wanted = parse_qs(url.query).get("room", [""])[0]
        with lock:
            found = [account for (room, account), (_, present) in state.items() if room == wanted and present]
        self.reply(HTTPStatus.OK, found)

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def fail(code, info):
    return {"ActionStatus": "FAIL", "ErrorInfo": info, "ErrorCode": code}


class Server(ThreadingHTTPServer):
    request_queue_size = 256


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
