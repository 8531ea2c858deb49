"""A run at a terminal: seed and reproduce line, Ctrl-C, live progress, the result and its exit code."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.commands import plan_of, show
from lab.errors import BadInput, LabError
from lab.plan import Plan
from lab.protocols import Fields

STOPPED = 2


def run_scenario(
    scenario: str,
    *,
    arms: Sequence[str] | None,
    repeats: int | None,
    seed: str | None,
    sets: Sequence[str],
    out: Path | None,
    keep: bool,
    share: bool,
) -> int:
    """Plan a scenario and carry it out; the exit code. Raises LabError."""
    plan = plan_of(scenario, arms=arms, repeats=repeats, seed=seed, sets=sets)
    words = ["lab", "run", plan.source if plan.source == plan.name else scenario]
    words += ["--arm", ",".join(arms)] if arms else []
    words += ["--repeats", str(plan.repeats), "--seed", plan.seed]
    words += [word for name, value in plan.sets.items() for word in ("--set", f"{name}={value}")]
    return _carry_out(plan, shlex.join(words), out=out, keep=keep, share=share)


def run_plan(file: Path, *, out: Path | None, keep: bool, share: bool) -> int:
    """Carry out a plan that `lab plan --json` or a run wrote; the exit code. Raises LabError."""
    import orjson

    try:
        data = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"is not a plan ({error})", f"--plan {file}") from error
    if not isinstance(data, dict):
        raise BadInput("is not a plan (not a JSON object)", f"--plan {file}")
    try:
        plan = Plan.from_json(data, runnable=True)
    except BadInput as error:
        raise error.at(f"--plan {file}") from None
    return _carry_out(plan, shlex.join(["lab", "run", "--plan", str(file)]), out=out, keep=keep, share=share)


def _carry_out(plan: Plan, reproduce: str, *, out: Path | None, keep: bool, share: bool) -> int:
    from lab.cluster import DockerCluster
    from lab.report import html, terminal
    from lab.report.progress import progress
    from lab.running import conduct
    from lab.store import RunFolder

    stop = threading.Event()
    with _hearing(stop):
        print(f"{plan.name}  seed {plan.seed}  {', '.join(arm.name for arm in plan.arms)}", file=sys.stderr)
        print(f"again  {reproduce}", file=sys.stderr, flush=True)
        with progress() as tell, DockerCluster(progress=tell, share=share, stop=stop) as cluster:
            folder = RunFolder.create(plan.name, plan.seed, out=out)
            try:
                result = conduct(
                    plan,
                    folder,
                    cluster=cluster,
                    progress=tell,
                    stop=stop,
                    page=html.render,
                    text=terminal.text,
                    keep=keep,
                    reproduce=reproduce,
                    notes=_notes(cluster.versions),
                )
            except LabError:
                if folder.report.exists():
                    tell({"what": "note", "text": f"the finished trials are reported in {folder.report}"})
                raise
    show(result, folder)
    if keep:
        print("kept    lab shell NODE, lab logs NODE; lab clean removes it")
    return STOPPED if stop.is_set() else result.exit_code


def _notes(versions: Fields) -> list[str]:
    """What the report must say of the machine."""
    if not versions.get("shared"):
        return []
    beside = versions.get("beside")
    return [f"Measured with --share, beside {beside}." if beside else "Measured with --share; no other run was there."]


@contextmanager
def _hearing(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once sets `stop`: heal, collect, report. Twice ends this process; its janitor cleans up."""

    def hear(*_: object) -> None:
        if stop.is_set():
            os.write(2, b"\x1b[?25h\nlab: stopped hard; the janitor removes what is left\n")
            os._exit(STOPPED)
        os.write(2, b"\nlab: stopping: healing and collecting first (again to stop hard)\n")
        # Not from here: the interrupted thread may hold the event's own lock.
        threading.Thread(target=stop.set, daemon=True).start()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
