"""The names of --shape and what each does, for code that must not import locust."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["SHAPES", "LoadShape"]


class LoadShape(StrEnum):
    """Course of the rate over the test."""

    RAMP = "ramp"
    SPIKE = "spike"
    OUTAGE = "outage"
    SOAK = "soak"
    STAIRCASE = "staircase"


SHAPES: Final = {
    LoadShape.RAMP: "up to the full rate within a third of the time, then level",
    LoadShape.SPIKE: "a tenth of the rate, and four times the full rate, when rooms are dissolved",
    LoadShape.OUTAGE: "level, then silence while clients are cut off, then their expiries at full rate",
    LoadShape.SOAK: "up within a twentieth of the time, then level to the end",
    LoadShape.STAIRCASE: "ten steps up to the full rate; ends at the first step that breaks a threshold",
}
