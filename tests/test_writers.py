"""The load of writes and the routes that it goes by: what is refused, what is told, and what is promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lab.errors import BadInput
from lab.protocols import Bounds, ClientRoute, Fields, Load, Phase, System
from lab.routes import ByDns, ByHaProxy, ByZooKeeper, MultiHost, connections
from lab.writers import SqlWriters


@dataclass
class Beside:
    """A system as far as a route looks at it."""

    name: str
    settings: Fields = field(default_factory=dict)
    low_s: float | None = None
    fails_over: bool = True

    def bounds(self, change: str) -> Bounds | None:
        return None if self.low_s is None else Bounds((Phase("detection", self.low_s, self.low_s + 1),))


REGISTRAR = Beside(
    "primary_registrar",
    {"check_interval_s": 0.25, "check_timeout_s": 0.5, "ttl_s": 2, "publish": ["dns", "zookeeper"]},
)
PROXY = Beside("haproxy", {"fast_interval_s": 0.2, "rise": 2})


def beside(*systems: Beside) -> list[System]:
    return cast(list[System], list(systems))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SqlWriters(pool=0), "SqlWriters: pool=0 must be a whole number, 1 to 1000"),
        (lambda: SqlWriters(rate_per_s=0), "SqlWriters: rate_per_s=0 must be above 0"),
        (lambda: SqlWriters(read_every_s=-1), "SqlWriters: read_every_s=-1 must be above 0"),
        (lambda: SqlWriters(retry_pause_s=0), "SqlWriters: retry_pause_s=0 must be at least 0.001"),
        (lambda: MultiHost(connect_timeout_s=1), "MultiHost: connect_timeout_s=1 must be whole seconds, at least 2"),
        (lambda: ByDns(connect_timeout_s=cast(int, 2.5)), "ByDns: connect_timeout_s=2.5 must be whole seconds"),
        (lambda: ByDns(connect_timeout_s=cast(int, float("inf"))), "ByDns: connect_timeout_s=inf must be whole"),
        (lambda: ByDns(connect_timeout_s=cast(int, "2")), "ByDns: connect_timeout_s='2' must be whole seconds"),
        (lambda: MultiHost(hold=cast(Any, "loose")), "MultiHost: hold='loose' must be one of pooled, reconnecting"),
        (lambda: MultiHost(on_deadline=cast(Any, "hope")), "must be one of close, cancel, wait"),
        (lambda: ByHaProxy(acknowledge=cast(Any, "never")), "must be one of commit, statement"),
        (lambda: MultiHost(deadline_s=0), "MultiHost: deadline_s=0 must be above 0"),
        (lambda: MultiHost(retries=-1), "MultiHost: retries=-1 must be a whole number, 0 to 1000"),
        (lambda: MultiHost(name="a@b"), "MultiHost: name='a@b' must be letters, digits, spaces between"),
    ],
)
def test_nonsense_is_one_sentence(make: Callable[[], object], says: str) -> None:
    """Owner, field, value, and what it should be."""
    with pytest.raises(BadInput) as raised:
        make()
    assert says in str(raised.value)


def test_they_have_the_shapes_that_the_spine_knows() -> None:
    """mypy compares members; the settings are those of the `begin` command."""
    load: Load = SqlWriters(rate_per_s=100, pool=8)
    assert (load.count, load.rate_per_s, load.nodes, load.compose_files) == (
        8,
        100,
        (("clients", "clients"),),
        ("writers.yaml",),
    )
    assert load.settings == {"rate_per_s": 100, "pool": 8, "read_every_s": 0.2, "retry_pause_s": 0.02}
    routes: list[ClientRoute] = [MultiHost(), ByDns(), ByZooKeeper(), ByHaProxy()]
    assert [route.kind for route in routes] == ["multi_host", "dns", "zookeeper", "haproxy"]
    assert MultiHost(deadline_s=2).settings["deadline_s"] == 2 and connections(16) == 17


def test_a_label_tells_a_reconnecting_route_from_a_pooled_one() -> None:
    """Unless it has been given a name."""
    assert [MultiHost().label, MultiHost(hold="reconnecting").label, MultiHost("mine", hold="reconnecting").label] == [
        "multi_host",
        "multi_host reconnecting",
        "mine",
    ]


def test_a_route_needs_what_it_goes_through() -> None:
    """A registrar that publishes to the right place, or a proxy; the sentence says what to add."""
    lacking: list[tuple[ClientRoute, str]] = [
        (ByDns(), 'ByDns: the arm has no primary_registrar; add PrimaryRegistrar(publish=("dns",))'),
        (ByHaProxy(), "ByHaProxy: the arm has no haproxy; add HaProxy(), which needs Patroni(...)"),
    ]
    for route, says in lacking:
        with pytest.raises(BadInput) as raised:
            route.check_beside(beside(Beside("postgres")))
        assert str(raised.value) == says
    with pytest.raises(BadInput, match="does not publish to 'zookeeper'"):
        ByZooKeeper().check_beside(beside(Beside("primary_registrar", {"publish": ["dns"]})))
    MultiHost().check_beside(beside())
    for fine in (ByDns(), ByZooKeeper(), ByHaProxy()):
        fine.check_beside(beside(REGISTRAR, PROXY))


def spans(route: ClientRoute, change: str, *systems: Beside) -> dict[str, tuple[float, float]]:
    return {
        phase.name: (phase.low_s, pytest.approx(phase.high_s))  # type: ignore[misc]
        for phase in route.phases(change, beside(*systems)) or ()
    }


def test_what_refuses_at_once_costs_a_pause_and_a_connection() -> None:
    """After a crash nothing is waited for but the news of it."""
    assert spans(MultiHost(), "crash") == {"client": (0, 0.1)}
    assert spans(ByZooKeeper(), "crash", REGISTRAR) == {
        "publication": (0, 0.77),
        "propagation": (0, 0.05),
        "client": (0, 0.1),
    }
    assert spans(ByDns(), "crash", REGISTRAR)["client"] == (0, 3.1)
    assert spans(ByHaProxy(), "crash", PROXY) == {"publication": (0, 0.5), "client": (0, 0.1)}


def test_silence_costs_the_rest_of_the_deadline_and_a_connection_that_nobody_answers() -> None:
    """Less of the deadline the longer the failover takes; tcp_user_timeout counts from a second on."""
    patient = MultiHost(deadline_s=1.0)
    assert spans(patient, "power_loss") == {"client": (0, 1.0 + 1.55 + 0.1)}
    assert spans(patient, "power_loss", Beside("controller", low_s=0.6)) == {"client": (0, 0.4 + 1.55 + 0.1)}
    assert spans(patient, "power_loss", Beside("controller", low_s=9)) == {"client": (0, 1.55 + 0.1)}
    assert spans(MultiHost(deadline_s=1.0, on_deadline="cancel"), "power_loss") == {"client": (0, 3.0 + 1.55 + 0.1)}
    assert spans(MultiHost(on_deadline="wait"), "power_loss") == {"client": (0, 2.5 + 1.55 + 0.1)}
    assert spans(MultiHost(tcp_user_timeout_s=0.3), "vanish") == {"client": (0, 1.05 + 0.1)}
    assert spans(MultiHost(tcp_user_timeout_s=5), "vanish") == {"client": (0, 2 + 0.1)}
    patient = MultiHost(hold="reconnecting", deadline_s=3)
    assert spans(patient, "power_loss") == {"client": (0, 1.55 + 0.1)}
    assert spans(patient, "pause") == {"client": (0, 2 + 0.1)}
    for change in ("power_loss", "pause"):  # every write goes past the silent host, and has no time for that
        assert MultiHost(hold="reconnecting").phases(change, beside()) is None


def test_the_setting_that_moves_it_is_named() -> None:
    """What a person would change first."""
    (client,) = MultiHost(deadline_s=5).phases("pause", beside()) or ()
    assert client.moved_by == "deadline_s (5)"
    (client,) = MultiHost().phases("power_loss", beside(Beside("patroni", low_s=13))) or ()
    assert client.moved_by == "tcp_user_timeout_s (1.5)"
    (client,) = MultiHost(tcp_user_timeout_s=5).phases("pause", beside(Beside("patroni", low_s=13))) or ()
    assert client.moved_by == "connect_timeout_s (2)"
    assert ByDns().phases("crash", beside(REGISTRAR))[-1].moved_by == "ttl_s (2)"
