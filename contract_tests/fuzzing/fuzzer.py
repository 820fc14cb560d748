"""Fuzzing: generated callbacks that must be acknowledged, and near-misses that must do no harm."""

from __future__ import annotations

from collections.abc import Iterable

from roomhook.contract_tests.fuzzing.search import Search, budget_s
from roomhook.contract_tests.fuzzing.strategies import Mutation, described, near_misses, valid_topics
from roomhook.contract_tests.harness.baseline import NotJudgedError, TargetLostError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.crash import CRASH_HINT, crash_of
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.target_health import verify_target_alive
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.response_check import Violation

__all__ = ["fuzz_near_misses", "fuzz_valid"]


def fuzz_valid(case: Case) -> None:
    """Blame the smallest generated callbacks, one for each thing to depart in, that are valid and not acknowledged."""
    settings = case.run.settings
    fuzz = _Valid(case)
    topics = valid_topics(
        fuzz.member,
        f"rh-{case.run.ids.run}-",
        rooms=settings.room is None or settings.enter_first,
        people=not settings.members or settings.enter_first,
    )
    fuzz.blame(fuzz.search.run(topics, settings.fuzz, combined=True))


def fuzz_near_misses(case: Case) -> None:
    """Blame the smallest generated packets, one for each field, that are not valid and do harm."""
    fuzz = _NearMisses(case)
    fuzz.blame(fuzz.search.run(near_misses(fuzz.member), case.run.settings.fuzz))
    verify_target_alive(case.run)


class _Fuzz:
    """One requirement's search: sends departures, and remembers how those that fail were answered."""

    def __init__(self, case: Case) -> None:
        settings = case.run.settings
        self.case = case
        self.member = case.account()
        seed = f"{settings.seed}/{case.requirement.id}"
        self.search = Search(self._fails, seed=seed, budget_s=budget_s(settings.fuzz))
        self._failed: dict[str, Exchange] = {}

    def attempt(self, departure: Mutation) -> Exchange | None:
        """The exchange to be blamed, or None for a departure that the target copes with."""
        raise NotImplementedError

    def breach(self, exchange: Exchange) -> tuple[str, Violation]:
        """What happened, in words, and what *exchange* breaks."""
        raise NotImplementedError

    def blame(self, departures: Iterable[Mutation]) -> None:
        """A finding for each of *departures*; raises ``NotJudgedError`` if none was found before the time was over."""
        run = self.case.run
        for departure in departures:
            if not run.lost:
                verify_target_alive(run)
            self._blame(self._failed[repr(departure)], self._described(departure))
        if self.search.out_of_time and not self.case.findings:
            asked, tried = run.settings.fuzz, self.search.tried
            raise NotJudgedError(
                f"only {tried} of {asked} packets were sent in {budget_s(asked):g} s, and none failed; "
                f"a smaller --fuzz N ends in time"
            )

    def send(self, departure: Mutation) -> Exchange:
        """Send *departure* as it is at this moment."""
        return self.case.send(departure.draft(self.member, self.case.run.now_ms()))

    def pulse(self) -> None:
        """Find out whether the target is still well; if it is not, the run notes so."""
        try:
            verify_target_alive(self.case.run)
        except TargetLostError:
            self.search.stop()

    def _fails(self, departure: Mutation) -> bool:
        exchange = self.attempt(departure)
        if exchange is None:
            return False
        self._failed[repr(departure)] = exchange
        if exchange.hung or self.case.run.lost:
            self.search.stop()
        return True

    def _described(self, departure: Mutation) -> str:
        text = described(departure.draft(self.member, self.case.run.now_ms()), self.member)
        return f"{text}, written with \\u escapes" if departure.escaped else text

    def _blame(self, exchange: Exchange, point: str) -> None:
        settings, requirement = self.case.run.settings, self.case.requirement.id
        size = "as generated" if self.search.stopped else "reduced as far as possible"
        after = f"; after it, {self.case.run.lost}" if self.case.run.lost else ""
        what, breach = self.breach(exchange)
        again = f"Search again: --only {requirement} --fuzz {settings.fuzz} --seed {settings.seed}."
        self.case.blame(
            exchange,
            f"{what}; {size}, it differs from the baseline in {point}{after}",
            Violation(breach.requirement, breach.expected, f"{breach.actual} to {point}", breach.path),
            cause=breach.requirement or None,
            hint=f"{hint_for(exchange, settings, every=False) if breach.requirement else CRASH_HINT} {again}".strip(),
        )


class _Valid(_Fuzz):
    def attempt(self, departure: Mutation) -> Exchange | None:
        run = self.case.run
        first = exchange = self._counted(departure)
        for _ in range(run.repeats):
            if exchange.hung:
                self.pulse()
            if exchange.acknowledged or run.lost:
                break
            exchange = self._counted(departure)
        if not exchange.acknowledged:
            return first
        if exchange is not first:
            run.flaky.add(first)
        return None

    def breach(self, exchange: Exchange) -> tuple[str, Violation]:
        return "a generated valid callback was not acknowledged", exchange.judgement.breaches[0]

    def _counted(self, departure: Mutation) -> Exchange:
        draft = departure.draft(self.member, self.case.run.now_ms())
        return self.case.send_valid(draft, note=f"a generated leave with {described(draft, self.member)}")


class _NearMisses(_Fuzz):
    def attempt(self, departure: Mutation) -> Exchange | None:
        run = self.case.run
        comebacks = run.line.comebacks
        first = exchange = self.send(departure)
        if exchange.hung or exchange.cut_off:
            self.pulse()
        if (exchange.hung or exchange.cut_off or exchange.server_error) and not run.lost:
            exchange = self.send(departure)
        gone = bool(run.lost) or run.line.comebacks > comebacks
        return first if gone or exchange.hung or crash_of(run, exchange) else None

    def breach(self, exchange: Exchange) -> tuple[str, Violation]:
        packet = "a generated packet that is just not valid"
        if exchange.server_error:
            return f"{packet} got a server error", Violation("", "any answer below 500", f"HTTP {exchange.status}")
        silent = exchange.hung or (exchange.cut_off and not self.case.run.lost)
        what = f"{packet} {'got no answer' if silent else 'took the target away'}"
        actual = f"it {exchange.outcome.explained}" if exchange.answer is None else f"HTTP {exchange.status}"
        return what, Violation("", "any answer below 500, from a target that goes on", actual)
