"""What faults conclude from what they see, with nodes that answer as they are told. (On pods: tests/docker.)"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.errors import BadInput, NodeLost
from lab.faults import ManagerCrash, Partition, PostmasterCrash, Reject, ReplicationLag, SiteLoss, Switchover
from lab.faults.patroni_crash import MANAGER
from lab.faults.postmaster_crash import POSTMASTER
from lab.protocols import Fields, Injection
from lab.strike import StruckSite

Says = Callable[[str, Fields], Fields]


def always(**answer: Any) -> Says:
    """The same answer to everything."""

    def says(op: str, arguments: Fields) -> Fields:
        return answer

    return says


@dataclass
class Told:
    """A node whose agent answers what `says` returns; what it was told is kept."""

    name: str
    role: str
    says: Says = field(default_factory=always)
    running: bool = True
    told: list[tuple[str, Fields]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.0.0.{len(self.name)}"

    @property
    def offers(self) -> frozenset[str]:
        return frozenset({"signal", "packets", "server", "host"})

    def tell(self, op: str, *, timeout_s: float = 5.0, **arguments: Any) -> Fields:
        self.told.append((op, arguments))
        return {"t_ns": len(self.told), "after_ns": 1, "before_ns": 2, **self.says(op, arguments)}

    def start_server(self) -> None:
        self.running = True

    def kill_host(self) -> None:
        self.running = False

    def start_host(self) -> None:
        self.running = True

    def server_running(self) -> bool:
        return self.running

    def ops(self) -> list[str]:
        """The operations it was told, in order."""
        return [op for op, _ in self.told]


def site(target: Told, *others: Told) -> StruckSite:
    return StruckSite(target, others, {node.name: node for node in (target, *others)})


class Cutting:
    """The packets of a node that is cut: every look at the counters finds `grows` more."""

    def __init__(self, rows: Sequence[tuple[str, str]], grows: int = 1, why: str = "timeout") -> None:
        self.rows, self.grows, self.why, self.looks = rows, grows, why, 0

    def __call__(self, op: str, arguments: Fields) -> Fields:
        if op == "cut":
            return {"cut": 4}
        if op == "ask":
            return {"open": self.why == "", "why": self.why}
        self.looks += 1
        packets = self.looks * self.grows
        made = [{"cut": 4, "peer": "", "direction": way, "how": how, "packets": packets} for way, how in self.rows]
        return {"cuts": made}


BOTH = [("in", "drop"), ("out", "drop")]


@pytest.mark.parametrize(
    ("rows", "grows", "why", "missing"),
    [
        (BOTH, 1, "timeout", set()),
        ([], 1, "timeout", {"in_stopped", "out_stopped"}),  # an outage without a cut is not ours
        ([("in", "drop"), ("out", "pass")], 1, "timeout", {"out_stopped"}),
        (BOTH, 0, "timeout", {"in_stopped", "out_stopped"}),  # a rule that stops nothing
        (BOTH, 1, "refused", {"nobody_reached"}),  # the host answers, so it is reached
        (BOTH, 1, "", {"nobody_reached"}),
    ],
)
def test_a_partition_needs_counters_and_probes_of_both_directions(
    rows: list[tuple[str, str]], grows: int, why: str, missing: set[str]
) -> None:
    """One without the other is no evidence; what is missing can be read off."""
    target = Told("postgres1", "postgres", Cutting(rows, grows, why))
    witness = Told("postgres22", "postgres", Cutting([], why=why))
    struck = site(target, witness)
    injection = Partition().inject(struck)
    seen = Partition().verify(struck, injection)
    assert {key for key, value in seen.items() if key != "holds" and not value} == missing
    assert seen["holds"] is (not missing)


def test_a_cut_names_peers_by_name_or_role_and_heals_by_its_number() -> None:
    """The target is never its own peer; JSON tells everything."""
    target = Told("postgres1", "postgres", Cutting(BOTH))
    others = [Told("postgres22", "postgres"), Told("controller", "controller"), Told("clients", "clients")]
    injection = Partition(("postgres", "controller"), "in").inject(site(target, *others))
    _, told = target.told[0]
    assert told == {"peers": ["10.0.0.10", "10.0.0.10"], "ports": [], "direction": "in", "how": "drop"}
    assert injection.details == {"cut": 4, "peers": {"postgres22": "10.0.0.10", "controller": "10.0.0.10"}}
    Partition().heal(site(target), injection)
    assert target.told[-1] == ("uncut", {"cuts": [4]})
    with pytest.raises(BadInput, match="postgres1 cannot be cut off from itself"):
        Partition(("postgres1",)).inject(site(target, *others))


def test_a_refusal_is_what_reject_wants_and_an_open_port_is_not() -> None:
    """A host behind a firewall that answers RST refuses."""
    rows = [("in", "reset"), ("out", "reset")]
    for why, holds in (("refused", True), ("", False)):
        target, witness = Told("a", "x", Cutting(rows, why=why)), Told("bb", "x", Cutting([], why=why))
        struck = site(target, witness)
        assert Reject((80,)).verify(struck, Reject((80,)).inject(struck))["holds"] is holds
    with pytest.raises(BadInput, match="rejects nothing"):
        Reject(())


SUPERVISOR = {"pid": 7, "command": "/opt/venv/bin/python3 -m lab.inside database"}
POSTGRES = {"pid": 33, "command": "/usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/lab"}
BACKEND = {"pid": 51, "command": "postgres: postgres1: app lab 10.0.0.4(41000) idle"}
PATRONI = {"pid": 30, "command": "/usr/bin/python3 /usr/bin/patroni /var/lib/postgresql/patroni.yml"}


def test_one_process_of_a_server_is_known_by_its_command() -> None:
    """The postmaster, not those it forks and not who starts it; Patroni, however it is started."""
    commands = [entry["command"] for entry in (SUPERVISOR, POSTGRES, BACKEND, PATRONI)]
    assert [bool(re.search(POSTMASTER, str(command))) for command in commands] == [False, True, False, False]
    assert [bool(re.search(MANAGER, str(command))) for command in commands] == [False, False, False, True]
    assert re.search(MANAGER, "/usr/bin/python3 -m patroni /etc/patroni.yml")


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        ([SUPERVISOR, PATRONI, BACKEND], True),
        ([SUPERVISOR, PATRONI, POSTGRES | {"pid": 90}], False),  # started again in place
        ([SUPERVISOR | {"pid": 91}], False),  # the whole server was started again: healed
        ([], False),  # all of it died: another fault
        ([SUPERVISOR, PATRONI, POSTGRES], False),  # it never died
    ],
)
def test_a_crash_of_one_process_leaves_the_others(now: list[Fields], holds: bool) -> None:
    """What was hit is gone, nothing came instead, others of before live."""
    target = Told("postgres1", "postgres", always(processes=now))
    injection = Injection("postgres1", 1, 2, {"pids": [33], "spared": [7, 30, 51]})
    assert PostmasterCrash().verify(site(target), injection)["holds"] is holds


def test_healing_starts_the_server_again_unless_it_came_back_by_itself() -> None:
    """A Patroni that started its Postgres in place is left alone."""
    injection = Injection("postgres1", 1, 2, {"pids": [33], "spared": [7, 30]})
    back = Told("postgres1", "postgres", always(processes=[SUPERVISOR, PATRONI, POSTGRES]))
    PostmasterCrash().heal(site(back), injection)
    assert back.ops() == ["processes"]

    def ends(op: str, arguments: Fields) -> Fields:
        if op == "signal":
            gone.running = False
        return {"processes": [SUPERVISOR, POSTGRES], "pids": [7, 33]}

    gone = Told("postgres1", "postgres", ends)
    ManagerCrash().heal(site(gone), injection)
    assert gone.ops() == ["processes", "signal"] and gone.running


PROXY = {"name": "replication", "listen": "[::]:5433", "upstream": "10.0.0.9:5432", "latency_ms": 20}


def test_site_loss_kills_the_link_first_and_gives_it_its_proxies_back() -> None:
    """The order is the fault; a proxy's settings would die with the link."""
    order: list[str] = []

    def says(name: str) -> Says:
        def answer(op: str, arguments: Fields) -> Fields:
            order.append(f"{name} {op}")
            proxies = {"proxies": [{**PROXY, "enabled": True}], "open": True}
            return {"pids": [7], "processes": [], "dropping": True, "packets": 3, **proxies}

        return answer

    link, target = Told("toxiproxy", "link", says("link")), Told("postgres1", "postgres", says("target"))
    struck = site(target, link)
    injection = SiteLoss().inject(struck)
    assert order == ["link toxics", "link signal", "target drop", "target signal"]
    assert injection.details["also"] == ["toxiproxy"]
    assert SiteLoss().verify(struck, injection)["holds"]
    link.running = target.running = False
    SiteLoss().heal(struck, injection)
    assert link.running and target.running
    assert ("toxic", PROXY) in link.told and target.ops()[-1] == "undrop"


@pytest.mark.parametrize(
    ("set_ms", "took_ms", "holds"), [(100, 101, True), (100, 60, False), (20, 101, False), (100, None, True)]
)
def test_replication_lag_is_what_the_link_says_and_what_is_felt(set_ms: int, took_ms: int | None, holds: bool) -> None:
    """A lag that was set and is not felt is none; a server that does not answer leaves what the link says."""

    def says(op: str, arguments: Fields) -> Fields:
        if op == "ask":
            return {"reached": took_ms is not None, "took_ns": (took_ms or 0) * 1_000_000, "open": True}
        return {"proxies": [{**PROXY, "latency_ms": set_ms, "enabled": True}]}

    assert ReplicationLag(100).verify(site(Told("toxiproxy", "link", says)), None)["holds"] is holds


def says_state(state: str, ok: bool = True) -> Says:
    return always(reached=True, answer={"ok": ok, "state": state, "error": "no candidate"})


def test_a_switchover_is_done_when_another_one_leads() -> None:
    """Not while the target leads, and not while nobody does."""
    for states, holds in (
        (("primary", "standby"), False),
        (("down", "standby"), False),
        (("standby", "primary"), True),
        (("primary", "primary"), False),
    ):
        nodes = [Told(f"postgres{n}", "postgres", says_state(state)) for n, state in enumerate(states, 1)]
        assert Switchover().verify(site(*nodes), None)["holds"] is holds


def test_a_switchover_is_asked_of_the_controller_where_there_is_one() -> None:
    """Else of the target's own manager; a refusal is an error with its reason."""
    target, other = Told("postgres1", "postgres", says_state("standby")), Told("p2", "postgres", says_state("primary"))
    controller = Told("controller", "controller", says_state(""))
    assert Switchover().inject(site(target, other, controller)).details == {"asked": "controller"}
    assert Switchover().inject(site(target, other)).details == {"asked": "postgres1"}
    assert target.told[-1][1]["message"] == {"do": "status"}
    refusing = Told("postgres1", "postgres", says_state("primary", ok=False))
    with pytest.raises(NodeLost, match="postgres1: no switchover: no candidate"):
        Switchover().inject(site(refusing, other))
