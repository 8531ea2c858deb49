"""One trial, as far as it can be looked at without containers: what it waits for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from lab import Arm, Strike, named, total
from lab.faults import Crash, Restart
from lab.history import History
from lab.measures import requests_lost
from lab.plan import make_plan
from lab.protocols import Beat, Injection
from lab.strike import _phase
from lab.trial import TrialRun
from lab.watch_views import ViewsWatch
from tests.stand_in import Backends, Names, scenario


@dataclass
class Server:
    """A node whose server runs, or does not."""

    runs: bool

    def tell(self, op: str) -> dict[str, object]:
        assert op == "processes"
        return {"processes": [{"pid": 7, "state": "S", "command": "server"}] if self.runs else []}


def trial_of(folder: Path, strike: Strike, fallen: tuple[str, ...] = (), spare: int = 0) -> TrialRun:
    """The first trial of a plan, on nodes of which some have fallen."""
    arms = [Arm("slow", Backends(spare=spare), Names())]
    plan = make_plan(scenario(arms=arms, strikes=[strike], objectives=[total(requests_lost) <= 0]), 7)
    stack = SimpleNamespace(nodes={name: Server(name not in fallen) for name, _ in arms[0].nodes})
    return TrialRun(
        plan, plan.trials[0], arms[0], cast(Any, stack), cast(Any, None), folder, lambda _: None, threading.Event()
    )


def test_a_name_server_that_was_restarted_is_no_instance(tmp_path: Path) -> None:
    """A hold waits for views that are right; no view will ever list a name server."""
    run = trial_of(tmp_path, Strike(Restart(), target=named("ns1")))
    run.stage.effective.update(run.trial.strikes)
    assert isinstance(run.watch, ViewsWatch)
    assert run.watch.while_struck == frozenset(run.arm.alive_at_start)
    run.log.close()


def test_a_server_that_fell_by_itself_spoils_the_trial(tmp_path: Path) -> None:
    """A dead resolver is not what a crashed backend costs; who was struck, or never ran, may be gone."""
    crash = Strike(Crash(), target=named("backend2"))
    run = trial_of(tmp_path, crash, fallen=("backend2", "backend8", "resolver"), spare=1)
    assert not run._all_stand()
    run.log.close()
    assert [event.fields["text"] for event in History.read([*tmp_path.iterdir()])] == [
        "the server of resolver is gone, though nothing struck it"
    ]
    whole = trial_of(tmp_path, crash, fallen=("backend2", "backend8"), spare=1)
    assert whole._all_stand()
    whole.log.close()


def test_a_beat_that_nobody_sees_has_no_achieved_phase() -> None:
    """Strikes are spread over it all the same; but that a phase was covered, nobody can say."""
    injection = Injection("backend1", 3_200_000_000, 3_300_000_000)
    assert _phase(Beat("ttl", 5.0, 2_000_000_000), injection, 0.25)["achieved"] == 0.25
    assert _phase(Beat("heartbeat", 5.0, 2_000_000_000, seen=False), injection, 0.25)["achieved"] is None
