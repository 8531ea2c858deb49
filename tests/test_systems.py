"""What the systems under test promise, and what they refuse; all from settings, without an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.clock import S
from lab.errors import BadInput, NodeLost
from lab.protocols import Bounds, System
from lab.systems import Dns, Service, ZooKeeper

FAULTS = ("crash", "power_loss", "pause", "vanish", "graceful_stop", "restart", "start", "return")


def spans(bounds: Bounds | None) -> dict[str, tuple[float, float]]:
    assert bounds is not None
    return {phase.name: (round(phase.low_s, 6), round(phase.high_s, 6)) for phase in bounds.phases}


def test_dns_crash_is_checks_then_update_notify_and_caches() -> None:
    """failures x interval + timeout + publication + propagation + TTL + the client's second."""
    bounds = Dns(ttl_s=5, check_interval_s=1, check_timeout_s=0.3, failures_to_remove=2).bounds("crash")
    assert spans(bounds) == {
        "detection": (1.0, 2.3),
        "publication": (0.0, 0.01),
        "propagation": (0.0, 0.1),
        "client cache": (0.0, 6.0),
    }
    assert bounds is not None
    assert bounds.low_s == pytest.approx(1.0)
    assert bounds.high_s == pytest.approx(8.41)
    assert [phase.moved_by for phase in bounds.phases if phase.moved_by][-1] == "ttl_s (5)"


@pytest.mark.parametrize("change", ["power_loss", "pause"])
def test_dns_a_silent_instance_fails_every_check_by_timeout(change: str) -> None:
    """Where nothing answers, even the quickest detection waits a whole check_timeout_s."""
    assert spans(Dns().bounds(change))["detection"] == (1.3, 2.3)


def test_dns_notify_delay_is_in_the_propagation() -> None:
    """A second change within notify_delay_s waits for it at ns2."""
    assert spans(Dns(notify_delay_s=5).bounds("crash"))["propagation"] == (0.0, 5.1)


def test_dns_a_goodbye_needs_one_check() -> None:
    """`failures_to_remove` does not count for an instance that says that it drains."""
    assert spans(Dns(failures_to_remove=5).bounds("graceful_stop"))["detection"] == (0.0, 1.3)


def test_dns_a_return_needs_the_good_checks() -> None:
    """A start cannot be seen before so many checks; a return may never have been missing."""
    dns = Dns(successes_to_add=3)
    assert spans(dns.bounds("return"))["detection"] == (0.0, 3.3)
    assert spans(dns.bounds("start"))["detection"] == (2.0, 3.3)


def test_zookeeper_crash_is_the_session_less_a_heartbeat_plus_ticks() -> None:
    """[S - S/3, S + tick + tick/2]: it may come before the session's time has passed since the crash."""
    bounds = ZooKeeper(session_timeout_s=2, tick_s=0.5).bounds("crash")
    assert spans(bounds) == {"detection": (1.333333, 2.75), "propagation": (0.0, 0.05)}
    assert bounds is not None and bounds.phases[0].moved_by == "session_timeout_s (2)"


def test_zookeeper_a_goodbye_takes_a_tenth_of_a_second() -> None:
    """The instance deletes its own node."""
    bounds = ZooKeeper().bounds("graceful_stop")
    assert bounds is not None and bounds.high_s == pytest.approx(0.1)


@pytest.mark.parametrize("system", [Dns(), ZooKeeper()])
def test_a_registry_promises_something_for_every_change(system: System) -> None:
    """Every fault of this lab has a bound, each phase from low to high; what is unknown has none."""
    for change in FAULTS:
        bounds = system.bounds(change)
        assert bounds is not None, change
        assert all(0 <= phase.low_s <= phase.high_s for phase in bounds.phases), change
    assert system.bounds("earthquake") is None


def test_the_default_drain_outlasts_the_goodbye() -> None:
    """An instance serves until its last client must know, and the least allowance more."""
    for system in (Dns(), ZooKeeper()):
        goodbye = system.bounds("graceful_stop")
        assert goodbye is not None
        assert float(system.environment["LAB_DEFAULT_DRAIN_S"]) == pytest.approx(goodbye.high_s + 0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dns(ttl_s=-1), ["Dns", "ttl_s=-1", "whole seconds"]),
        (lambda: Dns(ttl_s=2.5), ["ttl_s=2.5", "whole seconds"]),  # type: ignore[arg-type]
        (lambda: Dns(notify_delay_s=0.5), ["notify_delay_s=0.5", "whole seconds"]),  # type: ignore[arg-type]
        (lambda: Dns(check_interval_s=0), ["check_interval_s=0", "above 0"]),
        (lambda: Dns(check_timeout_s=2), ["check_timeout_s=2", "check_interval_s=1", "lower check_timeout_s"]),
        (lambda: Dns(failures_to_remove=0), ["failures_to_remove=0", "at least 1"]),
        (
            lambda: ZooKeeper(session_timeout_s=2, tick_s=4),
            [
                "ZooKeeper: session_timeout_s=2 is outside 2..20 ticks (tick_s=4 grants 8 to 80 s); "
                "raise session_timeout_s or lower tick_s"
            ],
        ),
        (lambda: ZooKeeper(session_timeout_s=30), ["session_timeout_s=30", "lower session_timeout_s or raise tick_s"]),
        (lambda: ZooKeeper(servers=2), ["servers=2", "1, 3 or 5"]),
        (lambda: ZooKeeper(tick_s=0), ["tick_s=0", "at least"]),
        (lambda: Service(instances=0), ["Service", "instances=0"]),
        (lambda: Service(instances=4, spares=4), ["spares=4", "instances counts the spares too"]),
        (lambda: Service(drain_s=-1), ["drain_s=-1", "at least 0"]),
    ],
)
def test_nonsense_is_refused_with_field_and_mend(make: Callable[[], object], words: list[str]) -> None:
    """One sentence that names the owner, the field, its value and what would do."""
    with pytest.raises(BadInput) as refused:
        make()
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_settings_never_show_the_secret_and_values_compare_without_it() -> None:
    """Each value has its own TSIG secret; plans and reports of equal settings stay equal."""
    one, other = Dns(), Dns()
    assert one == other
    assert one.environment["LAB_TSIG_SECRET"] != other.environment["LAB_TSIG_SECRET"]
    assert one.tsig_secret not in repr(one) + str(one.settings)


def test_spares_are_the_last_instances() -> None:
    """They are nodes of the stack, but do not run when a trial begins."""
    service = Service(instances=6, spares=2)
    assert [node for node, _ in service.nodes][-1] == "backend6"
    assert service.spare_nodes == ("backend5", "backend6")
    assert service.environment["LAB_SPARES"] == "2"


class FakeNode:
    """A node whose agent answers what a test says."""

    def __init__(self, name: str, role: str, answers: Callable[..., dict[str, Any]]) -> None:
        self.name = name
        self.role = role
        self.address = "10.0.0.1"
        self.offers = frozenset({"signal"})
        self.answers = answers
        self.runs = True
        self.did: list[str] = []

    def tell(self, op: str, *, timeout_s: float = 5.0, **arguments: Any) -> dict[str, Any]:
        return self.answers(op, **arguments)

    def start_server(self) -> None:
        self.did.append("start_server")

    def start_host(self) -> None:
        self.did.append("start_host")

    def kill_host(self) -> None:
        self.did.append("kill_host")

    def server_running(self) -> bool:
        return self.runs


class FakeStack:
    """Nodes by name."""

    arm = "fake"

    def __init__(self, *nodes: FakeNode) -> None:
        self.nodes = {node.name: node for node in nodes}

    def role(self, role: str) -> list[FakeNode]:
        return [node for node in self.nodes.values() if node.role == role]


def healthy(op: str, **arguments: Any) -> dict[str, Any]:
    return {"reached": True, "status": 200}


def lost(op: str, **arguments: Any) -> dict[str, Any]:
    raise NodeLost("gone")


def dns_stack(registered: list[str], ns2: list[str], resolver: list[str]) -> tuple[FakeStack, list[str]]:
    """Two healthy instances; what registrar, ns2 and resolver name; and who was asked."""
    asked: list[str] = []

    def says(name: str, nodes: list[str], **more: Any) -> FakeNode:
        def answer(op: str, **arguments: Any) -> dict[str, Any]:
            asked.append(name)
            records = [f"0 100 8080 {node}.lab.test." for node in nodes]
            return {"reached": True, "rcode": "NOERROR", "aa": True, "answers": records, "ttl": 3, **more}

        return FakeNode(name, name, answer)

    return FakeStack(
        FakeNode("backend1", "backend", healthy),
        FakeNode("backend2", "backend", healthy),
        says("registrar", [], answer={"ok": True, "registered": registered}),
        says("ns1", registered),
        says("ns2", ns2),
        says("resolver", resolver),
    ), asked


def test_dns_is_ready_when_everyone_names_everyone() -> None:
    """Registrar, both nameservers and the resolver name exactly the instances that serve."""
    both = ["backend1", "backend2"]
    stack, _ = dns_stack(both, both, both)
    assert Dns().lacking(stack) == []


def test_dns_does_not_ask_the_resolver_before_its_sources_are_right() -> None:
    """An early question would put a wrong answer into its cache for a whole TTL."""
    both = ["backend1", "backend2"]
    stack, asked = dns_stack(both, ["backend1"], both)
    assert Dns().lacking(stack) == ["ns2: backend2 serves, but is not there yet"]
    assert "resolver" not in asked


def test_dns_beat_is_the_second_at_which_no_ttl_remains() -> None:
    """TTL 3 read at 1000.25 s of the wall clock: the entry ends at 1003 s, 2.75 s later on the monotonic clock."""

    def answer(op: str, **arguments: Any) -> dict[str, Any]:
        if op == "ping":
            return {"t_ns": 50 * S, "wall_ns": 1000 * S + S // 4}
        return {"reached": True, "ttl": 3, "t_ns": 50 * S + 1_000_000}

    beat = Dns(ttl_s=5).beat(FakeStack(FakeNode("resolver", "resolver", answer)))
    assert beat is not None
    assert (beat.period_s, beat.at_ns) == (5.0, 50 * S + 2 * S + 3 * S // 4)


def test_reset_brings_back_what_does_not_run() -> None:
    """A server that ended is started; a host that is gone is started with it; what runs is left alone."""
    ended, gone, runs = (FakeNode(f"backend{n}", "backend", healthy) for n in (1, 2, 3))
    ended.runs = gone.runs = False
    gone.answers = lost
    Service(instances=3).reset(FakeStack(ended, gone, runs))
    assert (ended.did, gone.did, runs.did) == (["start_server"], ["start_host"], [])


def test_lost_agents_are_something_lacking_not_an_error() -> None:
    """Readiness is asked again and again; a node that is not there yet is one sentence."""
    stack = FakeStack(FakeNode("backend1", "backend", lost))
    assert Service(instances=1).lacking(stack) == ["backend1: /health does not say 200 yet"]
