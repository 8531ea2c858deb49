"""Vanish: the host container dies: the address itself goes away, and the server with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.protocols import Evidence, Injection, Site


@dataclass(frozen=True, slots=True)
class Vanish:
    """Kill the host container; it owns the namespaces, so address and server are gone with it.

    The engine's API is 8 to 130 ms wide: the stamps are another node's, around the call.
    """

    name: ClassVar[str] = "vanish"
    needs: ClassVar[frozenset[str]] = frozenset({"host"})
    leaves: ClassVar[str] = "dead"

    def inject(self, site: Site) -> Injection:
        witness = site.others[0]
        after_ns = witness.tell("ping")["t_ns"]
        site.target.kill_host()
        before_ns = witness.tell("ping")["t_ns"]
        return Injection(site.target.name, after_ns, before_ns, {"witness": witness.name})

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        witness = site.others[0]
        # An address without an owner answers nothing, not even "refused".
        seen = witness.tell("ask", probe="tcp", host=site.target.address, port=1, timeout_s=0.3)
        refused = seen.get("why") == "refused"
        running = site.target.server_running()
        return {
            "holds": not refused and not seen.get("open", False) and not running,
            "witness": witness.name,
            "address_answers": refused or bool(seen.get("open", False)),
            "server_running": running,
        }

    def heal(self, site: Site, injection: Injection) -> None:
        if not site.target.server_running():
            site.target.start_host()
