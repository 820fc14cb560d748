"""Flask with an application factory; SQLite, so that several gunicorn workers can share the state."""
import os
import sqlite3

from flask import Blueprint, Flask, abort, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException

bp = Blueprint("rooms", __name__)
ENTER, LEAVE = "Room.CallbackAfterMemberEnter", "Room.CallbackAfterMemberLeave"
SCHEMA = """CREATE TABLE IF NOT EXISTS members (
    room TEXT NOT NULL, account TEXT NOT NULL, event_time INTEGER NOT NULL, present INTEGER NOT NULL,
    PRIMARY KEY (room, account))"""
UPSERT = """INSERT INTO members VALUES (?, ?, ?, ?)
    ON CONFLICT (room, account) DO UPDATE SET event_time = excluded.event_time, present = excluded.present
    WHERE excluded.event_time > event_time"""


def get_db():
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"], timeout=10)
        g.db.execute("PRAGMA synchronous = NORMAL")
    return g.db


def ack(code=0, info=""):
    return jsonify(ActionStatus="FAIL" if code else "OK", ErrorInfo=info, ErrorCode=code)


def is_text(value):
    """Half a surrogate pair is a string for json, but not for SQLite."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


@bp.post("/callback")
def callback():
    if request.args.getlist("SdkAppid") != [current_app.config["SDKAPPID"]]:
        abort(403, "unknown SdkAppid")
    event = request.get_json(force=True)  # the Room backend sends no Content-Type
    if not isinstance(event, dict):
        abort(400, "not an object")
    command = event.get("CallbackCommand")
    if command != request.args.get("CallbackCommand"):
        abort(400, "CallbackCommand differs between URL and body")
    if command not in (ENTER, LEAVE):
        return ack()
    room, accounts, time = event.get("RoomId"), event.get("MemberList_Account"), event.get("EventTime")
    if not (is_text(room) and isinstance(accounts, list) and all(map(is_text, accounts))):
        abort(400, "RoomId or MemberList_Account is wrong")
    if type(time) is not int or not 0 <= time < 2**63:  # SQLite's INTEGER
        abort(400, "EventTime is wrong")
    with get_db() as db:
        db.executemany(UPSERT, [(room, a, time, command == ENTER) for a in accounts])
    return ack()


@bp.get("/members")
def members():
    rows = get_db().execute("SELECT account FROM members WHERE room = ? AND present", [request.args["room"]])
    return jsonify([account for (account,) in rows])


def create_app():
    app = Flask(__name__)
    app.config.from_mapping(
        SDKAPPID=os.environ.get("SDKAPPID", "1400000001"),
        DATABASE=os.environ.get("DATABASE", "rooms.db"),
        MAX_CONTENT_LENGTH=4 << 20,
    )
    with sqlite3.connect(app.config["DATABASE"], timeout=10) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(SCHEMA)
    app.register_blueprint(bp)

    @app.teardown_appcontext
    def close_db(_):
        if (db := g.pop("db", None)) is not None:
            db.close()

    @app.errorhandler(HTTPException)
    def on_error(error):
        return ack(error.code, error.description or error.name), error.code

    return app
