"""Without an engine the lab says so, with the exact mend, and looks over the rest of the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.cluster import bringup, doctor
from lab.errors import EngineMissing


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine's address where nobody listens. Not a Unix socket's: the SDK leaves that open when it fails."""
    address = "tcp://127.0.0.1:9"
    monkeypatch.setenv("DOCKER_HOST", address)
    return address


@pytest.mark.parametrize("install", [False, True])
def test_no_engine_is_told_with_its_mend(nowhere: str, install: bool) -> None:
    """The address and the command that mends it; an engine that somebody chose is never replaced by another."""
    said: list[str] = []
    with pytest.raises(EngineMissing) as told:
        bringup.ensure_engine(said.append, install=install)
    assert nowhere in str(told.value)
    assert "lab doctor --fix" in str(told.value)
    assert said == []


def test_the_doctor_never_raises_for_what_it_finds(nowhere: str) -> None:
    """Every check has a name and a finding, and one that fails has a mend, also without an engine."""
    checks = doctor.checks()
    assert [check.name for check in checks] == ["engine", "compose", "images", "cores", "memory", "disk"]
    assert not checks[0].ok
    assert nowhere in checks[0].found
    assert all(check.found for check in checks)
    assert all(check.ok or check.mend for check in checks)


@pytest.mark.parametrize(
    ("said", "version"),
    [("v2.26.1\n", "2.26.1"), ("2.26.1-4\n", "2.26.1-4"), ("v5.0.0", "5.0.0"), ("1.29.2\n", None), ("", None)],
)
def test_compose_of_version_1_is_none(said: str, version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 and newer count."""

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 0, said, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert bringup.compose_version() == version


def test_a_pid_file_of_a_dead_daemon_is_removed_and_a_living_one_stays(tmp_path: Path) -> None:
    """A machine whose processes were killed must not be refused an engine because a number was given anew."""
    mine, dead = tmp_path / "mine.pid", tmp_path / "dead.pid"
    mine.write_text(f"{os.getpid()}\n")
    dead.write_text(f"{os.getpid()}\n")
    own = Path("/proc/self/comm").read_text().strip()
    bringup.forget_dead({mine: own, dead: "dockerd", tmp_path / "none.pid": "dockerd"})
    assert mine.exists() and not dead.exists()
