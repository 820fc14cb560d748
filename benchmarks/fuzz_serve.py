"""Fuzzes ``roomhook serve`` over HTTP: hostile bytes, heads, queries and packets, and what must never come back.

    python benchmarks/fuzz_serve.py --requests 1000000 --seed 7 [--lenient] [--seconds 500]

A response has a documented status: 5xx only as 503 with error code 100001 under /sim. Nothing may be printed that looks
like a traceback, and the server still answers at the end. The same seed sends the same requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

from roomhook.simulator.room_backend.api.client_actions import ACTIONS
from roomhook.simulator.room_backend.api.rest import APIS
from roomhook.simulator.room_backend.api.usersig import make_usersig

APP = 1400000001
KEY = "fuzz-secret-key"
CONNECTIONS = 32
DOCUMENTED = {200, 303, 307, 400, 401, 403, 404, 405, 409, 413, 415, 431}
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
TOKEN = re.compile(rb'name="form_token" value="([^"]+)"')
ENDLESS = "/console/events"

HOSTILE: list[Callable[[random.Random], Any]] = [
    lambda _: None,
    lambda _: True,
    lambda _: [],
    lambda _: {},
    lambda _: "",
    lambda _: -1,
    lambda _: 0,
    lambda r: r.choice([1 << 31, 1 << 53, 1 << 63, 1 << 64, -(1 << 63), 10**400]),
    lambda r: r.choice([0.5, -0.0, 1e308, 5e-324]),
    lambda r: r.choice(["\x00", "\u202e", "\ud800", "\U0001f600" * 20, "\r\nX: y", "../../etc/passwd", "' OR 1=1 --"]),
    lambda r: "x" * r.choice([33, 49, 101, 501, 1001, 70_000]),
    lambda r: ["u"] * r.choice([21, 301, 1001]),
    lambda r: {"a": {"b": [r.random()]}},
]
RAW_VALUES = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b'"\xff"',
    b'"\\ud800"',
    b"[" * 3000,
    b'{"a":' * 3000,
    b"0x10",
    b"01",
]
"""Instead of a value in JSON: what no encoder writes."""


def rooms_packet(rng: random.Random) -> dict[str, Any]:
    """A packet that some API or action takes, most of the time."""
    room, account = f"r{rng.randrange(8)}", f"u{rng.randrange(12)}"
    return rng.choice([
        {"room": room, "account": account},
        {"room": room, "owner": account, "seats": 4},
        {"room": room, "accounts": [account], "reason": "why"},
        {"room": room, "account": account, "index": rng.randrange(5)},
        {"room": room, "index": rng.randrange(5), "locked": True},
        {"room": room},
        {"actions": [{"do": "enter", "room": room, "account": account}] * rng.randrange(3), "wait": True},
        {"RoomId": room},
        {"RoomId": room, "Count": 5, "Next": ""},
        {"RoomId": room, "MemberList_Account": [account], "Reason": "why"},
        {"RoomInfo": {"RoomId": room, "RoomType": "Conference", "IsSeatEnabled": True}},
        {"RoomInfo": {"RoomId": room, "RoomName": "x", "CustomInfo": "y"}},
        {"Url": "http://127.0.0.1:9/", "CallbackCommandList": ["Room.CallbackAfterMemberLeave"]},
        {"seconds": rng.random(), "timeout_seconds": 0.1},
        {"timeout_seconds": 0.1},
        {"drop": 0.5, "delay_ms": [0, 1], "callbacks": 3},
        {"api": "create_room", "codes": [100001]},
        {},
    ])  # fmt: skip


PACKETS_OF = {
    "enter": ["room", "account"],
    "leave": ["room", "account"],
    "create-room": ["room", "owner"],
}


class Shots:
    """Draws requests; *secret* says whether the server verifies UserSig."""

    def __init__(self, seed: int, form_token: str) -> None:
        self.rng = random.Random(seed)
        self.usersig = make_usersig(APP, "administrator", KEY, now_s=int(time.time()), expire_s=864_000)
        self.form_token = form_token
        self.actions = [f"/sim/{name}" for name in ACTIONS]
        self.others = ["wait", "reset", "clock", "clock/advance", "rooms", "callbacks", "faults", "answers", "batch"]
        self.apis = [f"/{path}" for path in APIS]
        pages = ["", "/rooms", "/callbacks", "/callbacks/rows", "/callbacks/1", "/callbacks/99999999999999999999"]
        pages += ["/settings", "/settings/faults", "/settings/callback", "/settings/answers", "/run", "/run/progress"]
        pages += ["/run/1/report", "/do/enter", "/do/leave", "/do/create-room", "/advance", "/static/console.js"]
        pages += ["/login", "/callbacks/1/resend", "/static/..%2f..%2fsite.py"]
        self.pages = [f"/console{page}" for page in pages]

    def next(self) -> tuple[bytes, bool]:
        """One request, and whether its framing is sound, so that exactly one response must come."""
        rng = self.rng
        path, method, query = self._line()
        form = path.startswith("/console")
        body = self._form() if form else self._body(path)
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        }
        if form:
            headers["X-Form-Token"] = self.form_token
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            name = rng.choice(["Host", "Origin", "Content-Type", "Sec-Fetch-Site", "Authorization", "Cookie", "Accept"])
            headers[name] = rng.choice(
                ["", "*", "evil.example", "null", "[::1", "http://[", "a" * 300, "\xff\xfe", "text/plain"]
            )
        if method in {"GET", "HEAD"}:
            body = b""
        target = quote(path, safe="/%") + (f"?{query}" if query else "")
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if rng.random() < 0.1 and body:
            cut = rng.randrange(len(body)) or 1
            pieces = (body[:cut], body[cut:])
            framed = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces if one)
            request = head.encode("latin-1") + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
        else:
            request = head.encode("latin-1") + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        if rng.random() < 0.25:
            return self._damaged(request), False
        return request, method != "HEAD"

    def _line(self) -> tuple[str, str, str]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return rng.choice(self.apis), self._method("POST"), self._query()
        if kind < 0.65:
            return rng.choice(self.actions), self._method("POST"), ""
        if kind < 0.8:
            other = rng.choice(self.others)
            method = (
                "PUT"
                if other in {"faults", "answers"}
                else "GET"
                if other in {"clock", "rooms", "callbacks"}
                else "POST"
            )
            query = rng.choice(
                ["", "after=1", "limit=0", "limit=99999999999999999999", "after=-1", "sdkappid=x", "after=%ff"]
            )
            return f"/sim/{other}", self._method(method), query
        if kind < 0.95:
            return (
                rng.choice(self.pages),
                rng.choice(("GET", "POST")),
                rng.choice(["", "room=r1", "find=%00", "page=x"]),
            )
        return (
            rng.choice(["/", "//", "/openapi.json", "/v4/", "/v4/x", "/sim/", "/sim/x", "/%00", "/..", "/v4/%ff"]),
            "POST",
            "",
        )

    def _method(self, right: str) -> str:
        return (
            right
            if self.rng.random() < 0.95
            else self.rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"])
        )

    def _query(self) -> str:
        rng = self.rng
        fields = {
            "sdkappid": str(APP),
            "identifier": "administrator",
            "usersig": self.usersig,
            "random": str(rng.randrange(1 << 32)),
            "contenttype": "json",
        }
        if rng.random() < 0.2:
            name = rng.choice([*fields, "extra"])
            fields[name] = rng.choice(
                ["", "\x00", "9" * 40, "-1", "\u0661", "x" * 5000, self.usersig[:-3], "eJw*", "a b"]
            )
        text = urlencode(fields)
        return text if rng.random() < 0.98 else text.replace("%", "%%").replace("=", "", 1)

    def _body(self, path: str) -> bytes:
        rng = self.rng
        packet = rooms_packet(rng)
        if wanted := PACKETS_OF.get(path.rpartition("/")[2]):
            packet = {name: f"r{rng.randrange(8)}" if name == "room" else f"u{rng.randrange(12)}" for name in wanted}
        if rng.random() < 0.4:
            packet = self._changed(packet)
        body = json.dumps(packet).encode()
        chance = rng.random()
        if chance < 0.05:
            return re.sub(rb'"[^"]*"(?=[,}])', lambda _: rng.choice(RAW_VALUES), body, count=1)
        if chance < 0.10:
            return self._damaged(body)
        return body

    def _changed(self, packet: dict[str, Any]) -> dict[str, Any]:
        rng = self.rng
        changed = dict(packet)
        name = rng.choice([*changed, "extra", "sdkappid", "wait", "timeout_seconds"])
        inner = changed.get(name)
        if isinstance(inner, dict) and rng.random() < 0.7:
            changed[name] = self._changed(inner)
        elif rng.random() < 0.2:
            changed.pop(name, None)
        else:
            changed[name] = rng.choice(HOSTILE)(rng)
        return changed

    def _form(self) -> bytes:
        rng = self.rng
        names = [
            "room",
            "account",
            "owner",
            "seconds",
            "rate",
            "rooms",
            "profile",
            "url",
            "commands",
            "drop",
            "codes",
            "stop",
        ]
        values = [
            "r1",
            "u1",
            "nan",
            "inf",
            "-1",
            "1e999",
            "next",
            "steady",
            "http://127.0.0.1:9/",
            "\x00",
            "\ud800",
            "9" * 50,
        ]
        pairs = [(rng.choice(names), rng.choice(values)) for _ in range(rng.randrange(5))]
        return urlencode(pairs, errors="surrogatepass").encode()

    def _damaged(self, data: bytes) -> bytes:
        rng = self.rng
        changed = bytearray(data or b"x")
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(changed))
            match rng.randrange(4):
                case 0:
                    changed[at] = rng.randrange(256)
                case 1:
                    del changed[at : at + rng.randrange(1, 20)]
                case 2:
                    changed[at:at] = rng.randbytes(rng.randrange(1, 20))
                case _:
                    changed[at:at] = rng.choice(
                        [b"\r\n", b"\n", b"\r\n\r\n", b"\x00", b"Content-Length: 5\r\n", b": ", b"%"]
                    )
            changed = changed or bytearray(b"x")
        return bytes(changed)


class Client:
    """One connection at a time: sends, reads, and notes what must not be."""

    def __init__(self, port: int, counts: Counter[str], troubles: list[str]) -> None:
        self._port = port
        self._counts = counts
        self._troubles = troubles
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def shoot(self, request: bytes, *, sound: bool) -> None:
        """Send *request*; a *sound* one must have one whole response."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        found = b""
        try:
            self._writer.write(request)
            found = await asyncio.wait_for(self._whole(), 20 if sound else 0.03)
        except TimeoutError:
            if sound:
                self._note(request, b"", "no response within 20 s")
            self.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            if sound:
                self._note(request, b"", f"no response: {error!r}")
            self.close()
        for status in STATUS.findall(found[:20]):
            self._counts[status.decode()] += 1
            if int(status) not in DOCUMENTED and not (status == b"503" and b'"ErrorCode":100001' in found):
                self._note(request, found, f"status {int(status)}")
        if not sound or b"connection: close" in found[:1000].lower():
            self.close()

    async def _whole(self) -> bytes:
        assert self._reader is not None
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        return head + await self._reader.readexactly(int(length[1])) if length else head

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    def _note(self, request: bytes, found: bytes, what: str) -> None:
        self._troubles.append(f"{what}: {request[:600]!r} -> {found[:300]!r}")


async def fuzz(port: int, shots: Shots, most: int, until: float, counts: Counter[str]) -> list[str]:
    """Send requests over several connections until *most* are sent or the time is up; what must not be."""
    troubles: list[str] = []

    async def lane() -> None:
        client = Client(port, counts, troubles)
        while counts["requests"] < most and time.monotonic() < until and len(troubles) < 20:
            counts["requests"] += 1
            request, sound = shots.next()
            await client.shoot(request, sound=sound)
            if counts["requests"] % 20_000 == 0:
                print(f"  {counts['requests']:>9,} requests, {len(troubles)} wrong", flush=True)
        client.close()

    await asyncio.gather(*(lane() for _ in range(CONNECTIONS)))
    return troubles


async def ask(port: int, path: str) -> bytes:
    """The whole response to a GET on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % path.encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


async def campaign(port: int, given: argparse.Namespace, counts: Counter[str]) -> list[str]:
    """One server's share of the requests; it must answer at the end."""
    found = TOKEN.search(await ask(port, "/console"))
    shots = Shots(given.seed, found[1].decode() if found else "")
    troubles = await fuzz(port, shots, given.requests, time.monotonic() + given.seconds, counts)
    if b" 200 " not in (await ask(port, "/sim/clock"))[:20]:
        troubles.append("the server does not answer any more")
    return troubles


def serve(given: argparse.Namespace, folder: str, stderr: IO[bytes]) -> subprocess.Popen[str]:
    """The server to fuzz: strict and with a key, or lenient and without one."""
    command = [sys.executable, "-m", "roomhook", "serve", "--quiet", "--listen", "127.0.0.1:0", "--clock", "virtual"]
    command += ["--calls-per-second", "1000000", "--retry", "none", "--grace", "0"]
    command += ["--lenient", "--memory"] if given.lenient else ["--secret-key", KEY, "--state", f"{folder}/state.db"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder)


def main() -> None:
    """Fuzz, and end with 1 if anything came back that must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=500, help="stop after so long")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lenient", action="store_true", help="serve --lenient, without a secret key")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "stderr").open("w+b") as stderr:
        process = serve(given, folder, stderr)
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline().rpartition(":")[2])
            troubles = asyncio.run(campaign(port, given, counts))
            resident = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            counts["MB"] = int(resident) * 4096 // 1_000_000
        finally:
            process.terminate()
            if process.wait(30) != 0:
                troubles.append(f"the server ended with {process.returncode}")
        stderr.seek(0)
        said = stderr.read().decode(errors="replace")
    if "Traceback" in said or "Exception" in said:
        troubles.append(f"a traceback: {said[-3000:]}")
    print(json.dumps(counts), f"{len(troubles)} wrong, seed {given.seed}{', lenient' * given.lenient}", flush=True)
    print("\n".join(troubles[:10]))
    sys.exit(bool(troubles))


if __name__ == "__main__":
    main()
