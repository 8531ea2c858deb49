"""Start: not a breakage but a change: a spare instance is started, as a scale-out would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.errors import BadInput
from lab.protocols import Evidence, Injection, Site
from lab.wait import TimedOut, wait_until


@dataclass(frozen=True, slots=True)
class Start:
    """Start the server of a spare instance; healing takes it away again by SIGTERM."""

    name: ClassVar[str] = "start"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "alive"

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether these are instances of a service. Raises BadInput."""
        for target, role in targets:
            if role != "backend":
                raise BadInput(f"Start: {target} runs all the time; it is for spare instances of Service(spares=...)")

    def inject(self, site: Site) -> Injection:
        after_ns = site.target.tell("ping")["t_ns"]
        site.target.start_server()
        before_ns = site.target.tell("ping")["t_ns"]
        return Injection(site.target.name, after_ns, before_ns)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        processes = site.target.tell("processes")["processes"]
        return {"holds": bool(processes), "server_processes": processes}

    def heal(self, site: Site, injection: Injection) -> None:
        site.target.tell("signal", signal="TERM", wait_s=60.0, timeout_s=65.0)
        try:
            wait_until(lambda: not site.target.server_running(), timeout_s=5)
        except TimedOut:
            site.target.tell("signal", signal="KILL", wait_s=2.0)
