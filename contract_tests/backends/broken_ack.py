"""Broken App backends that acknowledge wrongly."""

from __future__ import annotations

from starlette.responses import Response

from roomhook.contract_tests.backends.reference import ReferenceBackend
from roomhook.contract_tests.backends.registry import breaks

__all__: list[str] = []


@breaks("ack.status")
class _Created(ReferenceBackend):
    """Answers 201 Created, as for a stored resource."""

    def acknowledge(self) -> Response:
        response = super().acknowledge()
        response.status_code = 201
        return response
