"""The search for a generated packet that fails, and for the smallest one that does: Hypothesis, kept in bounds."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import hypothesis
from hypothesis import Phase, Verbosity
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from roomhook.contract_tests.fuzzing.strategies import Mutation, MutationSource, everything

__all__ = ["Search", "budget_s"]

_COMBINED: Final = "several at once"
_COMBINED_SHARE: Final = 5
_DISTURBANCE: Final = "_maybe_draw_constant"
_SETTINGS: Final = hypothesis.settings(
    database=None,
    derandomize=False,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    print_blob=False,
    verbosity=Verbosity.quiet,
)


def budget_s(examples: int) -> float:
    """How long a search with so many *examples* may take, in s."""
    return 10 + 0.1 * examples


class Search:
    """Tries generated departures until one fails, and then smaller ones; no packet is sent twice.

    *fails* sends one and tells; *seed* decides what is generated. After *budget_s* by *clock* (s) nothing is sent any
    more, and ``out_of_time`` tells so.
    """

    def __init__(
        self,
        fails: Callable[[Mutation], bool],
        *,
        seed: str,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fails = fails
        self._seed = seed
        self._clock = clock
        self._end = clock() + budget_s
        self._known: dict[str, bool] = {}
        self.stopped = False
        self.out_of_time = False

    @property
    def tried(self) -> int:
        """How many packets were sent."""
        return len(self._known)

    def stop(self) -> None:
        """Send nothing any more: the last failure is fully reduced."""
        self.stopped = True

    @property
    def _over(self) -> bool:
        return self.stopped or self.out_of_time

    def run(self, topics: Mapping[str, MutationSource], examples: int, *, combined: bool = False) -> Iterator[Mutation]:
        """The smallest departure that fails for each of *topics*, then for several at once where none alone does.

        They generate *examples* in all, not counting those that make a failing one smaller.
        """
        shares = {name: topic.share for name, topic in topics.items()}
        allotted = _allotted({**shares, _COMBINED: _COMBINED_SHARE} if combined else shares, examples)
        failed: set[str] = set()
        for name, topic in topics.items():
            if failed.isdisjoint(topic.moot_after) and not self._over:
                smallest = self._smallest_of(name, topic.sources, allotted[name])
                if smallest is not None:
                    failed.add(name)
                    yield smallest
        sound = {
            name: topic for name, topic in topics.items() if name not in failed and failed.isdisjoint(topic.moot_after)
        }
        if combined and sound and not self._over:
            left = max(allotted[_COMBINED], examples - self.tried)  # some topics have few values
            smallest = self._smallest_of(_COMBINED, (everything(sound),), left)
            if smallest is not None:
                yield smallest

    def _smallest_of(self, name: str, sources: Sequence[SearchStrategy[Mutation]], examples: int) -> Mutation | None:
        """The smallest that fails of what *sources* give, which share the *examples*."""
        allotted = _allotted(dict.fromkeys(range(len(sources)), 1), examples)
        found = [self._find(f"{name} {number}", sources[number], some) for number, some in allotted.items() if some]
        return min((one for one in found if one is not None), key=_size, default=None)

    def _find(self, name: str, source: SearchStrategy[Mutation], examples: int) -> Mutation | None:
        settings = hypothesis.settings(_SETTINGS, max_examples=examples)
        chance = random.Random(f"{self._seed}/{name}")
        with _undisturbed():
            try:
                found: Mutation = hypothesis.find(source, self._is_failing, settings=settings, random=chance)
            except NoSuchExample:
                return None
        return self._simplified(found)

    def _simplified(self, departure: Mutation) -> Mutation:
        """What Hypothesis can't do, knowing choices and not what they mean: drop one thing, keep the others."""
        while simpler := next(filter(self._is_failing, departure.simpler()), None):
            departure = simpler
        return departure

    def _is_failing(self, departure: Mutation) -> bool:
        key = repr(departure)
        if key not in self._known:
            self.out_of_time = self.out_of_time or self._clock() >= self._end
            if self._over:
                return False
            self._known[key] = self._fails(departure)
        return self._known[key]


_Name = TypeVar("_Name")


def _allotted(shares: Mapping[_Name, int], examples: int) -> dict[_Name, int]:
    """*examples* divided by *shares*, to the last one."""
    allotted: dict[_Name, int] = {}
    whole, running = sum(shares.values()), 0
    for name, share in shares.items():
        before, running = running, running + share
        allotted[name] = examples * running // whole - examples * before // whole
    return allotted


def _size(departure: Mutation) -> tuple[int, str]:
    text = repr(departure)
    return len(text), text


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Hypothesis to the seed: it mixes in constants of whatever modules are loaded, and caches them in the folder.

    Where a release of it has no such method any more, there is nothing to keep it from.
    """
    provider = getattr(sys.modules.get("hypothesis.internal.conjecture.providers"), "HypothesisProvider", None)
    method = getattr(provider, _DISTURBANCE, None)
    if provider is None or method is None:
        yield
        return
    setattr(provider, _DISTURBANCE, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(provider, _DISTURBANCE, method)
