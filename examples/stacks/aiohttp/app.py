import json
import os
import sys

from aiohttp import web

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}
ROOMS = web.AppKey("rooms", dict)
routes = web.RouteTableDef()


def packet(code=0, info="", status=200):
    body = {"ActionStatus": "FAIL" if code else "OK", "ErrorInfo": info, "ErrorCode": code}
    return web.json_response(body, status=status)


@web.middleware
async def errors(request, handler):
    try:
        return await handler(request)
    except web.HTTPException as error:
        return packet(error.status, error.text or error.reason, error.status)


@routes.post("/callback")
async def callback(request):
    if request.query.getall("SdkAppid", []) != [SDKAPPID]:
        raise web.HTTPForbidden(text="unknown SdkAppid")
    try:
        event = await request.json()
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="not JSON")
    match event:
        case {"CallbackCommand": str(command)} if command == request.query.get("CallbackCommand"):
            pass
        case _:
            raise web.HTTPBadRequest(text="CallbackCommand differs between URL and body")
    if command not in PRESENT:
        return packet()
    match event:
        case {"RoomId": str(room), "MemberList_Account": [*accounts], "EventTime": int(time)} if all(
            isinstance(account, str) for account in accounts
        ):
            members = request.app[ROOMS].setdefault(room, {})
        case _:
            raise web.HTTPBadRequest(text="malformed packet")
    for account in accounts:
        if time > members.get(account, (-1, False))[0]:
            members[account] = time, PRESENT[command]
    return packet()


@routes.get("/members")
async def members(request):
    room = request.app[ROOMS].get(request.query["room"], {})
    return web.json_response([account for account, (_, present) in room.items() if present])


def main():
    app = web.Application(middlewares=[errors], client_max_size=4 << 20)
    app[ROOMS] = {}
    app.add_routes(routes)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
