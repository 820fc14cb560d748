"""Requirement ids in words, for pages of the simulator, which does not know the register."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roomhook.simulator.console.callbacks_page import Explained

__all__ = ["explained"]


def explained(requirement: str) -> Explained:
    """The text and the source of a requirement, both empty for an unknown id."""
    from roomhook.contract_tests.model.register import load_register
    from roomhook.simulator.console.callbacks_page import Explained

    found = load_register().get(requirement)
    if found is None:
        return Explained("", "")
    return Explained(found.text, ", ".join(source.title for source in found.sources))
