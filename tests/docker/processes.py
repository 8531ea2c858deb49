"""Runs the lab as a person would: as a process of its own, whose lines are read while it goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from lab.wait import wait_until


class LabProcess:
    """`lab ARGUMENTS` in a session of its own; use it with `with`."""

    def __init__(self, *arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab", *arguments],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        """Everything it has printed so far."""
        return "\n".join(self.lines)

    def says(self, pattern: str, timeout_s: float = 120.0) -> str:
        """Wait for a line that matches; fails with all that was said when it ends or takes too long."""

        def found() -> str | None:
            for line in list(self.lines):
                if re.search(pattern, line):
                    return line
            assert self.process.poll() is None or re.search(pattern, self.text), f"it ended without it:\n{self.text}"
            return None

        return wait_until(found, timeout_s=timeout_s, message=lambda: f"never said {pattern!r}:\n{self.text}")

    def ends(self, timeout_s: float = 120.0) -> int:
        """Wait for its end; returns the exit code."""
        wait_until(
            lambda: self.process.poll() is not None,
            timeout_s=timeout_s,
            every_s=0.05,
            message=lambda: f"still runs:\n{self.text}",
        )
        self._reader.join(5)
        return int(self.process.returncode)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the lab alone, not to its children."""
        self.process.send_signal(number)

    def __enter__(self) -> LabProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def left_of_runs(host: str | None = None) -> list[str]:
    """Every container, network and volume on the engine that carries a run's label."""
    engine = ["docker", *(["-H", host] if host else [])]
    found: list[str] = []
    for what in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        done = subprocess.run(
            [*engine, *what, "-q", "--filter", "label=lab.run"], capture_output=True, text=True, check=True, timeout=30
        )
        found += [f"{what[0]} {name}" for name in done.stdout.split()]
    return found
