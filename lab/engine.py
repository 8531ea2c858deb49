"""Carries a plan out on containers and only records: which stack is up, which trial is next, what is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from lab.errors import EngineLost, LabError
from lab.plan import Plan, Trial
from lab.protocols import Cluster, Progress, Stack
from lab.scenario import Arm
from lab.trial import TrialRun

SIDE_BY_SIDE_PODS = 40
"""Arms stay up beside each other while they have no more pods than this together."""

Judge = Callable[[Trial, Path], str]
"""Is told of each finished trial and its folder; answers "yes" when it is valid, else "unknown"."""


class Folder(Protocol):
    """Where a run puts things."""

    def trial(self, number: int, arm: str) -> Path: ...
    def stack(self, arm: str) -> Path: ...


def run(
    plan: Plan,
    folder: Folder,
    *,
    cluster: Cluster,
    judge: Judge,
    progress: Progress,
    stop: threading.Event,
    keep: bool = False,
) -> bool:
    """Carry out every trial of a plan in its order; unknown trials are replaced, at most max(1, repeats / 4) an arm.

    An ordinary function: no global state, signal handler or terminal. `stop` ends it early: heal, collect, no more
    trials. Returns whether every planned trial was carried out. Raises EngineLost when the engine is gone, NotReady
    when a stack does not come up; what is finished by then has been given to `judge`.
    """
    pods = sum(len(arm.nodes) for arm in plan.arms)
    stacks: dict[str, Stack] = {}
    spare = {arm.name: max(1, plan.repeats // 4) for arm in plan.arms}
    waiting = list(plan.trials)
    number = len(waiting)
    begun = 0
    with ExitStack() as cleaning:
        cleaning.callback(_take_down, cluster, stacks, folder, keep)
        while waiting and not stop.is_set():
            trial = waiting.pop(0)
            begun += 1
            progress(
                {
                    "what": "trial",
                    "number": begun,
                    "of": begun + len(waiting),
                    "arm": trial.arm,
                    "repeat": trial.repeat,
                }
            )
            if pods > SIDE_BY_SIDE_PODS:
                _take_down(
                    cluster, {name: stacks.pop(name) for name in list(stacks) if name != trial.arm}, folder, False
                )
            arm = plan.arm(trial.arm)
            names = [trial.arm] if pods > SIDE_BY_SIDE_PODS else [other.name for other in plan.arms]
            for name in names:
                if name not in stacks:
                    stacks[name] = _up(cluster, plan, plan.arm(name), progress)
            at = folder.trial(trial.number, trial.arm)
            fit = TrialRun(plan, trial, arm, stacks[trial.arm], cluster, at, progress, stop).carry_out()
            valid = judge(trial, at)
            if valid != "yes" and spare[trial.arm] and not stop.is_set():
                spare[trial.arm] -= 1
                number += 1
                waiting.append(trial.replacement(number))
                progress({"what": "note", "text": f"trial {trial.number} is unknown and is replaced by trial {number}"})
            if not fit and waiting and not stop.is_set():
                # A stack that did not become right again is rebuilt, so that no trial inherits another's trouble.
                progress({"what": "note", "text": f"{trial.arm} did not settle: its stack is rebuilt"})
                _take_down(cluster, {trial.arm: stacks.pop(trial.arm)}, folder, False)
        return not waiting


def _up(cluster: Cluster, plan: Plan, arm: Arm, progress: Progress) -> Stack:
    progress({"what": "up", "arm": arm.name, "pods": len(arm.nodes), "limit_s": 60.0})
    environment = {**arm.environment, **plan.scenario.load.environment, "LAB_SEED": plan.seed}
    return cluster.up(arm.name, [*arm.compose_files, *plan.scenario.load.compose_files], environment)


def _take_down(cluster: Cluster, stacks: dict[str, Stack], folder: Folder, keep: bool) -> None:
    for name, stack in stacks.items():
        with suppress(LabError):  # logs are a courtesy; their loss must not hide why we are here
            cluster.logs(stack, folder.stack(name))
        if keep:
            cluster.keep(stack)
        else:
            with suppress(EngineLost):  # the janitor, or `lab clean`, sweeps once the engine answers
                cluster.down(stack)
