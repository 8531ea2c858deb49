"""Failed probes in a row, and when they are enough: for a controller by their number, for an operator by the clock."""

from __future__ import annotations

from dataclasses import dataclass

from lab.clock import S
from lab.inside.controller.rules import Rules


@dataclass(slots=True)
class Streak:
    """What the probes of the primary have come to."""

    rules: Rules
    failures: int = 0
    acts_ns: int | None = None
    """From when on the primary counts as failed, unless a good probe comes first; None: nobody knows yet."""

    def take(self, ok: bool, done_ns: int) -> None:
        """Count one probe. A good one ends the streak: what failed before it no longer counts."""
        if ok:
            self.failures, self.acts_ns = 0, None
            return
        self.failures += 1
        if self.rules.operator_s is None:
            if self.failures >= self.rules.failures and self.acts_ns is None:
                self.acts_ns = done_ns
        elif self.failures == 1:
            self.acts_ns = done_ns + int(self.rules.operator_s * S)
