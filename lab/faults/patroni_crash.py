"""Manager crash: only the failover manager's process (Patroni) dies; its Postgres goes on as it was, unattended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.faults import killing
from lab.protocols import Evidence, Injection, Site

MANAGER = r"^\S*python[\d.]* (-\S+ )*\S*\bpatroni( |$)"
WATCHER = "watcher"
"""The role of the pod that comes with Patroni."""


@dataclass(frozen=True, slots=True)
class ManagerCrash:
    """SIGKILL to Patroni alone: nobody renews its lease, nobody answers its REST API, and Postgres serves on."""

    name: ClassVar[str] = "crash_manager"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "alive"
    holds_until_healed: ClassVar[bool] = True

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is a Patroni where it strikes. Raises BadInput."""
        killing.check_servers("ManagerCrash", targets)
        if all(role != WATCHER for _, role in nodes):
            raise BadInput(
                "ManagerCrash: no Patroni runs beside the databases; add Patroni(...), or use PostmasterCrash()"
            )

    def inject(self, site: Site) -> Injection:
        return killing.kill(site, MANAGER)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        return killing.evidence(site, injection, MANAGER)

    def heal(self, site: Site, injection: Injection) -> None:
        killing.restart(site, MANAGER)
