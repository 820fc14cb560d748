"""How a broken App backend is declared: one requirement, one defect, one step of the reference overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from roomhook.contract_tests.app_backends.reference.backend import ReferenceBackend

__all__ = ["Broken", "breaks", "declared"]

_Backend = TypeVar("_Backend", bound=type[ReferenceBackend])
_declared: Final[dict[str, Broken]] = {}


@dataclass(frozen=True, slots=True)
class Broken:
    """An App backend with one defect, named after the requirement ``id`` that it breaks.

    ``declares`` is what the suite must report on it and nothing else; ``backend`` builds it.
    """

    id: str
    defect: str
    declares: frozenset[str]
    backend: type[ReferenceBackend]

    @property
    def needs_token(self) -> bool:
        """Whether the defect shows only with a token configured."""
        return self.id.startswith(("sign.", "effect.sign"))

    @property
    def needs_probe(self) -> bool:
        """Whether the defect shows only to a probe of the rooms."""
        return self.id.startswith("effect.")

    @property
    def needs_fuzz(self) -> bool:
        """Whether the defect shows only to generated packets."""
        return self.id.startswith("fuzz.")


def breaks(requirement: str, *, also: Iterable[str] = ()) -> Callable[[_Backend], _Backend]:
    """Declare that the decorated backend breaks *requirement*, and *also* what follows; its docstring tells how."""

    def declare(backend: _Backend) -> _Backend:
        if requirement in _declared:
            raise ValueError(f"{requirement} has its broken backend already")
        defect = " ".join((backend.__doc__ or "").split())
        _declared[requirement] = Broken(requirement, defect, frozenset({requirement, *also}), backend)
        return backend

    return declare


def declared() -> dict[str, Broken]:
    """Every backend declared so far, by requirement."""
    return dict(_declared)
