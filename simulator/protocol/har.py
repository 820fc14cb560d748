"""HTTP exchanges as HAR 1.2, for browsers' tools, proxies and HTTP viewers; secrets are masked."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Self, TextIO
from urllib.parse import parse_qsl, urlsplit

from roomhook.simulator.protocol.callback_request import CallbackRequest, masked, masked_answer
from roomhook.simulator.protocol.response_check import Response, header

__all__ = ["HarWriter", "har_entry"]

_PHRASES: Final[Mapping[int, str]] = {one.value: one.phrase for one in HTTPStatus}


def har_entry(
    callback: CallbackRequest, response: Response | None, *, started_s: float, elapsed_ms: float, comment: str = ""
) -> dict[str, Any]:
    """One entry of a HAR log: *started_s* since the epoch, *elapsed_ms* until the response was there, or given up.

    Without a response the status is 0, as browsers write it; *comment* says why.
    """
    return {
        "startedDateTime": datetime.fromtimestamp(started_s, UTC).isoformat(timespec="milliseconds"),
        "time": round(elapsed_ms, 3),
        "request": _request(masked(callback)),
        "response": _response(response),
        "cache": {},
        "timings": {"send": 0, "wait": round(elapsed_ms, 3), "receive": 0},
        **({"comment": comment} if comment else {}),
    }


class HarWriter:
    """Writes a HAR log to *file*, entry by entry from any thread; as a context manager it ends the log."""

    def __init__(self, file: TextIO, *, version: str) -> None:
        self._file = file
        self._separator = "\n"
        self._lock = threading.Lock()
        creator = json.dumps({"name": "Roomhook", "version": version})
        file.write(f'{{"log": {{"version": "1.2", "creator": {creator}, "pages": [], "entries": [')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write one entry of ``har_entry``."""
        with self._lock:
            self._file.write(f"{self._separator}{json.dumps(entry, ensure_ascii=False)}")
            self._separator = ",\n"

    def close(self) -> None:
        """End the log."""
        self._file.write("\n]}}\n")


def _request(shown: CallbackRequest) -> dict[str, Any]:
    body = shown.body
    kind = next((value for name, value in shown.headers if name.lower() == "content-type"), "")
    text = {} if body is None else {"postData": {"mimeType": kind, "text": body.decode(errors="backslashreplace")}}
    return {
        "method": shown.method,
        "url": shown.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(shown.headers),
        "queryString": _pairs(parse_qsl(urlsplit(shown.url).query, keep_blank_values=True)),
        **text,
        "headersSize": -1,
        "bodySize": len(body or b""),
    }


def _response(response: Response | None) -> dict[str, Any]:
    headers = () if response is None else masked_answer(response.headers)
    body = b"" if response is None else response.body
    return {
        "status": 0 if response is None else response.status,
        "statusText": "" if response is None else _PHRASES.get(response.status, ""),
        "httpVersion": "" if response is None else "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": {
            "size": len(body),
            "mimeType": (response and header(response, "Content-Type")) or "x-unknown",
            **_text(body),
        },
        "redirectURL": (response and header(response, "Location")) or "",
        "headersSize": -1,
        "bodySize": -1 if response is None else len(body),
    }


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _pairs(pairs: Any) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
