"""Flask puts each event into an RQ queue on Redis and answers; a worker applies it."""
import os

import jobs
from flask import Flask, abort, jsonify, request
from redis import Redis
from rq import Queue, Retry
from werkzeug.exceptions import HTTPException

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}
queue = Queue("callbacks", connection=Redis.from_url(os.environ["REDIS_URL"]))
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 4 << 20


def answer(code=0, info=""):
    return jsonify(ActionStatus="FAIL" if code else "OK", ErrorInfo=info, ErrorCode=code)


def text(value):
    if not isinstance(value, str) or not value or "\0" in value:  # PostgreSQL has no NUL in text
        abort(400, "a string is missing")
    try:
        value.encode()
    except UnicodeEncodeError:
        abort(400, "half a character")
    return value


@app.post("/callback")
def callback():
    if request.args.getlist("SdkAppid") != [SDKAPPID]:
        abort(403, "unknown SdkAppid")
    event = request.get_json(force=True)
    if not isinstance(event, dict) or event.get("CallbackCommand") != request.args.get("CallbackCommand"):
        abort(400, "CallbackCommand differs between URL and body")
    present = PRESENT.get(text(event["CallbackCommand"]))
    if present is not None:
        accounts, time = event.get("MemberList_Account"), event.get("EventTime")
        if not isinstance(accounts, list) or type(time) is not int or not 0 <= time < 2**63:
            abort(400, "MemberList_Account or EventTime is wrong")
        job = text(event.get("RoomId")), [text(account) for account in accounts], time, present
        queue.enqueue(jobs.apply, *job, retry=Retry(max=3), result_ttl=0)
    return answer()


@app.get("/members")
def members():
    return jsonify(jobs.members(request.args["room"]))


@app.errorhandler(HTTPException)
def on_error(error):
    return answer(error.code, error.description or error.name), error.code
