"""Power loss: every packet is dropped first (not on lo), then SIGKILL: nobody is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.protocols import Evidence, Injection, Site


@dataclass(frozen=True, slots=True)
class PowerLoss:
    """Drop all packets of the node, then SIGKILL its server: no FIN, no RST, just silence."""

    name: ClassVar[str] = "power_loss"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "packets", "server"})
    leaves: ClassVar[str] = "dead"

    def inject(self, site: Site) -> Injection:
        dropped = site.target.tell("drop")
        killed = site.target.tell("signal", signal="KILL", wait_s=2.0)
        # Silence begins with the drop; the kill behind it is invisible from outside.
        details = {"pids": killed["pids"], "killed_before_ns": killed["before_ns"]}
        return Injection(site.target.name, dropped["after_ns"], dropped["before_ns"], details)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        rules = site.target.tell("rules")
        processes = site.target.tell("processes")["processes"]
        return {
            "holds": bool(rules["dropping"]) and not processes,
            "dropping": rules["dropping"],
            "packets_dropped": rules["packets"],
            "server_processes": processes,
        }

    def heal(self, site: Site, injection: Injection) -> None:
        site.target.tell("undrop")
        if not site.target.server_running():
            site.target.start_server()
