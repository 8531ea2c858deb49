"""Discovery by DNS: BIND primary and secondary, a caching Unbound, and a registrar that checks health."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lab.clock import S
from lab.errors import BadInput, NodeLost
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, Fields, Node, Phase, Route, Stack
from lab.systems.asking import SERVICE, ask, ask_server, differences, revive, serving

OWNER = f"_{SERVICE}._tcp.lab.test"
PUBLICATION_S = 0.01
"""An UPDATE until it is acknowledged: 1.5 to 5 ms measured."""
PROPAGATION_S = 0.1
"""NOTIFY, SOA and IXFR until the secondary serves it: 6 to 35 ms measured."""
CLIENT_CLOCK_S = 1.0
"""A client that honours the remaining TTL knows it in whole seconds only."""
ALLOWANCE_S = 0.1
"""What a drain lasts beyond the bound: the least allowance that reports give a bound."""

SILENT = frozenset({"power_loss", "pause"})
"""Faults of which a check learns by its timeout only."""
REMOVALS = frozenset({"crash", "vanish"}) | SILENT
GOODBYES = frozenset({"graceful_stop", "restart"})


def new_secret() -> str:
    """A TSIG key in base64, new every time."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Dns:
    """SRV records with `ttl_s`, kept by a registrar that checks every `check_interval_s`, start to start.

    A check fails after `check_timeout_s`; `failures_to_remove` of them in a row remove an instance,
    `successes_to_add` good ones add it. BIND lets a NOTIFY wait `notify_delay_s` after the one before it (its own
    default is 5 s). TTL and notify-delay are whole seconds: DNS and BIND know no other.
    """

    ttl_s: int = 5
    check_interval_s: float = 1.0
    check_timeout_s: float = 0.3
    failures_to_remove: int = 2
    successes_to_add: int = 1
    notify_delay_s: int = 0
    tsig_secret: str = field(init=False, repr=False, compare=False, default_factory=new_secret)
    name: ClassVar[str] = "dns"
    beat_name: ClassVar[str] = "ttl"
    compose_files: ClassVar[tuple[str, ...]] = ("nameservers.yaml", "dns.yaml")
    nodes: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ns1", "nameserver"),
        ("ns2", "nameserver"),
        ("resolver", "resolver"),
        ("registrar", "registrar"),
    )

    def __post_init__(self) -> None:
        for name in ("ttl_s", "notify_delay_s"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < 2**31:
                raise BadInput(f"Dns: {name}={value!r} must be whole seconds, 0 or more; DNS carries no fractions")
        check_number("Dns", "check_interval_s", self.check_interval_s, above=0)
        check_number("Dns", "check_timeout_s", self.check_timeout_s, above=0)
        if self.check_timeout_s > self.check_interval_s:
            raise BadInput(
                f"Dns: check_timeout_s={self.check_timeout_s:g} is longer than check_interval_s="
                f"{self.check_interval_s:g}: checks would overtake each other; lower check_timeout_s"
            )
        check_whole("Dns", "failures_to_remove", self.failures_to_remove, least=1)
        check_whole("Dns", "successes_to_add", self.successes_to_add, least=1)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_REGISTRY": "dns",
            "LAB_DEFAULT_DRAIN_S": f"{self._removal(0.0, self._one_check_s).high_s + ALLOWANCE_S:g}",
            "LAB_TTL_S": str(self.ttl_s),
            "LAB_NOTIFY_DELAY_S": str(self.notify_delay_s),
            "LAB_CHECK_INTERVAL_S": f"{self.check_interval_s:g}",
            "LAB_CHECK_TIMEOUT_S": f"{self.check_timeout_s:g}",
            "LAB_FAILURES_TO_REMOVE": str(self.failures_to_remove),
            "LAB_SUCCESSES_TO_ADD": str(self.successes_to_add),
            "LAB_TSIG_SECRET": self.tsig_secret,
        }

    @property
    def settings(self) -> Fields:
        return {
            "ttl_s": self.ttl_s,
            "check_interval_s": self.check_interval_s,
            "check_timeout_s": self.check_timeout_s,
            "failures_to_remove": self.failures_to_remove,
            "successes_to_add": self.successes_to_add,
            "notify_delay_s": self.notify_delay_s,
        }

    def route(self) -> Route:
        """Each client has its own cache, filled by the one resolver."""
        return Route("dns", {"resolver": "resolver", "owner": OWNER})

    # -- what the settings promise -------------------------------------------------------------------------------

    def bounds(self, change: str) -> Bounds | None:
        """Removal: so many failed checks, the first one up to an interval away, then UPDATE, NOTIFY and caches.

        A goodbye needs one check (it reads "draining"). A return or a start needs so many good checks; a client that
        was never told otherwise is right at once, so a return promises no least time.
        """
        fails, interval_s = self.failures_to_remove, self.check_interval_s
        if change in REMOVALS:
            low_s = (fails - 1) * interval_s + (self.check_timeout_s if change in SILENT else 0.0)
            return self._removal(low_s, fails * interval_s + self.check_timeout_s)
        if change in GOODBYES:
            return self._removal(0.0, self._one_check_s)
        if change in ("return", "start"):
            low_s = (self.successes_to_add - 1) * interval_s if change == "start" else 0.0
            return self._removal(low_s, self.successes_to_add * interval_s + self.check_timeout_s)
        return None

    @property
    def _one_check_s(self) -> float:
        return self.check_interval_s + self.check_timeout_s

    def _removal(self, low_s: float, high_s: float) -> Bounds:
        return Bounds(
            (
                Phase("detection", low_s, high_s, f"check_interval_s ({self.check_interval_s:g})"),
                Phase("publication", 0.0, PUBLICATION_S),
                Phase(
                    "propagation", 0.0, PROPAGATION_S + self.notify_delay_s, f"notify_delay_s ({self.notify_delay_s})"
                ),
                Phase("client cache", 0.0, self.ttl_s + CLIENT_CLOCK_S, f"ttl_s ({self.ttl_s})"),
            )
        )

    # -- the running stack ---------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        return float(self.ttl_s)

    def beat(self, stack: Stack) -> Beat | None:
        """The resolver's TTL: its entry ends at the whole second of the wall clock at which no TTL remains."""
        return ttl_beat(stack.nodes["resolver"], OWNER, "SRV", self.ttl_s)

    def lacking(self, stack: Stack) -> Sequence[str]:
        # The resolver is asked last and only when both nameservers are right: else it would keep a wrong answer
        # for a whole TTL, and be the cause of what it is asked about.
        instances = serving(stack)
        status = ask_server(stack.nodes["registrar"], "status")
        if not status:
            return ["registrar: it does not answer yet"]
        if lacks := differences("registrar", status["registered"], instances):
            return lacks
        for server in ("ns1", "ns2"):
            answer = ask(stack.nodes[server], "dns", host="127.0.0.1", name=OWNER, type="SRV")
            if not answer.get("aa"):
                return [f"{server}: it has no answer of its own about {OWNER} yet"]
            if lacks := differences(server, _nodes_in(answer), instances):
                return lacks
        answer = ask(stack.nodes["resolver"], "dns", host="127.0.0.1", name=OWNER, type="SRV")
        if answer.get("rcode") != "NOERROR":
            return [f"resolver: no answer about {OWNER} yet"]
        return differences("resolver", _nodes_in(answer), instances)

    def leader(self, stack: Stack) -> str | None:
        """The nameserver that takes updates."""
        return "ns1"

    def reset(self, stack: Stack) -> None:
        """Everything runs; the registrar's rounds get a new offset against the resolver's seconds."""
        for node, _ in self.nodes:
            revive(stack.nodes[node])
        ask_server(stack.nodes["registrar"], "reset")


def _nodes_in(answer: Fields) -> frozenset[str]:
    """The nodes that an SRV answer names: "0 100 8080 backend3.lab.test."."""
    return frozenset(record.split()[-1].split(".")[0] for record in answer.get("answers", ()))


def ttl_beat(resolver: Node, name: str, kind: str, ttl_s: int) -> Beat | None:
    """When a resolver's entry ends: at the whole second of the wall clock at which no TTL remains."""
    for _ in range(3):
        try:
            before = resolver.tell("ping")
            answer = resolver.tell("ask", probe="dns", host="127.0.0.1", name=name, type=kind)
        except NodeLost:
            return None
        if not ttl_s or answer.get("ttl") is None:
            return None
        ahead_ns = before["wall_ns"] - before["t_ns"]
        second = (before["t_ns"] + ahead_ns) // S
        # When the second changed in between, nobody knows in which one the TTL was read.
        if (answer["t_ns"] + ahead_ns) // S == second:
            return Beat("ttl", float(ttl_s), (second + answer["ttl"]) * S - ahead_ns)
    return None
