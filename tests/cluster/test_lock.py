"""One run measures at a time on an engine."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from lab.cluster.lock import hold_engine, hold_run
from lab.errors import LabError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def quiet(_: dict[str, Any]) -> None: ...


def test_a_living_run_is_nobody_elses() -> None:
    """Its lock cannot be had until it lets go."""
    lock = hold_run("r1")
    assert lock is not None
    assert hold_run("r1") is None
    lock.close(remove=True)
    again = hold_run("r1")
    assert again is not None
    again.close()


def test_the_second_waits_and_says_for_whom() -> None:
    """It goes on as soon as the first lets go."""
    first = hold_engine("E:1", "r1", quiet, share=False)
    told: list[dict[str, Any]] = []
    waits = threading.Event()

    def tell(fields: dict[str, Any]) -> None:
        told.append(fields)
        waits.set()

    second = threading.Thread(target=lambda: hold_engine("E:1", "r2", tell, share=False).close())
    second.start()
    assert waits.wait(5)
    assert told[0]["what"] == "waiting"
    assert "run r1" in told[0]["text"]
    first.close()
    second.join(5)
    assert not second.is_alive()


def test_who_waits_can_be_stopped() -> None:
    """Ctrl-C while waiting ends the wait."""
    first = hold_engine("E:1", "r1", quiet, share=False)
    stop = threading.Event()
    stop.set()
    with pytest.raises(LabError, match="stopped while waiting"):
        hold_engine("E:1", "r2", quiet, share=False, stop=stop)
    first.close()


def test_sharing_does_not_wait_and_names_the_other() -> None:
    """It measures beside the first; a third that wants the engine for itself waits for both."""
    first = hold_engine("E:1", "r1", quiet, share=False)
    beside = hold_engine("E:1", "r2", quiet, share=True)
    assert "run r1" in beside.beside
    first.close()
    beside.close()
    alone = hold_engine("E:1", "r3", quiet, share=True)
    assert alone.beside == ""
    stop = threading.Event()
    stop.set()
    with pytest.raises(LabError):
        hold_engine("E:1", "r4", quiet, share=False, stop=stop)
    alone.close()


def test_engines_do_not_wait_for_each_other() -> None:
    """The lock belongs to the engine."""
    first, other = (hold_engine(engine, "r", quiet, share=False) for engine in ("E:1", "E:2"))
    first.close()
    other.close()
