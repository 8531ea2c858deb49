"""The controller's settings, as the compose file hands them in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

FENCES = ("none", "stop", "cut_clients", "read_only")
CHOICES = ("most_advanced", "first")


@dataclass(frozen=True, slots=True)
class Rules:
    """When a primary counts as failed, and what is done then."""

    interval_s: float = 0.25
    timeout_s: float = 0.5
    failures: int = 3
    promote: str = "most_advanced"
    fence: str = "none"
    operator_s: float | None = None
    """An operator acts so long after the first failed probe, if probes still fail; None: nobody is asked."""
    sync_standbys: int = 0
    """How many synchronous standbys a primary waits for; 0: asynchronous."""
    sync_method: str = "any"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Rules:
        """From LAB_*. Raises ValueError for a word that is none."""
        operator = environment.get("LAB_OPERATOR_S") or ""
        in_sync = (environment.get("LAB_REPLICATION") or "async") == "sync"
        rules = cls(
            interval_s=float(environment.get("LAB_PROBE_INTERVAL_S") or 0.25),
            timeout_s=float(environment.get("LAB_PROBE_TIMEOUT_S") or 0.5),
            failures=int(environment.get("LAB_PROBE_FAILURES") or 3),
            promote=environment.get("LAB_PROMOTE") or "most_advanced",
            fence=environment.get("LAB_FENCE") or "none",
            operator_s=float(operator) if operator else None,
            sync_standbys=int(environment.get("LAB_SYNC_STANDBYS") or 1) if in_sync else 0,
            sync_method=environment.get("LAB_SYNC_METHOD") or "any",
        )
        if rules.fence not in FENCES or rules.promote not in CHOICES:
            raise ValueError(f"LAB_FENCE={rules.fence!r}, LAB_PROMOTE={rules.promote!r}: one of them is no word")
        return rules
