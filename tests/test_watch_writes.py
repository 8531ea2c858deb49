"""What a trial about writes waits for, on made-up servers and writers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.history import History
from lab.plan import make_plan
from lab.stage import Stage
from lab.watch_writes import STREAK, WritesWatch
from tests.stand_in_writes import Database, scenario

S = 1_000_000_000


@dataclass
class Pod:
    """A node whose agent answers what it was given, the last answer again and again."""

    name: str
    answers: dict[str, list[Any]] = field(default_factory=dict)

    def tell(self, op: str, *, probe: str, **_: Any) -> dict[str, Any]:
        assert op == "ask"
        given = self.answers[probe]
        answer: dict[str, Any] = given.pop(0) if len(given) > 1 else given[0]
        return answer


class Clock:
    """0.1 s later at every look."""

    def __init__(self) -> None:
        self.at = 0

    def now_ns(self) -> int:
        self.at += S // 10
        return self.at


def told(**routes: tuple[int, int]) -> dict[str, Any]:
    """A status of the writers: route -> (streak, since_ns)."""
    shown = {name: {"streak": streak, "since_ns": since_ns} for name, (streak, since_ns) in routes.items()}
    return {"reached": True, "answer": {"ok": True, "routes": shown}}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The first trial of a plan; nobody waits for real."""
    plan = make_plan(scenario(), 7)
    nodes = {name: Pod(name) for name in ("postgres1", "postgres2", "postgres3", "clients")}
    roles = {"postgres": list(nodes.values())[:3], "clients": [nodes["clients"]]}
    stack = SimpleNamespace(nodes=nodes, role=roles.__getitem__)
    stop = threading.Event()
    stop.wait = cast(Any, lambda _: False)  # type: ignore[method-assign]  # a test has no time
    made = Stage(
        plan, plan.trials[0], plan.arms[0], cast(Any, stack), cast(Any, Clock()), tmp_path, lambda _: None, stop
    )
    yield made
    made.log.close()


def test_a_hold_waits_for_the_promised_failover(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the one that was struck still leads, or nobody does, writes that go on prove nothing."""
    leaders = iter(["postgres1", "postgres1", None, "postgres1", "postgres2"])
    monkeypatch.setattr(Database, "leader", lambda *_: next(leaders))
    watch, planned = WritesWatch(stage), stage.trial.strikes[0]
    assert not watch._failover_is_due()  # nothing has happened yet
    assert stage.target(planned) == "postgres1"
    stage.effective.add(planned)
    assert [watch._failover_is_due() for _ in range(4)] == [True, True, True, False]


def test_every_route_must_be_right_for_a_while(stage: Stage) -> None:
    """Ten in a row are not enough when they have just begun; an old streak counts from the failover on only."""
    pod = cast(Pod, stage.stack.nodes["clients"])
    pod.answers["control"] = [
        told(straight=(STREAK - 1, 0), slow=(50, 0)),
        told(straight=(STREAK, S // 5), slow=(60, 0)),
        told(straight=(STREAK + 9, S // 5), slow=(70, 0)),
    ]
    assert WritesWatch(stage)._until_right(S // 2, limit_s=60, name="hold", for_s=1.0)
    assert stage.cluster.now_ns() >= 1.5 * S


def test_a_route_that_never_comes_back_ends_at_the_limit(stage: Stage) -> None:
    """It is told which."""
    pod = cast(Pod, stage.stack.nodes["clients"])
    pod.answers["control"] = [told(straight=(0, 0), slow=(90, 0))]
    heard: list[Any] = []
    stage.progress = heard.append
    assert not WritesWatch(stage)._until_right(0, limit_s=2, name="hold", for_s=1.0)
    assert heard[-1]["detail"] == "waiting for straight"


def test_rows_are_read_from_every_server_and_a_silent_one_is_named(stage: Stage, tmp_path: Path) -> None:
    """What nobody could read is known not to be known."""
    rows = {"reached": True, "count": 3, "ranges": {"straight": [[1, 3]]}, "repeated": {}, "ok": True, "t_ns": 5}
    for number in (1, 2, 3):
        answer = rows if number > 1 else {"reached": False, "why": "refused", "ok": True}
        cast(Pod, stage.stack.nodes[f"postgres{number}"]).answers["rows"] = [answer]
    WritesWatch(stage).before_heal()
    stage.log.close()
    events = list(History.read([*tmp_path.iterdir()]).of("rows"))
    assert [(e.fields["node"], e.fields["when"], e.fields["reached"]) for e in events] == [
        ("postgres1", "before_heal", False),
        ("postgres2", "before_heal", True),
        ("postgres3", "before_heal", True),
    ]
    assert events[1].fields["ranges"] == {"straight": [[1, 3]]}
