"""Failover by Patroni: one beside every Postgres, and a leader key in ZooKeeper that lives as long as its session.

It brings no database of its own: Postgres(...) stands beside it, and ZooKeeper(...) after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

from lab.errors import BadInput, NodeLost
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Node, Phase, Route, Stack, System
from lab.systems.asking import ask_server, revive

LEAST_TTL_S, LEAST_LOOP_S, LEAST_RETRY_S = 20, 1, 3
"""Patroni raises what is below these, and says so in its log only."""
LEAST_TICKS, MOST_TICKS = 2, 20
FIRST = "postgres1"
WATCHER = "watcher"

REST_TIMEOUT_S = 2.0
"""Before it takes the lock, a candidate asks every other member, and waits this long for one that is silent."""
PROMOTION_S = 0.8
"""The lock taken, then Postgres promoted: 0.0 to 0.2 s measured, 0.5 s on a busy machine."""
WRITABLE_S = 0.05
"""Out of recovery, and nothing keeps it read-only."""
REPLICATING_S = 0.5
"""The other standby follows the new leader, after at most one round."""
REWIND_S = 10.0
"""A standby that has WAL which the new leader lacks: seen, stopped, rewound and started, 6 to 9 s measured."""
PLANNED_S = 0.2
"""As REPLICATING_S where nobody has died: everybody is told at once."""
RESTART_S = 1.5
"""Patroni's helper that starts a Postgres, and crash recovery: 0.6 to 1 s measured."""
HANDOVER_S = 1.4
"""A clean stop of the old leader, until its key is free: 0.9 to 1.2 s measured."""
TAKEOVER_S = 0.3
"""The candidate that waits for it takes the key and is promoted."""
NOTICE_S = 1.5
"""HAProxy misses a dead Patroni within this, a check or two later."""

CRASHES = frozenset({"crash"})
SILENT = frozenset({"power_loss", "pause"})


@dataclass(frozen=True, slots=True)
class Patroni:
    """A leader's session lasts `ttl_s`; every Patroni looks around every `loop_wait_s`, and a leader that cannot reach
    ZooKeeper for `retry_timeout_s` gives up. Whole seconds: Patroni knows no other.

    `session_s`: ZooKeeper grants no longer session, and does not tell Patroni. Failover is as quick as if ttl were
    that short, but the rule that a leader steps down before another one leads is void.
    """

    ttl_s: int = 20
    loop_wait_s: int = 1
    retry_timeout_s: int = 3
    session_s: float | None = None
    _tick_s: float | None = field(init=False, repr=False, compare=False, default=None)
    """Of the ZooKeeper beside it, as soon as an arm has been made."""
    _quorum: bool = field(init=False, repr=False, compare=False, default=False)
    """Whether the arm that it is part of has commits wait for any of the standbys. With "first" a new leader starts
    without: Patroni has it wait only when it has chosen a standby."""
    name: ClassVar[str] = "patroni"
    leads: ClassVar[str] = "postgres"
    fails_over: ClassVar[bool] = True
    watched_from: ClassVar[str] = "zookeeper"
    beat_name: ClassVar[str] = "loop_wait"
    compose_files: ClassVar[tuple[str, ...]] = ("patroni.yaml",)
    nodes: ClassVar[tuple[tuple[str, str], ...]] = ((WATCHER, "watcher"),)

    def __post_init__(self) -> None:
        check_whole(
            "Patroni", "ttl_s", self.ttl_s, least=1 if type(self.ttl_s) is int and self.ttl_s > 0 else LEAST_TTL_S
        )
        check_whole("Patroni", "loop_wait_s", self.loop_wait_s, least=LEAST_LOOP_S)
        check_whole("Patroni", "retry_timeout_s", self.retry_timeout_s, least=1)
        if self.ttl_s < LEAST_TTL_S:
            raise BadInput(
                f"Patroni: ttl_s={self.ttl_s} would be raised to {LEAST_TTL_S}, Patroni's least; write "
                f"ttl_s={LEAST_TTL_S}, and session_s={self.ttl_s} to let ZooKeeper end the session earlier"
            )
        if self.retry_timeout_s < LEAST_RETRY_S:
            raise BadInput(
                f"Patroni: retry_timeout_s={self.retry_timeout_s} would be raised to {LEAST_RETRY_S}, Patroni's least; "
                f"write retry_timeout_s={LEAST_RETRY_S}"
            )
        needed_s = self.loop_wait_s + 2 * self.retry_timeout_s
        if needed_s > self.ttl_s:
            raise BadInput(
                f"Patroni: loop_wait_s + 2 x retry_timeout_s = {needed_s} is above ttl_s={self.ttl_s}: Patroni would "
                f"lower loop_wait and retry_timeout by itself; lower them, or write ttl_s={needed_s}"
            )
        if self.session_s is not None:
            check_number("Patroni", "session_s", self.session_s, above=0)
            if self.session_s >= self.ttl_s:
                raise BadInput(
                    f"Patroni: session_s={self.session_s:g} caps nothing: sessions last ttl_s={self.ttl_s}; "
                    f"leave it out, or lower it"
                )

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """Whether the arm has what it needs. Raises BadInput."""
        by_name = {system.name: system for system in systems}
        if "postgres" not in by_name:
            raise BadInput("Patroni keeps a Postgres, and there is none: add Postgres(...) before it")
        if others := [name for name in ("controller", "manual") if name in by_name]:
            raise BadInput(f"Patroni and {others[0]} would both promote standbys: one of them has to go")
        if "zookeeper" not in by_name:
            raise BadInput("Patroni keeps its leader key in ZooKeeper, and there is none: add ZooKeeper(...)")
        # An arm's systems are its own copies (lab.scenario), so this is about no other arm.
        postgres = by_name["postgres"].settings
        quorum = postgres.get("replication") == "sync" and postgres.get("sync_method") == "any"
        object.__setattr__(self, "_quorum", quorum)
        self._check_session(float(by_name["zookeeper"].settings["tick_s"]))

    def _check_session(self, tick_s: float) -> None:
        least_s, most_s = LEAST_TICKS * tick_s, MOST_TICKS * tick_s
        grants = f"the arm's ZooKeeper grants {least_s:g} to {most_s:g} s (tick_s={tick_s:g})"
        if self.session_s is None and self.ttl_s > most_s:
            raise BadInput(
                f"Patroni: ttl_s={self.ttl_s} would silently be {most_s:g}: {grants}; write "
                f"ZooKeeper(tick_s={self.ttl_s / MOST_TICKS:g}), or session_s={most_s:g} to have it so"
            )
        if self.session_s is not None and not least_s <= self.session_s <= most_s:
            nearest_s = least_s if self.session_s < least_s else most_s
            raise BadInput(
                f"Patroni: session_s={self.session_s:g} is outside {LEAST_TICKS}..{MOST_TICKS} ticks: {grants}; write "
                f"session_s={nearest_s:g}, or ZooKeeper(tick_s=...) with at most half and at least a 20th of it"
            )
        object.__setattr__(self, "_tick_s", tick_s)

    @property
    def environment(self) -> Mapping[str, str]:
        capped = {} if self.session_s is None else {"LAB_MOST_SESSION_MS": str(round(self.session_s * 1000))}
        return {
            "LAB_MANAGER": "patroni",
            "LAB_TTL_S_PATRONI": str(self.ttl_s),
            "LAB_LOOP_WAIT_S": str(self.loop_wait_s),
            "LAB_RETRY_TIMEOUT_S": str(self.retry_timeout_s),
            **capped,
        }

    @property
    def settings(self) -> Fields:
        settings: Fields = {
            "ttl_s": self.ttl_s,
            "loop_wait_s": self.loop_wait_s,
            "retry_timeout_s": self.retry_timeout_s,
        }
        return settings if self.session_s is None else settings | {"session_s": self.session_s}

    def route(self) -> Route | None:
        return None

    # -- what the settings promise -------------------------------------------------------------------------------

    def bounds(self, change: str) -> Bounds | None:
        """From the first failed write to a writable leader.

        Whoever dies, is cut off from everything or stops: the leader key lives as long as its session, counted from
        the last heartbeat and rounded up to a tick (half a tick more through a follower); then a candidate asks the
        others and promotes itself. A Postgres that dies alone is started where it is.
        """
        if change in CRASHES:
            return self._failover(0.0, Phase("promotion", 0.0, PROMOTION_S, mean_s=0.1))
        if change in SILENT:
            high_s = REST_TIMEOUT_S + PROMOTION_S
            return self._failover(0.0, Phase("promotion", REST_TIMEOUT_S, high_s, mean_s=REST_TIMEOUT_S + 0.1))
        if change == "partition":
            # Cut off from ZooKeeper only, a leader still serves until it gives up, and candidates need not wait for it.
            high_s = REST_TIMEOUT_S + PROMOTION_S
            found = self._failover(0.0, Phase("promotion", 0.0, high_s, mean_s=REST_TIMEOUT_S + 0.1))
            detection, *after = found.phases
            served_s = self.loop_wait_s + self.retry_timeout_s
            return Bounds((replace(detection, low_s=max(0.0, detection.low_s - served_s)), *after))
        if change == "vanish":  # whether an address that is gone is unreachable or silent is up to the kernel
            return self._failover(0.0, Phase("promotion", 0.0, REST_TIMEOUT_S + PROMOTION_S))
        if change == "crash_manager":
            # Nothing fails until somebody asks its REST API, and for clients that do not perhaps only when commits hang
            # for the standby that left. The old leader's WAL flows on meanwhile: each candidate may find that the other
            # one is ahead, and try again in the next round.
            high_s = self.loop_wait_s + PROMOTION_S
            promotion = Phase("promotion", 0.0, high_s, self._loop)
            # Of a quorum, the standby that acknowledged last for the old leader has to be rewound first.
            rewound = Phase("writable", 0.0, self.loop_wait_s + REWIND_S, self._loop)
            return self._failover(self.granted_s, promotion, rewound if self._quorum else None)
        if change == "crash_postmaster":
            high_s = 2 * self.loop_wait_s + RESTART_S
            mean_s = (self.loop_wait_s + RESTART_S) / 2
            return Bounds((Phase("restart in place", 0.1, high_s, self._loop, mean_s),))
        if change == "switchover":
            handover = Phase("detection", 0.0, HANDOVER_S, mean_s=1.0)
            takeover = Phase("promotion", 0.0, TAKEOVER_S, mean_s=0.1)
            return Bounds((handover, takeover, Phase("writable", 0.0, PLANNED_S, mean_s=0.1)))
        return None

    def _failover(self, unnoticed_s: float, promotion: Phase, writable: Phase | None = None) -> Bounds:
        session_s, tick_s, beat_s = self.granted_s, self.tick_s, self.heartbeat_s
        moved_by = f"ttl_s ({self.ttl_s})" if self.session_s is None else f"session_s ({self.session_s:g})"
        low_s = max(0.0, session_s - beat_s - unnoticed_s)
        mean_s = session_s - beat_s / 2 + tick_s * 3 / 4 - min(unnoticed_s, NOTICE_S) / 2
        detection = Phase("detection", low_s, session_s + 1.5 * tick_s, moved_by, mean_s)
        return Bounds((detection, promotion, writable or self._writable))

    @property
    def _writable(self) -> Phase:
        """At once; a quorum waits until the other standby streams from the new leader."""
        if not self._quorum:
            return Phase("writable", 0.0, WRITABLE_S)
        return Phase("writable", 0.0, self.loop_wait_s + REPLICATING_S, self._loop, 0.2)

    @property
    def _loop(self) -> str:
        return f"loop_wait_s ({self.loop_wait_s})"

    @property
    def granted_s(self) -> float:
        """How long a leader's session lasts without a heartbeat."""
        return float(self.ttl_s) if self.session_s is None else self.session_s

    @property
    def heartbeat_s(self) -> float:
        """How old a leader's last word to ZooKeeper gets: a round, or the ping in between where rounds are long."""
        return min(float(self.loop_wait_s), max(self.loop_wait_s - 2.0, 2.0) / 2)

    @property
    def tick_s(self) -> float:
        """ZooKeeper's tick: the one beside it, or the shortest that grants such a session."""
        return self.granted_s / MOST_TICKS if self._tick_s is None else self._tick_s

    # -- the running stack ---------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        return float(self.loop_wait_s)

    def beat(self, stack: Stack) -> Beat | None:
        """The leader's rounds, which nobody sees without disturbing them: strikes are spread over one all the same."""
        try:
            return Beat(self.beat_name, self.beat_s, stack.nodes[WATCHER].tell("ping")["t_ns"], seen=False)
        except NodeLost:
            return None

    def lacking(self, stack: Stack) -> Sequence[str]:
        status = ask_server(stack.nodes[WATCHER], "status")
        if not status:
            return ["watcher: it does not answer yet"]
        if not status["connected"]:
            return ["watcher: its session with ZooKeeper is not up"]
        if status["leader"] != FIRST:
            return [f"watcher: the leader key names {status['leader'] or 'nobody'}, not {FIRST}"]
        return [f"{node.name}: its Patroni does not run" for node in stack.role("postgres") if not _managed(node)]

    def leader(self, stack: Stack) -> str | None:
        """Who holds the key; None while nobody does."""
        found: str | None = ask_server(stack.nodes[WATCHER], "status").get("leader")
        return found

    def reset(self, stack: Stack) -> None:
        """The databases are made anew by Postgres, which has the watcher forget the old cluster in between: the session
        of a Patroni that was killed would keep its key for a while."""
        revive(stack.nodes[WATCHER])

    def recover(self, stack: Stack) -> None:
        """Every Patroni runs again: it brings its Postgres back behind the leader by itself. Raises NodeLost."""
        for node in stack.role("postgres"):
            if _abandoned(node):
                # Its server ends as a whole: the one that starts reads the rows before Patroni rewinds them away.
                with suppress(NodeLost):
                    node.tell("signal", signal="KILL", wait_s=2.0)
                node.start_server()
            else:
                revive(node)


def _abandoned(node: Node) -> bool:
    """Whether a Postgres serves there without its Patroni. One that is only just starting does not serve yet."""
    status = ask_server(node, "status")
    return not status.get("manager_running", True) and status.get("state") != "down"


def _managed(node: Node) -> bool:
    return bool(ask_server(node, "status").get("manager_running"))
