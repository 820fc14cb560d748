"""FastAPI the way its tutorial teaches: a model for the body, a dependency for the check, 403/422 for refusals."""
import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, StrictInt

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
PRESENT = {"Room.CallbackAfterMemberEnter": True, "Room.CallbackAfterMemberLeave": False}
app = FastAPI(strict_content_type=False)  # the Room backend sends no Content-Type
rooms: dict[str, dict[str, tuple[int, bool]]] = {}  # only touched in the event loop


class Packet(BaseModel):
    CallbackCommand: str
    RoomId: str | None = None
    MemberList_Account: list[str] | None = None
    EventTime: StrictInt | None = None


class Ack(BaseModel):
    ActionStatus: str = "OK"
    ErrorInfo: str = ""
    ErrorCode: int = 0


def our_app(SdkAppid: Annotated[list[str], Query()]) -> None:
    if SdkAppid != [SDKAPPID]:
        raise HTTPException(403, "unknown SdkAppid")


@app.post("/callback", dependencies=[Depends(our_app)])
async def callback(CallbackCommand: str, packet: Packet) -> Ack:
    if packet.CallbackCommand != CallbackCommand:
        raise HTTPException(400, "CallbackCommand differs between URL and body")
    if CallbackCommand not in PRESENT:
        return Ack()
    if packet.RoomId is None or packet.MemberList_Account is None or packet.EventTime is None:
        raise HTTPException(422, "RoomId, MemberList_Account and EventTime are needed")
    room = rooms.setdefault(packet.RoomId, {})
    for account in packet.MemberList_Account:
        if packet.EventTime > room.get(account, (-1, False))[0]:
            room[account] = packet.EventTime, PRESENT[CallbackCommand]
    return Ack()


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError):
    return JSONResponse(Ack(ActionStatus="FAIL", ErrorInfo="invalid packet", ErrorCode=422).model_dump(), 422)


@app.get("/members")
async def members(room: str) -> list[str]:
    return [account for account, (_, present) in rooms.get(room, {}).items() if present]
