"""Checks of the fields that a person writes: one sentence that names the owner, the field and the value."""

from __future__ import annotations

import math

from lab.errors import BadInput


def check_number(
    owner: str, name: str, value: object, *, least: float | None = None, above: float | None = None
) -> None:
    """A finite number, at least or above a limit. Raises BadInput."""
    limit = f"at least {least:g}" if least is not None else f"above {above:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{owner}: {name}={value!r} is not a number")
    if (least is not None and value < least) or (above is not None and value <= above):
        raise BadInput(f"{owner}: {name}={value:g} must be {limit}")


def check_whole(owner: str, name: str, value: object, *, least: int) -> None:
    """A whole number (True is none). Raises BadInput."""
    if type(value) is not int or value < least:
        raise BadInput(f"{owner}: {name}={value!r} must be a whole number, at least {least}")
