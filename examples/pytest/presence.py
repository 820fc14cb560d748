"""A small App backend, ASGI, with who is in which room in a dictionary: what the tests beside it test."""

import json
from urllib.parse import parse_qs

SDKAPPID = "1400000001"
members: dict[str, dict[str, tuple[int, bool]]] = {}  # room -> account -> (EventTime, is in)


def in_room(room: str) -> set[str]:
    return {account for account, (_, inside) in members.get(room, {}).items() if inside}


def handle(query: str, body: bytes) -> tuple[str, int, str]:
    """ActionStatus, ErrorCode and ErrorInfo for a callback."""
    parameters = parse_qs(query, keep_blank_values=True)
    if parameters.get("SdkAppid") != [SDKAPPID]:
        return "FAIL", 1, "not for this app"
    try:
        packet = json.loads(body, parse_constant=lambda name: 1 / 0)
        command, room, accounts = packet["CallbackCommand"], packet["RoomId"], packet["MemberList_Account"]
        when = int(packet["EventTime"])
        if not (isinstance(accounts, list) and all(isinstance(one, str) for one in [room, *accounts])):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError, ArithmeticError):
        return "FAIL", 2, "no packet"
    if parameters.get("CallbackCommand") != [command]:
        return "FAIL", 3, "URL and body name different commands"
    if command in {"Room.CallbackAfterMemberEnter", "Room.CallbackAfterMemberLeave"}:
        known = members.setdefault(room, {})
        for account in accounts:
            if known.get(account, (0, False))[0] <= when:
                known[account] = (when, command.endswith("Enter"))
    return "OK", 0, ""


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status = 200 if scope["method"] == "POST" else 405
    action, code, info = handle(scope["query_string"].decode(), body) if status == 200 else ("FAIL", 4, "POST only")
    answer = json.dumps({"ActionStatus": action, "ErrorCode": code, "ErrorInfo": info}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
