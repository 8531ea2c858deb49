"""Conduct a run: the engine records, the judge judges, and the reports are written anew after every trial."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from lab.engine import run
from lab.errors import BadInput
from lab.history import History
from lab.judge import judge_trial, summarise
from lab.plan import Plan, Trial
from lab.protocols import Cluster, Fields, Progress
from lab.result import Result, TrialResult
from lab.store import RunFolder

Renderer = Callable[[Result], str]
"""Makes a page or a text of a result."""


def conduct(
    plan: Plan,
    folder: RunFolder,
    *,
    cluster: Cluster,
    progress: Progress,
    stop: threading.Event,
    page: Renderer,
    text: Renderer,
    keep: bool = False,
    reproduce: str = "",
    notes: list[str] | None = None,
) -> Result:
    """Carry out a plan and report it; what is finished is on disk after every trial, whatever happens next.

    Returns the result of all trials that were carried out; `partial` when `stop` came first. Raises LabError
    (EngineLost, NotReady, ...) with the finished trials already reported.
    """
    desk = _Desk(plan, folder, page, text, {"reproduce": reproduce, "notes": notes or []}, progress)
    folder.write_plan(plan.to_json())
    desk.run["versions"] = cluster.versions
    run(plan, folder, cluster=cluster, judge=desk.judge, progress=progress, stop=stop, keep=keep)
    return desk.latest or desk.report()


def rejudge(folder: RunFolder, *, page: Renderer, text: Renderer) -> Result:
    """Judge a recorded run again, from its raw history alone, and write its reports anew.

    Raises BadInput when the folder holds no trial or its history cannot be read.
    """
    plan = Plan.from_json(folder.plan())
    trials = folder.trials()
    if not trials:
        raise BadInput("holds no recorded trial; nothing can be judged", str(folder.path))
    run_facts: Fields = {"versions": folder.versions(), "reproduce": "", "notes": []}
    try:
        old = folder.result()
        run_facts |= {"reproduce": old.reproduce, "notes": old.notes}
    except (BadInput, OSError):
        pass  # a run that was killed before its first report is judged all the same
    results = [judge_trial(folder.history(trial)) for trial in trials]
    result = summarise(plan, results, run_facts)
    _write(folder, result, page, text)
    return result


class _Desk:
    """Judges each trial as it ends, and keeps the reports of the run up to date."""

    def __init__(
        self, plan: Plan, folder: RunFolder, page: Renderer, text: Renderer, run_facts: Fields, progress: Progress
    ) -> None:
        self.plan, self.folder, self.page, self.text = plan, folder, page, text
        self.run, self.progress = run_facts, progress
        self.trials: list[TrialResult] = []
        self.latest: Result | None = None
        """What the last report said; None before the first trial was judged."""

    def judge(self, trial: Trial, at: Path) -> str:
        """Judge one trial from its folder; "yes" when it is valid, else "unknown"."""
        result = judge_trial(History.read(at.glob("*.jsonl")))
        self.trials.append(result)
        self.report()
        self.progress(
            {
                "what": "judged",
                "trial": trial.number,
                "arm": trial.arm,
                "valid": result.valid,
                "reasons": result.reasons,
            }
        )
        return result.valid

    def report(self) -> Result:
        """Everything that is known by now, on disk."""
        self.latest = result = summarise(self.plan, self.trials, self.run)
        self.folder.write_versions(self.run["versions"])  # images are named as stacks come up
        _write(self.folder, result, self.page, self.text)
        return result


def _write(folder: RunFolder, result: Result, page: Renderer, text: Renderer) -> None:
    folder.write_result(result)
    folder.write_terminal(text(result))
    folder.write_report(page(result))
