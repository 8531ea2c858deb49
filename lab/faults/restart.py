"""Restart: the server is stopped (gracefully, or by SIGKILL) and started again; the strike ends with it alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.fields import check_number, check_truth
from lab.protocols import Evidence, Injection, Site
from lab.wait import wait_until


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop the server, then start it: SIGTERM with `patience_s` to drain when `graceful`, else SIGKILL."""

    graceful: bool = True
    patience_s: float = 60.0
    name: ClassVar[str] = "restart"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "server"})
    leaves: ClassVar[str] = "alive"

    def __post_init__(self) -> None:
        check_truth("Restart", "graceful", self.graceful)
        check_number("Restart", "patience_s", self.patience_s, above=0)

    def inject(self, site: Site) -> Injection:
        node = site.target
        word, wait_s = ("TERM", self.patience_s) if self.graceful else ("KILL", 2.0)
        stopped = node.tell("signal", signal=word, wait_s=wait_s, timeout_s=wait_s + 5)
        # The engine learns of the end a little after the processes are gone; until then it refuses to start.
        wait_until(lambda: not node.server_running(), timeout_s=10, message=f"{node.name}: the server did not end")
        node.start_server()
        details = {"pids": stopped["pids"]}
        return Injection(node.name, stopped["after_ns"], stopped["before_ns"], details)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        processes = site.target.tell("processes")["processes"]
        pids = [process["pid"] for process in processes]
        before = injection.details["pids"] if injection else []
        return {
            "holds": injection is not None and bool(before) and bool(pids) and not set(pids) & set(before),
            "pids_before": before,
            "pids_now": pids,
        }

    def heal(self, site: Site, injection: Injection) -> None:
        if not site.target.server_running():
            site.target.start_server()
