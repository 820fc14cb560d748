"""An App backend for Room.CallbackAfterMemberEnter and ...Leave: Flask and SQLite."""

import hashlib
import hmac
import json
import os
import re
import sqlite3
import time
from contextlib import closing

from flask import Flask, Response, jsonify, request

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
TOKEN = os.environ.get("ROOMHOOK_TOKEN") or os.environ.get("TOKEN")
DATABASE = os.environ.get("DATABASE", "rooms.db")
GONE = {"Room.CallbackAfterMemberEnter": 0, "Room.CallbackAfterMemberLeave": 1}
TABLE = """CREATE TABLE IF NOT EXISTS presence
(room TEXT, account TEXT, event_time INTEGER, gone INTEGER, PRIMARY KEY (room, account))"""
# The later event wins, and of two in one ms the leave: repeated or out of order, the end is the same.
UPSERT = """INSERT INTO presence (room, account, event_time, gone) VALUES (?, ?, ?, ?)
ON CONFLICT (room, account) DO UPDATE SET event_time = excluded.event_time, gone = excluded.gone
WHERE (excluded.event_time, excluded.gone) > (event_time, gone)"""
MEMBERS = "SELECT account FROM presence WHERE room = ? AND NOT gone"

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 20


class Refused(Exception): ...


def database() -> closing[sqlite3.Connection]:
    connection = sqlite3.connect(DATABASE)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")  # no wait for the disk
    return closing(connection)


with database() as db:
    db.execute(TABLE)


def check_url() -> None:
    if request.args.getlist("SdkAppid") != [SDKAPPID]:  # as text and once: int(" 01400000001") would be ours
        raise Refused("SdkAppid is not ours")
    if TOKEN:
        sign, sent = (",".join(request.args.getlist(name)) for name in ("Sign", "RequestTime"))
        if not re.fullmatch("[0-9]{1,12}", sent) or abs(time.time() - int(sent)) > 60:
            raise Refused("RequestTime is not within a minute of now")
        if not hmac.compare_digest(sign.encode(), hashlib.sha256((TOKEN + sent).encode()).hexdigest().encode()):
            raise Refused("Sign does not match")


def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    value.encode()  # JSON can hold half a character, "\ud83d", which a database can't: UnicodeEncodeError
    return value


def read(body: bytes) -> tuple[str, list[tuple[str, str, int, int]]]:
    """The command of a packet and what it changes, a row for each member."""
    packet = json.loads(body, parse_constant=int)  # json takes NaN, which JSON does not have and int refuses
    command = text(packet["CallbackCommand"])
    if command not in GONE:
        return command, []  # none of our business
    room, accounts, at = text(packet["RoomId"]), packet["MemberList_Account"], packet["EventTime"]
    if not isinstance(accounts, list) or type(at) is not int or not 0 <= at < 2**53:  # a bool is an int, too
        raise TypeError(packet)
    return command, [(room, text(account), at, GONE[command]) for account in accounts]


@app.post("/callback")
def on_callback() -> Response:
    check_url()
    try:
        command, rows = read(request.get_data())  # get_json() wants a Content-Type; the documented request has none
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise Refused("the body is no packet of this callback") from error
    if request.args.getlist("CallbackCommand") != [command]:
        raise Refused("CallbackCommand differs between URL and body")
    with database() as db, db:
        db.executemany(UPSERT, rows)
    return jsonify(ActionStatus="OK", ErrorCode=0, ErrorInfo="")


@app.errorhandler(Refused)
def refuse(error: Refused) -> Response:
    return jsonify(ActionStatus="FAIL", ErrorCode=1, ErrorInfo=str(error))


@app.get("/rooms/<path:room>")
def members(room: str) -> Response:
    with database() as db:
        return jsonify([account for (account,) in db.execute(MEMBERS, [room])])
