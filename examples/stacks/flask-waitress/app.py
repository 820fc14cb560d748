"""Flask on waitress: one process, members in memory behind a lock; refusals are 200 + FAIL."""
import os
import threading
from dataclasses import dataclass

from flask import Flask, jsonify, request
from werkzeug.exceptions import BadRequest

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}

app = Flask(__name__)
lock = threading.Lock()
rooms: dict[str, dict[str, tuple[int, bool]]] = {}


@dataclass
class Event:
    room: str
    accounts: list[str]
    time: int
    present: bool

    @classmethod
    def from_json(cls, data):
        event = cls(data["RoomId"], data["MemberList_Account"], data["EventTime"], PRESENT[data["CallbackCommand"]])
        if not isinstance(event.room, str) or type(event.time) is not int or not isinstance(event.accounts, list):
            raise ValueError("wrong type")
        if not all(isinstance(a, str) for a in event.accounts):
            raise ValueError("accounts are strings")
        return event


def apply(event: Event):
    with lock:
        room = rooms.setdefault(event.room, {})
        for account in event.accounts:
            seen, _ = room.get(account, (-1, False))
            if event.time > seen:
                room[account] = (event.time, event.present)


def fail(code, info):
    return jsonify(ActionStatus="FAIL", ErrorInfo=info, ErrorCode=code)


@app.post("/callback")
def callback():
    if request.args.getlist("SdkAppid") != [SDKAPPID]:
        return fail(1, "unknown SdkAppid")
    try:
        data = request.get_json(force=True)
        command = data["CallbackCommand"]
        if command != request.args.get("CallbackCommand"):
            return fail(3, "CallbackCommand mismatch")
        if command in PRESENT:
            apply(Event.from_json(data))
    except (BadRequest, KeyError, TypeError, ValueError):
        return fail(2, "malformed packet")
    return jsonify(ActionStatus="OK", ErrorInfo="", ErrorCode=0)


@app.get("/members")
def members():
    with lock:
        return jsonify([a for a, (_, present) in rooms.get(request.args["room"], {}).items() if present])
