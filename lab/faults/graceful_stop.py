"""Graceful stop: SIGTERM; the server says goodbye, drains and ends by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.fields import check_number
from lab.protocols import Evidence, Injection, Site


@dataclass(frozen=True, slots=True)
class GracefulStop:
    """SIGTERM to the server's main process; it has `patience_s` to drain and exit by itself."""

    patience_s: float = 60.0
    name: ClassVar[str] = "graceful_stop"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "dead"

    def __post_init__(self) -> None:
        check_number("GracefulStop", "patience_s", self.patience_s, above=0)

    def inject(self, site: Site) -> Injection:
        answer = site.target.tell("signal", signal="TERM", wait_s=self.patience_s, timeout_s=self.patience_s + 5)
        details = {"pids": answer["pids"], "asked_ns": answer["sent_ns"]}
        # The server's own words (instance.leaving, instance.down) date its goodbye; this is when we saw it gone.
        return Injection(site.target.name, answer["after_ns"], answer["before_ns"], details)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        processes = site.target.tell("processes")["processes"]
        return {
            "holds": not processes and (injection is None or bool(injection.details["pids"])),
            "server_processes": processes,
            "pids_gone": injection.details["pids"] if injection and not processes else [],
        }

    def heal(self, site: Site, injection: Injection) -> None:
        if not site.target.server_running():
            site.target.start_server()
