"""The only place that polls: bounded waiting that says what it last saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOut(Exception):
    """The condition did not come true in time; the message tells what was last seen."""


def wait_until(
    condition: Callable[[], T | None],
    *,
    timeout_s: float,
    every_s: float = 0.02,
    message: str | Callable[[], str] = "the condition did not come true",
) -> T:
    """Call `condition` every `every_s` seconds until it is truthy, and return that value.

    Raises TimedOut after `timeout_s`. A callable `message` is asked at the end, so that it can tell what was
    last seen. An exception of the condition ends the wait: a condition that may fail must say so itself.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = message() if callable(message) else message
            raise TimedOut(f"{text} (waited {timeout_s:g} s)")
        time.sleep(every_s)
