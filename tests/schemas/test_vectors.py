"""The language-neutral test vectors: they say what our own code says, and their runners agree in two languages."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl, sign
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, check_response
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.transport.target import Target

VECTORS: Final = loader.FOLDER / "vectors"
RUNNERS: Final = Path(__file__).parents[2] / "examples" / "vectors"
SCHEMAS: Final = ("create", "destroy", "update", "enter", "leave", "seat")
TOKEN: Final = "xxxxyyyy"
TIME: Final = 1669872112
OK: Final = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
ANSWERS: Final[list[tuple[str, int, bytes, int]]] = [
    ("as on the page", 200, OK, 20),
    ("with white space and another order", 200, b' {"ErrorCode": 0,\n"ErrorInfo": "", "ActionStatus": "OK"}\r\n', 20),
    ("with a member of its own", 200, OK[:-1] + b',"TraceId":"7"}', 20),
    ("just in time", 200, OK, 2000),
    ("too late", 200, OK, 2001),
    ("created", 201, OK, 20),
    ("no content", 204, b"", 20),
    ("server error", 500, OK, 20),
    ("empty", 200, b"", 20),
    ("text", 200, b"OK", 20),
    ("cut short", 200, OK[:-1], 20),
    ("followed by more", 200, OK + b"}", 20),
    ("not UTF-8", 200, b'{"ActionStatus":"OK","ErrorInfo":"\xff","ErrorCode":0}', 20),
    ("NaN", 200, b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":NaN}', 20),
    ("a JSON array", 200, b"[]", 20),
    ("no ErrorInfo", 200, b'{"ActionStatus":"OK","ErrorCode":0}', 20),
    ("ErrorInfo null", 200, b'{"ActionStatus":"OK","ErrorInfo":null,"ErrorCode":0}', 20),
    ("ErrorCode a text", 200, b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":"0"}', 20),
    ("ErrorCode a boolean", 200, b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":false}', 20),
    ("ErrorCode a fraction", 200, b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0.5}', 20),
    ("FAIL", 200, b'{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":1}', 20),
    ("ok in lower case", 200, b'{"ActionStatus":"ok","ErrorInfo":"","ErrorCode":0}', 20),
    ("the answer to a TRTC event", 200, b'{"code":0}', 20),
    ("the answer of the older RoomKit", 200, b'{"ErrorCode":0,"ErrorMessage":"Success"}', 20),
]


def signs() -> list[dict[str, Any]]:
    texts = [("documented", TOKEN, TIME), ("short", "a", 1700000000), ("in Chinese", "令牌", 1700000000)]
    texts.append(("longest", "t" * 128, 1999999999))
    return [
        {"name": name, "token": token, "request_time": str(at), "sign": sign(token, at)} for name, token, at in texts
    ]


def requests() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name in SCHEMAS:
        packet = loader.schema(name)["examples"][0]
        body = json.dumps(packet, ensure_ascii=False, separators=(",", ":")).encode()
        event = CallbackEvent(packet["EventTime"], packet["CallbackCommand"], "203.0.113.7", "iOS", body)
        for token in (None, TOKEN):
            url = CallbackUrl.parse("http://127.0.0.1:8000/callback?tenant=a")
            target = Target(url, 1400000001, token, headers=[("User-Agent", "")])
            made.append(
                request(f"{name}{' signed' if token else ''}", target.request(event, TIME), token, genuine=True)
            )
    wrong = made[9]["request"].replace(sign(TOKEN, TIME), hashlib.sha256(b"other").hexdigest())
    made.append(request("leave with a forged Sign", wrong.encode(), TOKEN, genuine=False))
    made.append(request("leave without the Sign that is due", made[8]["request"].encode(), TOKEN, genuine=False))
    return made


def request(name: str, raw: bytes, token: str | None, *, genuine: bool) -> dict[str, Any]:
    return {"name": name, "sdkappid": "1400000001", "token": token, "genuine": genuine, "request": raw.decode()}


def answers() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for name, status, body, elapsed_ms in ANSWERS:
        headers = (("Content-Type", "application/json"),)
        judgement = check_response(Response(status, headers, body, elapsed_ms), deadline_ms=2000)
        musts = sorted({one.requirement for one in judgement.breaches})
        made.append(
            {
                "name": name,
                "status": status,
                "body_hex": body.hex(),
                "elapsed_ms": elapsed_ms,
                "verdict": [judgement.outcome is DeliveryOutcome.DELIVERED, judgement.acknowledged],
                "requirements": musts,
            }
        )
    return made


@pytest.mark.parametrize(("name", "make"), [("sign", signs), ("requests", requests), ("answers", answers)])
def test_the_vectors_say_what_our_code_says(name: str, make: Any) -> None:
    assert json.loads((VECTORS / f"{name}.json").read_bytes()) == make()


def test_every_command_of_the_family_has_a_request() -> None:
    told = " ".join(one["request"] for one in requests())
    assert sum(command in told for command in COMMANDS) >= len(SCHEMAS)


@pytest.mark.parametrize(("program", "file"), [(sys.executable, "run.py"), ("node", "run.mjs")])
def test_a_runner_of_thirty_lines_holds_itself_against_them(program: str, file: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    assert len((RUNNERS / file).read_text(encoding="utf-8").splitlines()) <= 30
    done = subprocess.run([program, RUNNERS / file, VECTORS], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_runner_notices_a_wrong_vector(tmp_path: Path) -> None:
    for one in VECTORS.glob("*.json"):
        shutil.copy(one, tmp_path)
    (tmp_path / "sign.json").write_text((VECTORS / "sign.json").read_text().replace("xxxxyyyy", "xxxyyy"))
    done = subprocess.run(
        [sys.executable, RUNNERS / "run.py", tmp_path], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1


if __name__ == "__main__":  # writes them anew
    for name, make in (("sign", signs), ("requests", requests), ("answers", answers)):
        lines = ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in make())
        (VECTORS / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
