"""What controller, operator and the registrar of the primary promise, refuse, and wait for; without an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.clock import S
from lab.errors import BadInput
from lab.protocols import Bounds, System
from lab.systems import Controller, Dns, Manual, Patroni, Postgres, PrimaryRegistrar, ZooKeeper
from tests.test_systems import FakeNode, FakeStack, spans

CHANGES = ("crash", "crash_postmaster", "power_loss", "pause", "partition", "site_loss", "vanish", "switchover")
SYNC = Postgres(standbys=2, replication="sync")


def detection(bounds: Bounds | None) -> tuple[float, float]:
    return spans(bounds)["detection"]


def test_a_crash_is_failures_times_the_interval() -> None:
    """The host refuses at once: (n - 1) intervals, and up to one more until the first bad probe."""
    controller = Controller(check_interval_s=0.25, check_timeout_s=0.5, failures=3)
    assert detection(controller.bounds("crash")) == (0.45, 0.8)
    bounds = controller.bounds("crash")
    assert bounds is not None
    assert [phase.name for phase in bounds.phases] == ["detection", "promotion", "writable"]
    assert bounds.phases[0].expected_s == pytest.approx(0.625)
    assert bounds.phases[0].moved_by == "failures (3) x check_interval_s (0.25)"


@pytest.mark.parametrize("change", ["power_loss", "pause", "partition", "site_loss"])
def test_where_nobody_answers_every_probe_takes_its_timeout(change: str) -> None:
    """A timeout longer than the interval holds up the next probe; a shorter one does not."""
    assert detection(Controller(0.25, 0.5, 3).bounds(change)) == (1.45, 1.8)
    assert detection(Controller(1.0, 0.5, 3).bounds(change)) == (2.45, 3.55)


def test_an_address_that_is_gone_may_be_refused_or_silent() -> None:
    """From the quickest of the one to the slowest of the other."""
    assert detection(Controller(0.25, 0.5, 3).bounds("vanish")) == (0.45, 1.8)


def test_an_operator_thinks_after_the_first_bad_probe() -> None:
    """However many fail until then."""
    assert detection(Manual(after_s=5).bounds("crash")) == (4.95, 5.3)
    assert detection(Manual(after_s=5).bounds("power_loss")) == (5.45, 5.8)


def test_fencing_is_a_phase_and_promises_nothing_where_it_cannot_be_done() -> None:
    """Without power there is no management port; who is dead or paused cannot be told to be read-only."""
    for fence in ("stop", "cut_clients"):
        fenced = Controller(fence=fence)
        assert list(spans(fenced.bounds("pause"))) == ["detection", "fencing", "promotion", "writable"]
        assert fenced.bounds("power_loss") is None
    read_only = Controller(fence="read_only")
    assert read_only.bounds("crash") is None and read_only.bounds("pause") is None
    assert list(spans(read_only.bounds("partition"))) == ["detection", "fencing", "promotion", "writable"]


def test_in_sync_the_new_primary_waits_for_a_standby() -> None:
    """Which the arm tells: it asks a copy of its own (lab.scenario), so one value may stand in two kinds of arms."""
    controller = Controller()
    controller.check_beside([Postgres(), controller], [])
    alone = spans(controller.bounds("crash"))["writable"]
    synced = Controller()
    synced.check_beside([SYNC, synced], [])
    assert spans(synced.bounds("crash"))["writable"][1] > alone[1]


@pytest.mark.parametrize("system", [Controller(), Manual()])
def test_every_change_of_the_primary_has_phases(system: System) -> None:
    """Up to writable; what changes no primary promises nothing."""
    for change in CHANGES:
        bounds = system.bounds(change)
        assert bounds is not None and bounds.phases[-1].name == "writable", change
        for phase in bounds.phases:
            assert 0 <= phase.low_s <= phase.expected_s <= phase.high_s, (change, phase)
    assert system.bounds("replication_lag") is None
    assert system.bounds("crash_manager") is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Controller(check_interval_s=0), ["check_interval_s=0", "at least"]),
        (lambda: Controller(failures=0), ["failures=0", "at least 1"]),
        (lambda: Controller(promote="best"), ["promote='best'", "most_advanced, first"]),
        (lambda: Controller(fence="shoot"), ["fence='shoot'", "none, stop, cut_clients, read_only"]),
        (lambda: Manual(after_s=-1), ["after_s=-1", "at least 0"]),
        (lambda: PrimaryRegistrar(ttl_s=0.5), ["ttl_s=0.5", "whole seconds"]),  # type: ignore[arg-type]
        (lambda: PrimaryRegistrar(publish=("etcd",)), ["publish=('etcd',)", '("dns", "zookeeper")']),
        (lambda: PrimaryRegistrar(publish=()), ["publish=()"]),
        (lambda: PrimaryRegistrar(failures=0), ["failures=0", "at least 1"]),
    ],
)
def test_nonsense_is_refused_with_field_and_mend(make: Callable[[], object], words: list[str]) -> None:
    """One sentence that names the field, its value and what would do."""
    with pytest.raises(BadInput) as refused:
        make()
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("systems", "words"),
    [
        ([Controller()], "add Postgres"),
        ([Manual()], "add Postgres"),
        ([Postgres(), Controller(), Patroni()], "both promote standbys"),
        ([Postgres(), Manual(), Controller()], "both promote standbys"),
        ([PrimaryRegistrar()], "add Postgres"),
        ([PrimaryRegistrar(), Postgres(), ZooKeeper()], "name it after postgres"),
        ([Postgres(), PrimaryRegistrar()], "add ZooKeeper"),
    ],
)
def test_an_arm_must_have_what_they_need(systems: list[Any], words: str) -> None:
    """Said before anything is started."""
    with pytest.raises(BadInput, match=words):
        for system in systems:
            system.check_beside(systems, [])


def test_publishing_by_dns_brings_nameservers_and_by_znode_does_not() -> None:
    """Both need the registrar; the nameservers' file is the one of discovery by DNS."""
    both = PrimaryRegistrar()
    assert [node for node, _ in both.nodes] == ["ns1", "ns2", "resolver", "registrar"]
    assert set(both.compose_files) & set(Dns.compose_files) == {"nameservers.yaml"}
    znode = PrimaryRegistrar(publish=("zookeeper",))
    assert (znode.nodes, znode.compose_files) == ((("registrar", "registrar"),), ("primary.yaml",))
    assert (both.beat_s, znode.beat_s) == (2.0, 0.0)
    assert znode.beat(FakeStack()) is None


def test_the_registrars_secret_is_its_own_and_never_shown() -> None:
    """As with Dns."""
    one, other = PrimaryRegistrar(), PrimaryRegistrar()
    assert one == other and one.tsig_secret != other.tsig_secret
    assert one.tsig_secret not in repr(one) + str(one.settings)


def answering(**told: Any) -> Callable[..., dict[str, Any]]:
    """A node whose server says this on its control socket, and whose DNS, where it has one, says `answers`."""

    def answer(op: str, **arguments: Any) -> dict[str, Any]:
        if arguments.get("probe") == "dns":
            return {"reached": True, "rcode": "NOERROR", "answers": told["answers"], "ttl": 2}
        return {"reached": True, "answer": {"ok": True, **told}}

    return answer


def controller_stack(**told: Any) -> FakeStack:
    well = {
        "doing": "watching",
        "primary": "postgres1",
        "connected": ["postgres1", "postgres2"],
        "next_probe_ns": 5 * S,
        "interval_s": 0.25,
    }
    servers = [FakeNode(f"postgres{n}", "postgres", answering(state="standby")) for n in (1, 2)]
    return FakeStack(*servers, FakeNode("controller", "controller", answering(**well | told)))


def test_the_controller_is_ready_when_it_watches_with_every_session_open() -> None:
    """A failover must not wait for connections."""
    assert Controller().lacking(controller_stack()) == []
    assert Manual().lacking(controller_stack(doing="idle")) == ["controller: it is idle, with postgres1 as the primary"]
    lacks = Controller().lacking(controller_stack(connected=["postgres1"]))
    assert lacks == ["controller: it has no session with postgres2 yet"]


def test_strikes_race_against_the_probes() -> None:
    """The beat is the next probe's start."""
    beat = Controller().beat(controller_stack())
    assert beat is not None and (beat.name, beat.period_s, beat.at_ns) == ("probe", 0.25, 5 * S)


def registrar_stack(published: dict[str, str | None], resolver: str = "10.0.0.1") -> FakeStack:
    nodes = [
        FakeNode("postgres1", "postgres", answering(state="primary")),
        FakeNode("postgres2", "postgres", answering(state="standby")),
        FakeNode("registrar", "registrar", answering(published=published)),
        *(FakeNode(name, "nameserver", answering(answers=["10.0.0.1"])) for name in ("ns1", "ns2")),
        FakeNode("resolver", "resolver", answering(answers=[resolver])),
    ]
    nodes[1].address = "10.0.0.2"
    return FakeStack(*nodes)


def test_the_registrar_is_ready_when_everybody_names_the_primary() -> None:
    """It itself, in every place, and the caches of the trial before."""
    registrar, right = PrimaryRegistrar(), {"ns1": "postgres1", "ns2": "postgres1", "zookeeper": "postgres1"}
    assert registrar.lacking(registrar_stack(dict(right))) == []
    assert registrar.lacking(registrar_stack(right | {"zookeeper": None})) == [
        "registrar: postgres1 is the primary, but zookeeper says nothing"
    ]
    assert registrar.lacking(registrar_stack(dict(right), resolver="10.0.0.2")) == [
        "resolver: primary.lab.test is ['10.0.0.2'], not postgres1"
    ]
