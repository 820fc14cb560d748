"""Why the baseline is refused: mistakes of a handler that one more callback tells apart."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from starlette.responses import Response
from suite_runs import TOKEN, against, failed, message
from variant_server import Variant

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, RefusedCallback
from roomhook.contract_tests.model.verdicts import RunFinished


class OnceASign(Variant):
    """Takes Sign for a nonce."""

    def __init__(self) -> None:
        super().__init__(TOKEN)
        self.seen: set[str] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        signs = callback.values("Sign")
        if self.seen.intersection(signs):
            return self.refuse(RefusedCallback(9, "a replay"))
        self.seen.update(signs)
        return await super().handle(callback)


class ReadsAForm(Variant):
    """Reads the fields of a form, and refuses what has none."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if "RoomId" in dict(parse_qsl(callback.body.decode())):
            return self.acknowledge()
        return self.refuse(RefusedCallback(9, "RoomId is required"))


def fix_of(finished: RunFinished, requirement: str) -> str:
    (case,) = (one for one in finished.cases if one.requirement.id == requirement)
    return case.findings[0].fix


@pytest.mark.long
def test_a_handler_that_takes_sign_for_a_nonce_is_told_what_sign_is_made_of() -> None:
    finished = against(OnceASign(), token=TOKEN)
    assert failed(finished) == {"sign.valid"}
    assert (
        message(finished, "sign.valid") == "a second callback of one second is refused, and one a second later is not"
    )
    assert "it can't be a nonce" in fix_of(finished, "sign.valid")


def test_a_handler_that_reads_a_form_is_told_so() -> None:
    finished = against(ReadsAForm())
    assert failed(finished) == {"ack.ok"}
    assert fix_of(finished, "ack.ok").startswith("Your handler reads the fields of a form")


def test_a_handler_that_minds_the_label_and_reads_nothing_is_not_suspected_of_reading_a_form() -> None:
    class MindsTheLabel(Variant):
        async def handle(self, callback: IncomingCallback) -> Response:
            if callback.headers.get("content-type") == "application/json":
                return self.refuse(RefusedCallback(9, "no"))
            return self.acknowledge()

    assert "of a form" not in fix_of(against(MindsTheLabel()), "ack.ok")


def test_a_handler_that_refuses_forms_too_is_not_suspected_of_reading_one() -> None:
    class RefusesAll(Variant):
        def acknowledge(self) -> Response:
            return self.refuse(RefusedCallback(9, "no"))

    assert "of a form" not in fix_of(against(RefusesAll()), "ack.ok")
