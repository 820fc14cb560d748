"""An App backend for Room.CallbackAfterMemberEnter and ...Leave: FastAPI, SQLAlchemy, SQLite."""

import hashlib
import hmac
import os
import re
import time
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import create_engine, event, select, tuple_
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

SDKAPPID = os.environ.get("SDKAPPID", "1400000001")
TOKEN = os.environ.get("ROOMHOOK_TOKEN") or os.environ.get("TOKEN")
GONE = {"Room.CallbackAfterMemberEnter": False, "Room.CallbackAfterMemberLeave": True}


class Base(DeclarativeBase): ...


class Presence(Base):
    __tablename__ = "presence"
    room: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    event_time: Mapped[int]
    gone: Mapped[bool]


class Packet(BaseModel):
    CallbackCommand: str


class Change(Packet):  # whatever the Type; what we don't use may be missing, and fields added later may come
    RoomId: str
    MemberList_Account: list[str] = Field(min_length=1)
    MemberCount: int  # not used, but read: for a field that nobody reads, pydantic's JSON parser takes NaN
    EventTime: int = Field(strict=True, ge=0, lt=2**53)


class Refused(Exception): ...


# By default each commit waits for the disk, and a burst for its turn.
FAST = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"
engine = create_engine(f"sqlite:///{os.environ.get('DATABASE', 'rooms.db')}")
event.listen(engine, "connect", lambda connection, _: connection.executescript(FAST))
Base.metadata.create_all(engine)
app = FastAPI()


def check_url(request: Request) -> None:
    query = request.query_params
    if query.getlist("SdkAppid") != [SDKAPPID]:  # as text and once: int(" 01400000001") would be ours
        raise Refused("SdkAppid is not ours")
    if TOKEN:
        sign, sent = ",".join(query.getlist("Sign")), ",".join(query.getlist("RequestTime"))
        if not re.fullmatch("[0-9]{1,12}", sent) or abs(time.time() - int(sent)) > 60:
            raise Refused("RequestTime is not within a minute of now")
        if not hmac.compare_digest(sign.encode(), hashlib.sha256((TOKEN + sent).encode()).hexdigest().encode()):
            raise Refused("Sign does not match")


async def raw_body(request: Request) -> bytes:  # a model as a parameter wants a Content-Type; the request has none
    return await request.body()


@app.post("/callback", dependencies=[Depends(check_url)])
def on_callback(request: Request, body: Annotated[bytes, Depends(raw_body)]) -> dict[str, str | int]:
    command = Packet.model_validate_json(body).CallbackCommand
    if request.query_params.getlist("CallbackCommand") != [command]:
        raise Refused("CallbackCommand differs between URL and body")
    if command in GONE:  # the others are none of our business
        apply(Change.model_validate_json(body), gone=GONE[command])
    return {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}


def apply(change: Change, *, gone: bool) -> None:
    """Let the later event win, and of two in one ms the leave: repeated or out of order, the end is the same."""
    upsert = insert(Presence)
    new = upsert.excluded
    newer = tuple_(new.event_time, new.gone) > tuple_(Presence.event_time, Presence.gone)
    upsert = upsert.on_conflict_do_update(set_={"event_time": new.event_time, "gone": new.gone}, where=newer)
    row = {"room": change.RoomId, "event_time": change.EventTime, "gone": gone}
    with Session(engine) as session, session.begin():
        session.execute(upsert, [{**row, "account": account} for account in change.MemberList_Account])


@app.exception_handler(Refused)
@app.exception_handler(ValidationError)
def refuse(_: Request, error: Exception) -> JSONResponse:
    info = str(error) if isinstance(error, Refused) else "the body is no packet of this callback"
    return JSONResponse({"ActionStatus": "FAIL", "ErrorCode": 1, "ErrorInfo": info})


@app.get("/rooms/{room:path}")
def members(room: str) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Presence.account).where(Presence.room == room, ~Presence.gone)))
