"""How clients of a database find its primary, and how they behave while they do: libpq's list of hosts, DNS, a watched
znode, or HAProxy.

Each is a frozen value that validates itself. What comes after a new primary is writable is told by `phases`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from lab.errors import BadInput
from lab.fields import check_number, check_whole, check_word
from lab.protocols import Fields, Phase, System

LEAST_CONNECT_S = 2
MOST_S, MOST_RETRIES = 86_400, 1000
"""A day: what libpq takes is a little more."""
SYN_S = 1.0
"""tcp_user_timeout ends a connect() to a silent host at the first SYN that is sent again, so not before this."""
SYN_LATE_S = 0.05
"""How much later than tcp_user_timeout the kernel ends such a connect(): 20 ms measured."""
AGAIN_S = 0.1
"""The pause after a failure, a connection to somebody who answers, and the write itself."""
PUBLICATION_S = 0.02
"""An UPDATE to the nameserver, or the change of a znode, until it is acknowledged."""
NOTIFY_S = 0.1
"""NOTIFY, SOA and IXFR until the secondary serves it."""
WATCH_S = 0.05
"""From a changed znode to those who watch it."""
CLIENT_CLOCK_S = 1.0
"""A client that honours the remaining TTL knows it in whole seconds only."""

UNANSWERED = frozenset({"power_loss", "pause", "partition", "site_loss"})
"""Faults after which a connection stays open and nothing comes back: the client learns by its own deadline."""
UNREACHABLE = UNANSWERED | {"vanish"}
"""Faults after which a new connection to the old primary is neither taken nor refused."""

HOLDS = ("pooled", "reconnecting")
DEADLINES = ("close", "cancel", "wait")
ACKNOWLEDGES = ("commit", "statement")


def connections(pool: int) -> int:
    """How many connections to the primary each route may hold: its pool, and its reader's."""
    return pool + 1


@dataclass(frozen=True, slots=True)
class _Way:
    """What all routes have in common."""

    name: str = ""
    """Its label in reports; by default what it is called itself."""
    hold: Literal["pooled", "reconnecting"] = "pooled"
    """"reconnecting": a new connection for every write."""
    deadline_s: float = 0.3
    """From the intended start of a write. While nobody can write, writes wait for so long: an outage that is shorter is
    no outage to these clients, only a delay."""
    on_deadline: Literal["close", "cancel", "wait"] = "close"
    """Drop the connection; or ask the server to cancel, keep the connection and believe what comes back; or wait."""
    connect_timeout_s: int = 2
    """Of each host that is tried."""
    tcp_user_timeout_s: float = 1.5
    """How long what was sent may stay unacknowledged by the other side's kernel; a SYN too."""
    acknowledge: Literal["commit", "statement"] = "commit"
    """"statement": several writes share a transaction, and each counts as done when its INSERT returns. A mistake that
    applications make, and that a lab must find."""
    retries: int = 0
    """After a failure of which nobody knows whether the write was done; a failure that certainly did nothing is always
    tried again while the deadline allows."""
    kind: ClassVar[str] = ""
    default_name: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    publishes: ClassVar[str] = ""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        if not isinstance(self.name, str) or not re.fullmatch(r"([\w-]([\w -]*[\w-])?)?", self.name, re.A):
            raise BadInput(f"{owner}: name={self.name!r} must be letters, digits, spaces between them, - and _")
        for name, known in (("hold", HOLDS), ("on_deadline", DEADLINES), ("acknowledge", ACKNOWLEDGES)):
            check_word(owner, name, getattr(self, name), known)
        check_number(owner, "deadline_s", self.deadline_s, above=0, most=MOST_S)
        check_number(owner, "tcp_user_timeout_s", self.tcp_user_timeout_s, above=0, most=MOST_S)
        check_whole(owner, "retries", self.retries, least=0, most=MOST_RETRIES)
        if type(self.connect_timeout_s) is not int or not LEAST_CONNECT_S <= self.connect_timeout_s <= MOST_S:
            raise BadInput(
                f"{owner}: connect_timeout_s={self.connect_timeout_s!r} must be whole seconds, at least "
                f"{LEAST_CONNECT_S}: libpq knows no fractions and takes 1 for 2; tcp_user_timeout_s ends a connection "
                "to a silent host earlier"
            )

    @property
    def label(self) -> str:
        """Its name in reports, unique within an arm."""
        return self.name or self.default_name + (" reconnecting" if self.hold == "reconnecting" else "")

    @property
    def settings(self) -> Fields:
        """As the writers' `begin` command takes them."""
        return {
            "hold": self.hold,
            "deadline_s": self.deadline_s,
            "on_deadline": self.on_deadline,
            "connect_timeout_s": self.connect_timeout_s,
            "tcp_user_timeout_s": self.tcp_user_timeout_s,
            "acknowledge": self.acknowledge,
            "retries": self.retries,
        }

    def check_beside(self, systems: Sequence[System]) -> None:
        """Raises BadInput where the arm lacks what this route goes through."""
        owner = type(self).__name__
        if not self.needs:
            return
        found = next((system for system in systems if system.name == self.needs), None)
        if found is None:
            raise BadInput(f"{owner}: the arm has no {self.needs}; {self._mend}")
        if self.publishes and self.publishes not in tuple(found.settings.get("publish", ())):
            raise BadInput(
                f"{owner}: the registrar does not publish to {self.publishes!r}; add it to publish=... of "
                "PrimaryRegistrar(...)"
            )

    @property
    def _mend(self) -> str:
        return f'add PrimaryRegistrar(publish=("{self.publishes}",))'

    # -- what the settings promise -------------------------------------------------------------------------------

    def _doomed(self, change: str) -> tuple[float, str]:
        """How long a connection to the old primary is waited for in vain, and the setting that moves that.

        The kernel of a paused server takes connections all the same, so only connect_timeout_s ends those.
        """
        silent_s = max(SYN_S, self.tcp_user_timeout_s)
        if change not in UNREACHABLE:
            return 0.0, ""
        if change == "pause" or self.connect_timeout_s <= silent_s:
            return float(self.connect_timeout_s), f"connect_timeout_s ({self.connect_timeout_s:g})"
        return silent_s + SYN_LATE_S, f"tcp_user_timeout_s ({self.tcp_user_timeout_s:g})"

    def _stuck_s(self, change: str, systems: Sequence[System]) -> float:
        """How long a write that was sent to the old primary may still be waited for when a new one is writable."""
        if change not in UNANSWERED or self.hold == "reconnecting":
            return 0.0
        mechanisms = [system for system in systems if getattr(system, "fails_over", False)]
        found = next((bounds for system in mechanisms if (bounds := system.bounds(change)) is not None), None)
        held_s = {
            "close": self.deadline_s,
            "cancel": self.deadline_s + self.connect_timeout_s,  # then a cancel that nobody answers is given up
            "wait": max(self.deadline_s, self.tcp_user_timeout_s + SYN_S),  # as long as nobody acknowledges packets
        }[self.on_deadline]
        return max(0.0, held_s - (found.low_s if found is not None else 0.0))

    def _client(self, change: str, systems: Sequence[System], doomed: tuple[float, str]) -> Phase:
        """The last phase of a client that goes to the old primary until it is told, or has walked past it."""
        stuck_s, (doomed_s, doomed_by) = self._stuck_s(change, systems), doomed
        if change not in UNREACHABLE:
            return Phase("client", 0.0, AGAIN_S)
        moved_by = f"deadline_s ({self.deadline_s:g})" if stuck_s > doomed_s else doomed_by
        return Phase("client", 0.0, stuck_s + doomed_s + AGAIN_S, moved_by)


def _registrar(systems: Sequence[System]) -> Fields:
    return next((system.settings for system in systems if system.name == "primary_registrar"), {})


def _publication(systems: Sequence[System]) -> Phase:
    """The registrar looks at every server at each interval; one that is silent costs it the timeout."""
    settings = _registrar(systems)
    interval_s = float(settings.get("check_interval_s", 0.0))
    high_s = interval_s + float(settings.get("check_timeout_s", 0.0)) + PUBLICATION_S
    mean_s = interval_s / 2 + PUBLICATION_S / 2
    return Phase("publication", 0.0, high_s, f"check_interval_s ({interval_s:g})", mean_s)


@dataclass(frozen=True, slots=True)
class MultiHost(_Way):
    """libpq's list of hosts with target_session_attrs=read-write: postgres1 first, then each of the others in order."""

    kind: ClassVar[str] = "multi_host"
    default_name: ClassVar[str] = "multi_host"

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...] | None:
        """Nobody tells it: it walks the list again and again, past a dead first host each time.

        A pool does so once. Whoever connects anew for every write goes past a silent first host every time: where that
        takes longer than a write may, nothing is promised before that host answers again.
        """
        doomed = self._doomed(change)
        if self.hold == "reconnecting" and doomed[0] >= self.deadline_s:
            return None
        return (self._client(change, systems, doomed),)

    def unbounded(self, change: str) -> str:
        """Why nothing is promised, for people."""
        return (
            f"every write goes past the silent first host again, {self._doomed(change)[0]:.3g} s, and may take "
            f"deadline_s={self.deadline_s:g}"
        )


@dataclass(frozen=True, slots=True)
class ByDns(_Way):
    """The primary's name, asked of the resolver; the answer is believed for exactly the TTL that remains of it."""

    kind: ClassVar[str] = "dns"
    default_name: ClassVar[str] = "dns"
    needs: ClassVar[str] = "primary_registrar"
    publishes: ClassVar[str] = "dns"

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...]:
        """The record, the nameservers, then the caches of resolver and client, and a connection begun too early."""
        ttl_s = float(_registrar(systems).get("ttl_s", 0))
        doomed_s, _ = self._doomed(change)
        cache_s = max(ttl_s + CLIENT_CLOCK_S, self._stuck_s(change, systems))
        return (
            _publication(systems),
            Phase("propagation", 0.0, NOTIFY_S),
            Phase("client", 0.0, cache_s + doomed_s + AGAIN_S, f"ttl_s ({ttl_s:g})", (cache_s + doomed_s) / 2),
        )


@dataclass(frozen=True, slots=True)
class ByZooKeeper(_Way):
    """A watched znode that names the primary."""

    kind: ClassVar[str] = "zookeeper"
    default_name: ClassVar[str] = "zookeeper"
    needs: ClassVar[str] = "primary_registrar"
    publishes: ClassVar[str] = "zookeeper"

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...]:
        """The znode, its watchers, and a connection begun before the news came."""
        return (
            _publication(systems),
            Phase("propagation", 0.0, WATCH_S),
            self._client(change, systems, self._doomed(change)),
        )


@dataclass(frozen=True, slots=True)
class ByHaProxy(_Way):
    """HAProxy, which lets clients through to whoever says that it leads."""

    kind: ClassVar[str] = "haproxy"
    default_name: ClassVar[str] = "haproxy"
    needs: ClassVar[str] = "haproxy"

    @property
    def _mend(self) -> str:
        return "add HaProxy(), which needs Patroni(...)"

    def phases(self, change: str, systems: Sequence[System]) -> tuple[Phase, ...]:
        """HAProxy's next checks, and a connection that it had taken and let through to nobody."""
        settings: Fields = next((system.settings for system in systems if system.name == "haproxy"), {})
        fast_s = float(settings.get("fast_interval_s", 0.0))
        high_s = int(settings.get("rise", 1)) * fast_s + AGAIN_S
        connect_by = f"connect_timeout_s ({self.connect_timeout_s:g})"  # HAProxy itself takes the connection at once
        return (
            Phase("publication", 0.0, high_s, f"fast_interval_s ({fast_s:g})"),
            self._client(change, systems, (float(self.connect_timeout_s), connect_by)),
        )
