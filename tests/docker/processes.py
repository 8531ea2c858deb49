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
            [str(Path(sys.executable).with_name("lab")), *arguments],
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
        # A child of the lab may hold the pipe a little longer: the janitor says its last words there.
        self._reader.join(15)
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()


def left_of(lab: LabProcess) -> list[str]:
    """Every container, network and volume on the engine that carries the label of this process's run."""
    found: list[str] = []
    for what in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        command = ["docker", *what, "--filter", "label=lab.run", "--format", '{{.Label "lab.run"}} {{.Name}}']
        if what[0] == "ps":
            command[-1] = command[-1].replace(".Name}", ".Names}")
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        # A run is named after its time and its process: 20261126-013028-6927-f40f.
        found += [f"{what[0]} {line}" for line in done.stdout.splitlines() if f"-{lab.process.pid}-" in line.split()[0]]
    return found
