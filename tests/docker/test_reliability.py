"""Whatever happens to the lab, nothing of a run is left behind and nothing finished is lost."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from lab.wait import wait_until
from tests.docker.processes import LabProcess, left_of

pytestmark = pytest.mark.docker

SCENARIO = '''"""A small run that does everything once: crash, heal, report."""

from lab import Arm, HttpClients, Scenario, Strike, bound, some, worst
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.systems import Scripted, Service

scenario = Scenario(
    arms=[Arm("scripted", Service(instances=3), Scripted(delays_s=(1.0, 2.0)))],
    load=HttpClients(count=6, rate_per_s=60),
    strikes=[Strike(Crash(), target=some("backend", 1))],
    objectives=[worst(dead_but_listed_s) <= bound()],
    repeats=3,
)
'''


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A scenario of a few seconds a trial, in an empty folder."""
    path = tmp_path / "small.py"
    path.write_text(SCENARIO)
    return path


def gone(lab: LabProcess, within_s: float = 10.0) -> None:
    """Nothing that carries the run's label is left, within so many seconds."""
    wait_until(lambda: not left_of(lab), timeout_s=within_s, every_s=0.2, message=lambda: f"left: {left_of(lab)}")


@pytest.mark.parametrize("moment", ["starting", "baseline", "strike", "settle"])
def test_kill_9_leaves_nothing_within_10_s(script: Path, moment: str) -> None:
    """SIGKILL of the lab at any moment: no container, network or volume of the run is left 10 s later."""
    with LabProcess("run", str(script), "--seed", "7", cwd=script.parent) as lab:
        lab.says(rf"\b({moment})\b")
        if moment == "starting":  # while compose still creates
            wait_until(lambda: left_of(lab), timeout_s=30, every_s=0.02)
        lab.signal(signal.SIGKILL)
        lab.ends(5)
        gone(lab)


def test_ctrl_c_once_heals_collects_and_reports_what_there_is(script: Path) -> None:
    """One Ctrl-C: exit 2, a report that says it is partial, its raw history on disk, nothing left behind."""
    with LabProcess("run", str(script), "--seed", "7", "--out", "out", cwd=script.parent) as lab:
        lab.says(r"trial 2/3")
        lab.says(r"trial 2/3.*(strike|hold)|hold.*trial 2/3")
        lab.signal(signal.SIGINT)
        assert lab.ends(60) == 2, lab.text
    result = json.loads((script.parent / "out" / "result.json").read_text())
    assert result["partial"] and result["trials"][0]["trial"] == 1
    assert (script.parent / "out" / "report.html").stat().st_size > 10_000
    assert "Traceback" not in lab.text
    gone(lab)


def test_ctrl_c_twice_stops_hard_and_the_janitor_cleans(script: Path) -> None:
    """Two Ctrl-C: the lab ends at once, and 10 s later nothing is left."""
    with LabProcess("run", str(script), "--seed", "7", cwd=script.parent) as lab:
        lab.says(r"baseline")
        lab.signal(signal.SIGINT)
        lab.signal(signal.SIGINT)
        lab.ends(10)
        assert "Traceback" not in lab.text
    gone(lab)


def test_a_second_lab_waits_for_the_first(script: Path) -> None:
    """Two labs on one engine: the second says for whom it waits, and both come to a result."""
    with (
        LabProcess("run", str(script), "--seed", "7", "--repeats", "1", "--out", "one", cwd=script.parent) as first,
    ):
        first.says(r"baseline")
        with LabProcess(
            "run", str(script), "--seed", "8", "--repeats", "1", "--out", "two", cwd=script.parent
        ) as second:
            second.says(r"wait")
            # 2 where a busy machine blinded one of them: what counts here is that both came to an end in turn.
            assert first.ends() in (0, 2), first.text
            assert second.ends() in (0, 2), second.text
            for name in ("one", "two"):
                assert json.loads((script.parent / name / "result.json").read_text())["trials"]
    gone(first)
    gone(second)


def test_a_second_lab_with_share_runs_beside_the_first_and_says_so(script: Path) -> None:
    """With --share the second takes a subnet of its own, and its report says that it shared the engine."""
    with LabProcess("run", str(script), "--seed", "7", "--out", "one", cwd=script.parent) as first:
        first.says(r"baseline")
        arguments = ("run", str(script), "--seed", "8", "--repeats", "1", "--share", "--out", "two")
        with LabProcess(*arguments, cwd=script.parent) as second:
            assert second.ends() in (0, 2), second.text
            assert first.ends() in (0, 2), first.text
    result = json.loads((script.parent / "two" / "result.json").read_text())
    assert any("share" in note for note in result["notes"])
    gone(first)
    gone(second)
