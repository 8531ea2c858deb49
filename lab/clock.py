"""The one clock of a run: CLOCK_MONOTONIC in nanoseconds, shared by all containers of one machine.

Docker makes no time namespace, so stamps of different containers can be subtracted. `boot_id` tells
whether two stamps come from the same kernel at all.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

S = 1_000_000_000
MS = 1_000_000


def now_ns() -> int:
    """Nanoseconds of the kernel's monotonic clock."""
    return time.monotonic_ns()


def wall() -> str:
    """The wall clock as ISO 8601 in UTC, milliseconds; for people, never for arithmetic."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def boot_id() -> str:
    """The kernel's boot id: two stamps with one boot id share one clock. Empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
