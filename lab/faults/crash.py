"""Crash: the server's processes get SIGKILL, its host lives on, so peers see RST at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.protocols import Evidence, Injection, Site


@dataclass(frozen=True, slots=True)
class Crash:
    """SIGKILL to every process of the server; its address stays and refuses connections."""

    name: ClassVar[str] = "crash"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "dead"

    def inject(self, site: Site) -> Injection:
        answer = site.target.tell("signal", signal="KILL", wait_s=2.0)
        # A process runs no more of its code once SIGKILL was sent to it; until the last of a hundred has been cleared
        # away takes the kernel a tenth of a second more, which nobody outside can tell from being dead.
        details = {"pids": answer["pids"], "gone_before_ns": answer["before_ns"]}
        return Injection(site.target.name, answer["after_ns"], answer["sent_ns"], details)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        processes = site.target.tell("processes")["processes"]
        gone = not processes
        return {
            "holds": gone and (injection is None or bool(injection.details["pids"])),
            "server_processes": processes,
            "pids_gone": injection.details["pids"] if injection and gone else [],
            "host_answers": True,  # `tell` would have raised
        }

    def heal(self, site: Site, injection: Injection) -> None:
        if not site.target.server_running():
            site.target.start_server()
