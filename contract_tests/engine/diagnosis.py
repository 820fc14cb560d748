"""Why the baseline callback is not acknowledged: its certificate, one of its values, or the form of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from roomhook.contract_tests.checks.baseline import BASELINE_VALUES
from roomhook.contract_tests.checks.tls import CERTIFICATE
from roomhook.contract_tests.engine.other_families import (
    CHAT_GROUPS,
    ENGINE_EVENTS,
    OtherCallbackApi,
    answered_as,
    chat_group_exit,
    engine_exit,
    understood_as_engine_event,
)
from roomhook.contract_tests.harness.baseline import client_ip
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.hints import complains_of_sign, hint_for
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.verdicts import Finding
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["diagnose"]

_READS_A_FORM: Final = (
    "Your handler reads the fields of a form: the same packet as a form is acknowledged. Parse the raw body as JSON."
)
_NO_NONCE: Final = (
    "Sign is made of the token and RequestTime, which counts seconds: callbacks of one second share it, so it can't be "
    "a nonce. To find repeats, compare the packet: RoomId, MemberList_Account, Type and EventTime."
)
_SEEN_IN_ANY: Final = ("ack.content-type",)
"""What an answer shows that is no acknowledgement, too."""


def diagnose(case: Case, exchange: Exchange) -> Sequence[Finding]:
    """The findings that say why *exchange*, of the baseline, is no acknowledgement; *case* holds its plain finding."""
    if exchange.outcome is DeliveryOutcome.TLS:
        judged = [case.judge(load_register()[one]) for one in CERTIFICATE]
        certificate = [finding for one in judged for finding in one.findings]
        if certificate:
            return [replace(one, hint=hint_for(exchange, case.run.settings, every=True)) for one in certificate]
    value = None if exchange.late else _one_value(case, exchange)
    return [value] if value else _form_of_the_answer(case, exchange)


def _one_value(case: Case, exchange: Exchange) -> Finding | None:
    """The finding on one value of the baseline, if it alone is minded: another in its place is acknowledged."""
    if _is_taken_in_another_second(case):
        requirement, message = "sign.valid", "a second callback of one second is refused, and one a second later is not"
        return replace(case.findings[0], requirement=load_register()[requirement], message=message, hint=_NO_NONCE)
    minded = _minded(case)
    message = ""
    if len(minded) == 1:
        (requirement, instead), *_ = minded.items()
        message = f"a valid callback is acknowledged only with {instead} instead"
    elif case.run.settings.token is not None and not minded and complains_of_sign(exchange):
        requirement = "sign.valid"
        message = "a valid callback is refused, and the answer names its Sign"
    else:
        return None
    return replace(case.findings[0], requirement=load_register()[requirement], message=message, hint="")


def _is_taken_in_another_second(case: Case) -> bool:
    """Whether a signed callback is acknowledged as soon as its Sign differs from that of the last one."""
    run = case.run
    if run.settings.token is None or run.lost:
        return False
    run.pause(1.1)
    first, *others = (case.send(CallbackDraft()).acknowledged for _ in range(3))  # a second may end among them
    return first and not all(others)


def _minded(case: Case) -> dict[str, str]:
    """The requirements whose value in the baseline is minded, each with a value that is taken instead."""
    run = case.run
    found: dict[str, str] = {}
    for requirement, drafts in BASELINE_VALUES.items():
        if requirement == "sign.valid" and run.settings.token is None:
            continue
        for value, draft in drafts(run.now_ms()).items():
            if not run.lost and case.send(draft).acknowledged:
                found[requirement] = value
                break
    return found


def _form_of_the_answer(case: Case, exchange: Exchange) -> list[Finding]:
    """What the answer itself breaks, and the document that was followed if it was another."""
    run = case.run
    hint = _READS_A_FORM if _reads_a_form(case, exchange) else hint_for(exchange, run.settings, every=True)
    found = [
        Finding(
            requirement=load_register()[breach.requirement],
            message="a valid callback was not acknowledged",
            expected=breach.expected,
            actual=breach.actual,
            exchange=exchange,
            path=breach.path,
            cause=breach.requirement,
            hint=hint,
            count=run.summary.sent,
        )
        for breach in exchange.judgement.breaches
    ]
    found += [
        Finding(load_register()[one], seen.message, seen.expected, seen.actual, seen.exchange, count=seen.count)
        for one in _SEEN_IN_ANY
        for seen in run.observations.seen(one)
    ]
    family = _followed_family(run, exchange)
    if family is not None:
        expected, actual = "the response packet of the page", f"an App backend for {family.name}"
        requirement = load_register()["ack.family"]
        found.append(
            Finding(requirement, "another document was followed", expected, actual, exchange, hint=family.change)
        )
    return found


def _reads_a_form(case: Case, exchange: Exchange) -> bool:
    """Whether the same packet is acknowledged as the fields of a form, and a form without these fields is not."""
    if exchange.answer is None or case.run.lost:
        return False
    form = CallbackDraft().sent_as(headers=(("Content-Type", "application/x-www-form-urlencoded"),))
    if not case.send(form.sent_as(body=lambda packet: urlencode(packet, True).encode())).acknowledged:
        return False
    return not case.send(form.sent_as(body=b"page=1")).acknowledged


def _followed_family(run: RunContext, exchange: Exchange) -> OtherCallbackApi | None:
    """The family that the target seems to be written for, by its answer or by what it does understand."""
    packet = exchange.judgement.packet
    if isinstance(packet, dict) and answered_as(packet):
        return answered_as(packet)
    if exchange.answer is None:
        return None
    settings, now_ms = run.settings, run.now_ms()
    unknown = "Room.CallbackAfterSomethingNew"
    anything = CallbackDraft({"CallbackCommand": unknown}, {"CallbackCommand": unknown})
    if run.line.attempt(run.builder("ack.family").build(anything)).acknowledged:
        return None  # it acknowledges what it does not know, so that nothing follows
    group = chat_group_exit(
        run.url, sdkappid=settings.sdkappid, token=settings.token, now_ms=now_ms, client_ip=client_ip(settings)
    )
    if run.line.attempt(group).acknowledged:
        return CHAT_GROUPS
    event = engine_exit(run.url, sdkappid=settings.sdkappid, now_ms=now_ms)
    return ENGINE_EVENTS if understood_as_engine_event(run.line.attempt(event).answer) else None
