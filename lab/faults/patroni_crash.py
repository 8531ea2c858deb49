"""Manager crash: only the failover manager's process (Patroni) dies; its Postgres goes on as it was, unattended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.faults import killing
from lab.protocols import Evidence, Injection, Site

MANAGER = r"^\S*python[\d.]* (-\S+ )*\S*\bpatroni( |$)"


@dataclass(frozen=True, slots=True)
class ManagerCrash:
    """SIGKILL to Patroni alone: nobody renews its lease, nobody answers its REST API, and Postgres serves on."""

    name: ClassVar[str] = "crash_manager"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "alive"
    holds_until_healed: ClassVar[bool] = True

    def inject(self, site: Site) -> Injection:
        return killing.kill(site, MANAGER)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        return killing.evidence(site, injection, MANAGER)

    def heal(self, site: Site, injection: Injection) -> None:
        killing.restart(site, MANAGER)
