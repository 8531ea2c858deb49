"""One trial, as far as it can be looked at without containers: what it waits for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

from lab import Strike, named
from lab.faults import Restart
from lab.plan import make_plan
from lab.protocols import Beat, Injection
from lab.strike import _phase
from lab.trial import TrialRun
from tests.stand_in import scenario


def test_a_name_server_that_was_restarted_is_no_instance(tmp_path: Path) -> None:
    """A hold waits for views that are right; no view will ever list a name server."""
    plan = make_plan(scenario(strikes=[Strike(Restart(), target=named("ns1"))]), 7)
    trial, nothing = plan.trials[0], cast(Any, None)
    arm = plan.arm(trial.arm)
    run = TrialRun(plan, trial, arm, nothing, nothing, tmp_path, lambda _: None, threading.Event())
    run.effective.update(trial.strikes)
    assert run._while_struck == frozenset(arm.alive_at_start)
    run.log.close()


def test_a_beat_that_nobody_sees_has_no_achieved_phase() -> None:
    """Strikes are spread over it all the same; but that a phase was covered, nobody can say."""
    injection = Injection("backend1", 3_200_000_000, 3_300_000_000)
    assert _phase(Beat("ttl", 5.0, 2_000_000_000), injection, 0.25)["achieved"] == 0.25
    assert _phase(Beat("heartbeat", 5.0, 2_000_000_000, seen=False), injection, 0.25)["achieved"] is None
