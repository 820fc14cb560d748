"""The words of an answer, in one line: of an HTML page, those that a person reads in a browser."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

__all__ = ["readable"]

_PAGE: Final = re.compile(r"\s*<(?:!doctype html|html|head|body|title|h1)\b", re.IGNORECASE)
_UNREAD: Final = re.compile(r"<!--.*?-->|<(style|script)\b.*?(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
_HEAD: Final = re.compile(r"<head\b.*?</head>", re.IGNORECASE | re.DOTALL)
_MARKUP: Final = re.compile(r"<[^>]*(?:>|$)")


def readable(body: str) -> str:
    """*body* in one line; of an HTML page, its words without what only a browser reads."""
    if not _PAGE.match(body):
        return " ".join(body.split())
    page = _UNREAD.sub(" ", body)
    texts = (" ".join(unescape(_MARKUP.sub(" ", part)).split()) for part in (_HEAD.sub(" ", page), page))
    return next(filter(None, texts), "")
