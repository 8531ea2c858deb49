"""Checks of the fields that a person writes: one sentence that names the owner, the field and the value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import is_dataclass

from lab.errors import BadInput

BEYOND = 1e12
"""Nobody means so much of anything."""


def check_number(
    owner: str,
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float = BEYOND,
) -> None:
    """A finite number, at least or above a limit, and at most another one. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise BadInput(f"{owner}: {name}={shown(value)} is not a number")
    if (least is not None and value < least) or (above is not None and value <= above):
        limit = f"at least {least:g}" if least is not None else f"above {above:g}"
        told = f"{value:g}" if abs(value) < BEYOND else shown(value)
        raise BadInput(f"{owner}: {name}={told} must be {limit}")
    if value > most:
        raise BadInput(f"{owner}: {name}={shown(value)} must be at most {most:g}")


def check_whole(owner: str, name: str, value: object, *, least: int, most: int | None = None) -> None:
    """A whole number (True is none). Raises BadInput."""
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        raise BadInput(f"{owner}: {name}={shown(value)} must be a whole number, {limits}")


def check_word(owner: str, name: str, value: object, words: Sequence[str]) -> None:
    """One of some words. Raises BadInput."""
    if not isinstance(value, str) or value not in words:
        raise BadInput(f"{owner}: {name}={value!r} must be one of {', '.join(words)}")


def check_truth(owner: str, name: str, value: object) -> None:
    """True or False. Raises BadInput."""
    if type(value) is not bool:
        raise BadInput(f"{owner}: {name}={value!r} must be True or False")


def shown(value: object) -> str:
    """What somebody wrote, short enough for a sentence: "Crash(...)" for a value with many fields."""
    if is_dataclass(value) and not isinstance(value, type):
        own = type(value).__str__ is not object.__str__
        return str(value) if own else f"{type(value).__name__}(...)"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
