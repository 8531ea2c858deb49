"""Postmaster crash: only Postgres' first process gets SIGKILL; whoever runs it may start it again in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.faults import killing
from lab.protocols import Evidence, Injection, Site

POSTMASTER = r"^\S*\bpostgres( |$)"
"""Its command line; those that it forks call themselves "postgres: what they do"."""


@dataclass(frozen=True, slots=True)
class PostmasterCrash:
    """SIGKILL to the postmaster; its children notice and end by themselves, its supervisor or manager lives."""

    name: ClassVar[str] = "crash_postmaster"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "dead"

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is a postmaster where it strikes. Raises BadInput."""
        killing.check_servers("PostmasterCrash", targets)

    def inject(self, site: Site) -> Injection:
        return killing.kill(site, POSTMASTER)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        return killing.evidence(site, injection, POSTMASTER)

    def heal(self, site: Site, injection: Injection) -> None:
        killing.restart(site, POSTMASTER)
