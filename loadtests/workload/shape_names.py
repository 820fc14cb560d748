"""The names of the load shapes and what each does, for whoever offers them without importing locust."""

from __future__ import annotations

from typing import Final

__all__ = ["SHAPES"]

SHAPES: Final = {
    "ramp": "up to the full rate within a third of the time, then level",
    "spike": "a tenth of the rate, and the full rate whenever rooms are dissolved: four times",
    "outage": "level, silence while nothing is heard of the clients, then the sweep of their expiries at full rate",
    "soak": "up within a twentieth of the time, then level to the end",
    "staircase": "ten steps up to the full rate; ends at the first one that breaks a threshold",
}
