"""A WSGI app that verifies Sign: give the token, and the whole matrix of signatures is judged."""

import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs

from presence import handle

TOKEN = "xxxxyyyy"


def signed(query):
    fields = parse_qs(query, keep_blank_values=True)
    signs, times = fields.get("Sign", []), fields.get("RequestTime", [])
    if len(signs) != 1 or len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 12:
        return False
    expected = hashlib.sha256((TOKEN + times[0]).encode()).hexdigest()
    in_window = abs(time.time() - int(times[0])) <= 60
    return hmac.compare_digest(signs[0].lower().encode(), expected.encode()) and in_window


def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    query = environ["QUERY_STRING"]
    if environ["REQUEST_METHOD"] == "POST" and signed(query):
        action, code, info = handle(query, body)
    else:
        action, code, info = "FAIL", 5, "not signed"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"ActionStatus": action, "ErrorCode": code, "ErrorInfo": info}).encode()]


def test_signed_callback_is_acknowledged(room_callbacks):
    backend = room_callbacks(app, token=TOKEN)
    assert backend.leave(room="standup", member="ann").acknowledged


def test_signatures_conform(assert_conforms):
    assert_conforms(app, token=TOKEN, only=["sign", "app-id", "ack"])
