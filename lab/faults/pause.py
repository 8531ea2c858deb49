"""Pause: SIGSTOP, as a long garbage collection or a stalled disk would: TCP still acknowledges, nothing answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.protocols import Evidence, Injection, Site


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP to every process of the server; the kernel goes on accepting connections for it."""

    name: ClassVar[str] = "pause"
    needs: ClassVar[frozenset[str]] = frozenset({"signal"})
    leaves: ClassVar[str] = "dead"

    def inject(self, site: Site) -> Injection:
        answer = site.target.tell("signal", signal="STOP", wait_s=2.0)
        return Injection(site.target.name, answer["after_ns"], answer["before_ns"], {"pids": answer["pids"]})

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        processes = site.target.tell("processes")["processes"]
        stopped = [process for process in processes if process["state"] == "T"]
        return {"holds": bool(processes) and len(stopped) == len(processes), "server_processes": processes}

    def heal(self, site: Site, injection: Injection) -> None:
        site.target.tell("signal", signal="CONT", wait_s=2.0)
