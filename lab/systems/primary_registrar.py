"""Who is the primary, published for clients: by DNS, and in a znode. One registrar feeds both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lab.errors import BadInput
from lab.fields import check_number, check_whole
from lab.protocols import Beat, Bounds, ClientRoute, Fields, Route, Stack, System
from lab.systems.asking import ask, ask_server, order, revive
from lab.systems.dns import new_secret, ttl_beat
from lab.wait import TimedOut, wait_until

NODE = "registrar"
NAME = "primary.lab.test"
PLACES = ("dns", "zookeeper")
NAMESERVERS = (("ns1", "nameserver"), ("ns2", "nameserver"), ("resolver", "resolver"))
MOST_TTL_S = 2**31
PUBLISHED_S = 5.0
"""How long a reset waits for the registrar to have published who is primary now."""
UNBOUND_PORT = 8953


@dataclass(frozen=True, slots=True)
class PrimaryRegistrar:
    """Every server is checked each `check_interval_s`, start to start, for at most `check_timeout_s`: is it out of
    recovery, and not read-only? A primary is given up after `failures` bad checks; what was published stays until a new
    one is seen. `publish`: "dns" (records with `ttl_s`, whole seconds) and "zookeeper" (a znode), or one of them.
    """

    check_interval_s: float = 0.25
    check_timeout_s: float = 0.5
    failures: int = 2
    ttl_s: int = 2
    publish: tuple[str, ...] = PLACES
    tsig_secret: str = field(init=False, repr=False, compare=False, default_factory=new_secret)
    name: ClassVar[str] = "primary_registrar"
    beat_name: ClassVar[str] = "ttl"

    def __post_init__(self) -> None:
        check_number("PrimaryRegistrar", "check_interval_s", self.check_interval_s, least=0.01)
        check_number("PrimaryRegistrar", "check_timeout_s", self.check_timeout_s, least=0.01)
        check_whole("PrimaryRegistrar", "failures", self.failures, least=1)
        if type(self.ttl_s) is not int or not 0 <= self.ttl_s < MOST_TTL_S:
            raise BadInput(
                f"PrimaryRegistrar: ttl_s={self.ttl_s!r} must be whole seconds, 0 or more; DNS carries no fractions"
            )
        words = tuple(self.publish) if isinstance(self.publish, tuple | list) else ()
        if not words or not all(word in PLACES and words.count(word) == 1 for word in words):
            raise BadInput(
                f'PrimaryRegistrar: publish={self.publish!r} must be ("dns", "zookeeper"), or a tuple of one of them'
            )
        object.__setattr__(self, "publish", words)

    def check_beside(self, systems: Sequence[System], routes: Sequence[ClientRoute]) -> None:
        """Whether the arm has what it needs. Raises BadInput."""
        names = [system.name for system in systems]
        if "postgres" not in names:
            raise BadInput("PrimaryRegistrar publishes who is primary of a Postgres: add Postgres(...) before it")
        for name in ("postgres", "patroni"):
            if name in names and names.index(name) > names.index(self.name):
                raise BadInput(
                    f"PrimaryRegistrar stands before {name}: a reset would publish the last trial's primary again; "
                    f"name it after {name}"
                )
        if "zookeeper" in self.publish and "zookeeper" not in names:
            raise BadInput(
                'PrimaryRegistrar: publish has "zookeeper" and the arm has none: add ZooKeeper(...), or write '
                'publish=("dns",)'
            )

    @property
    def by_dns(self) -> bool:
        """Whether it publishes by DNS, and so brings nameservers and a resolver."""
        return "dns" in self.publish

    @property
    def compose_files(self) -> tuple[str, ...]:
        return ("nameservers.yaml", "primary.yaml") if self.by_dns else ("primary.yaml",)

    @property
    def nodes(self) -> tuple[tuple[str, str], ...]:
        return (*(NAMESERVERS if self.by_dns else ()), (NODE, "registrar"))

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "LAB_PUBLISH": ",".join(self.publish),
            "LAB_TTL_S": str(self.ttl_s),
            "LAB_CHECK_INTERVAL_S": f"{self.check_interval_s:g}",
            "LAB_CHECK_TIMEOUT_S": f"{self.check_timeout_s:g}",
            "LAB_FAILURES_TO_REMOVE": str(self.failures),
            "LAB_TSIG_SECRET": self.tsig_secret,
        }

    @property
    def settings(self) -> Fields:
        return {
            "check_interval_s": self.check_interval_s,
            "check_timeout_s": self.check_timeout_s,
            "failures": self.failures,
            "ttl_s": self.ttl_s,
            "publish": list(self.publish),
        }

    def route(self) -> Route | None:
        return None

    def bounds(self, change: str) -> Bounds | None:
        """It fails nothing over: what it adds, publication and propagation, is told by the routes that go by it."""
        return None

    # -- the running stack ---------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        return float(self.ttl_s) if self.by_dns else 0.0

    def beat(self, stack: Stack) -> Beat | None:
        """The resolver's TTL of the primary's name; None where nothing is published by DNS."""
        return ttl_beat(stack.nodes["resolver"], NAME, "A", self.ttl_s) if self.by_dns else None

    def lacking(self, stack: Stack) -> Sequence[str]:
        primary, status = _primary(stack), ask_server(stack.nodes[NODE], "status")
        if primary is None:
            return [f"{NODE}: there is no primary to publish yet"]
        if not status:
            return [f"{NODE}: it does not answer yet"]
        lacks = [
            f"{NODE}: {primary} is the primary, but {server} says {node or 'nothing'}"
            for server, node in status["published"].items()
            if node != primary
        ]
        if lacks or not self.by_dns:
            return lacks
        # The resolver comes last, and only when both nameservers are right: else it would keep a wrong answer.
        for server in ("ns1", "ns2", "resolver"):
            answer = ask(stack.nodes[server], "dns", host="127.0.0.1", name=NAME, type="A")
            if answer.get("answers") != [stack.nodes[primary].address]:
                return [f"{server}: {NAME} is {answer.get('answers') or 'nowhere'}, not {primary}"]
        return []

    def leader(self, stack: Stack) -> str | None:
        """Postgres says who leads."""
        return None

    def reset(self, stack: Stack) -> None:
        """Everything runs; the registrar publishes anew who is primary now, and the resolver forgets the last trial.

        Raises NodeLost.
        """
        for node, _ in self.nodes:
            revive(stack.nodes[node])
        order(stack.nodes[NODE], "reset")
        if not self.by_dns:
            return
        try:
            wait_until(lambda: _published(stack), timeout_s=PUBLISHED_S)
        except TimedOut:
            return  # `lacking` tells what is missing, and waits for the TTL where that is all
        # Unbound's remote control: a line, and an answer. The probe does just that.
        ask(stack.nodes["resolver"], "zk", host="127.0.0.1", port=UNBOUND_PORT, word="UBCT1 flush_zone lab.test\n")


def _primary(stack: Stack) -> str | None:
    """The one server that takes writes, as the servers themselves say; None where there is none, or two."""
    primaries = [node.name for node in stack.role("postgres") if ask_server(node, "status").get("state") == "primary"]
    return primaries[0] if len(primaries) == 1 else None


def _published(stack: Stack) -> bool:
    primary, status = _primary(stack), ask_server(stack.nodes[NODE], "status")
    return primary is not None and all(node == primary for node in status.get("published", {"": None}).values())
