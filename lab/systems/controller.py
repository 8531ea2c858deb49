"""Failover by the lab's own controller: it probes the primary, and promotes a standby in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lab.errors import BadInput
from lab.fields import check_number, check_whole, check_word
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Phase, Route, Stack, System
from lab.systems.asking import ask_server, order, revive

NODE = "controller"
FIRST = "postgres1"
PROMOTE = ("most_advanced", "first")
FENCES = ("none", "stop", "cut_clients", "read_only")

SLACK_S = 0.05
"""How much sooner than its settings say a detection may seem: a probe was under way when the fault struck, and the
first write that fails is due a little after it (1/rate on average)."""
PROBE_S = 0.05
"""A probe that is answered or refused: 3 to 20 ms measured."""
PROMOTION_S = 0.5
"""Asking the standbys, pg_promote, out of recovery: 15 to 40 ms measured, on a busy disk up to 0.4 s."""
FENCING_S = 0.5
"""One command to the old primary's management port."""
HANDOVER_S = 0.4
"""Read-only, sessions ended, the standby has replayed everything: 20 to 40 ms measured, on a busy disk 0.2 s."""
ATTACH_S = 0.5
"""In sync the next primary waits for a standby: that one asks again every 200 ms (wal_retrieve_retry_interval)."""

REFUSED = frozenset({"crash", "crash_postmaster"})
"""The host answers for the dead server: a probe fails at once."""
SILENT = frozenset({"power_loss", "pause", "partition", "site_loss"})
"""Nobody answers: every probe waits for its timeout."""
WITHOUT_POWER = frozenset({"power_loss", "site_loss", "vanish"})
CANNOT_BE_FENCED = {
    "none": frozenset[str](),
    "stop": WITHOUT_POWER,
    "cut_clients": WITHOUT_POWER,
    "read_only": WITHOUT_POWER | REFUSED | {"pause"},
}
"""The management port is gone too, or nobody is there who could be told: who must fence first waits for ever."""


@dataclass(frozen=True, slots=True)
class Controller:
    """A primary that fails `failures` probes in a row is replaced. Probes begin every `check_interval_s`, start to
    start, and fail after `check_timeout_s`; where that is longer, the next one waits for it.

    `promote`: the standby that received most, or simply the "first" that answers. `fence`: what is done to the old
    primary before another one is promoted; while it can not be done, nobody is.
    """

    check_interval_s: float = 0.25
    check_timeout_s: float = 0.5
    failures: int = 3
    promote: str = "most_advanced"
    fence: str = "none"
    _attach_s: float | None = field(init=False, repr=False, compare=False, default=None)
    """0, or ATTACH_S where the Postgres beside it is in sync; known as soon as an arm has been made."""
    name: ClassVar[str] = "controller"
    fails_over: ClassVar[bool] = True
    watched_from: ClassVar[str] = "controller"
    beat_name: ClassVar[str] = "probe"
    compose_files: ClassVar[tuple[str, ...]] = ("controller.yaml",)
    nodes: ClassVar[tuple[tuple[str, str], ...]] = ((NODE, "controller"),)

    def __post_init__(self) -> None:
        check_number("Controller", "check_interval_s", self.check_interval_s, least=0.01)
        check_number("Controller", "check_timeout_s", self.check_timeout_s, least=0.01)
        check_whole("Controller", "failures", self.failures, least=1)
        check_word("Controller", "promote", self.promote, PROMOTE)
        check_word("Controller", "fence", self.fence, FENCES)

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """Whether the arm has what it needs. Raises BadInput."""
        attach_s = check_failover("Controller", systems)
        object.__setattr__(self, "_attach_s", attach_s)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_PROBE_INTERVAL_S": f"{self.check_interval_s:g}",
            "LAB_PROBE_TIMEOUT_S": f"{self.check_timeout_s:g}",
            "LAB_PROBE_FAILURES": str(self.failures),
            "LAB_PROMOTE": self.promote,
            "LAB_FENCE": self.fence,
        }

    @property
    def settings(self) -> Fields:
        return {
            "check_interval_s": self.check_interval_s,
            "check_timeout_s": self.check_timeout_s,
            "failures": self.failures,
            "promote": self.promote,
            "fence": self.fence,
        }

    def route(self) -> Route | None:
        return None

    # -- what the settings promise -------------------------------------------------------------------------------

    def bounds(self, change: str) -> Bounds | None:
        """From the first write that fails until the next primary takes writes.

        The first write that fails is due right after the strike, under a silent fault too: what counts is when it was
        due, not when its deadline passed. So detection is the same seen from the strike and from that write, but for
        the gap to the first write (SLACK_S). The first bad probe begins up to an interval after the strike. A dead
        server's host refuses it at once, so the last one begins failures - 1 intervals later; where nobody answers
        each takes its timeout and the next waits for it. An address that is gone is something of both.
        """
        if change == "switchover":
            return switchover_bounds(self._attach_s)
        if change in CANNOT_BE_FENCED[self.fence]:
            return None
        interval_s, timeout_s, more = self.check_interval_s, self.check_timeout_s, self.failures - 1
        refused_s = more * interval_s
        silent_s = more * max(interval_s, timeout_s) + timeout_s
        if change in REFUSED:
            low_s, high_s = refused_s, refused_s
        elif change in SILENT:
            low_s, high_s = silent_s, silent_s
        elif change == "vanish":
            low_s, high_s = refused_s, silent_s
        else:
            return None
        detection = Phase(
            "detection",
            max(0.0, low_s - SLACK_S),
            high_s + interval_s + PROBE_S,
            f"failures ({self.failures}) x check_interval_s ({interval_s:g})"
            if change in REFUSED or timeout_s <= interval_s
            else f"failures ({self.failures}) x check_timeout_s ({timeout_s:g})",
            high_s + interval_s / 2,
        )
        fencing = () if self.fence == "none" else (Phase("fencing", 0.0, FENCING_S, f"fence ({self.fence})", 0.05),)
        return Bounds((detection, *fencing, *promotion_phases(self._attach_s)))

    def unbounded(self, change: str) -> str:
        """Why nothing is promised for a change, where the fence is to blame."""
        if change not in CANNOT_BE_FENCED[self.fence]:
            return ""
        return (
            f"its Controller promotes nobody before the old primary is fenced, and fence={self.fence!r} cannot be done "
            "then (fence='none' waits for nothing)"
        )

    # -- the running stack ---------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        return self.check_interval_s

    def beat(self, stack: Stack) -> Beat | None:
        """The probes: the next one's start."""
        return probe_beat(stack)

    def lacking(self, stack: Stack) -> Sequence[str]:
        return lacking(stack)

    def leader(self, stack: Stack) -> str | None:
        """Postgres says who leads."""
        return None

    def reset(self, stack: Stack) -> None:
        """postgres1 is the primary; it is watched again, at probes with another offset."""
        reset(stack)

    def recover(self, stack: Stack) -> None:
        """Members come back by the lab's own hand; until the next reset nobody is watched (and nobody promoted)."""
        stand_down(stack)


# -- what an operator has in common with it ------------------------------------------------------------------------


def check_failover(owner: str, systems: Sequence[System]) -> float:
    """Whether an arm has what a failover needs, and no other one; how long the next primary may wait for a standby.

    Raises BadInput.
    """
    by_name = {system.name: system for system in systems}
    if "postgres" not in by_name:
        raise BadInput(f"{owner} keeps a Postgres, and there is none: add Postgres(...) before it")
    if "patroni" in by_name:
        raise BadInput(f"{owner} and Patroni would both promote standbys: one of them has to go")
    names = [system.name for system in systems]
    if names.index(owner.lower()) < names.index("postgres"):
        raise BadInput(
            f"{owner} stands before postgres: between trials it would see the servers go, and promote one; name it "
            "after Postgres(...)"
        )
    return ATTACH_S if by_name["postgres"].settings.get("replication") == "sync" else 0.0


def promotion_phases(attach_s: float | None) -> tuple[Phase, Phase]:
    """From the decision to a primary that takes writes."""
    high_s = SLACK_S + (attach_s or 0.0)
    moved_by = "replication (sync)" if attach_s else ""
    return (
        Phase("promotion", 0.0, PROMOTION_S, mean_s=0.03),
        Phase("writable", 0.0, high_s, moved_by, mean_s=0.15 if attach_s else 0.0),
    )


def switchover_bounds(attach_s: float | None) -> Bounds:
    """A planned change is decided before the first write fails; then the old primary stops taking any."""
    return Bounds(
        (
            Phase("detection", 0.0, SLACK_S, mean_s=0.0),
            Phase("fencing", 0.0, HANDOVER_S, mean_s=0.03),
            *promotion_phases(attach_s),
        )
    )


def probe_beat(stack: Stack) -> Beat | None:
    """When the controller probes next; None where it does not answer."""
    status = ask_server(stack.nodes[NODE], "status")
    return Beat("probe", float(status["interval_s"]), int(status["next_probe_ns"])) if status else None


def lacking(stack: Stack) -> Sequence[str]:
    """What the controller's node is not ready for."""
    status = ask_server(stack.nodes[NODE], "status")
    if not status:
        return [f"{NODE}: it does not answer yet"]
    if (status["doing"], status["primary"]) != ("watching", FIRST):
        return [f"{NODE}: it is {status['doing']}, with {status['primary']} as the primary"]
    servers = {node.name for node in stack.role("postgres")}
    return [f"{NODE}: it has no session with {node} yet" for node in sorted(servers - set(status["connected"]))]


def reset(stack: Stack) -> None:
    """Watch the first primary again. Raises NodeLost."""
    revive(stack.nodes[NODE])
    order(stack.nodes[NODE], "reset")


def stand_down(stack: Stack) -> None:
    """Watch nobody. Raises NodeLost."""
    order(stack.nodes[NODE], "stand_down")
