"""A server as a child process: started as its own user, its output read line by line, its end noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from lab.clock import now_ns
from lab.inside.database.places import ENVIRONMENT, USER

OnLine = Callable[[str, int], None]
"""A line of output and the instant at which it was read; called from the child's own thread."""
LONGEST = 1 << 16


class Child:
    """One process and what it starts. It is never started again by itself."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        on_line: OnLine,
        on_end: Callable[[int], None],
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> None:
        """Start it; `on_end` gets its exit code (minus the signal's number where it was killed)."""
        self._on_line = on_line
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=USER,
            group=USER,
            extra_groups=[],
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        threading.Thread(target=self._read, name="output", daemon=True).start()
        threading.Thread(target=lambda: on_end(self._process.wait()), name="end", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(number)

    def wait(self, limit_s: float) -> bool:
        """Wait for its end; False when it still runs after `limit_s`."""
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        # To the end of the pipe, not of the process: what it started writes there too, and may outlive it.
        rest = b""
        while part := os.read(self._out, LONGEST):
            read_ns = now_ns()
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._on_line(line.decode(errors="replace"), read_ns)
            sys.stdout.buffer.write(b"\n".join((*lines, b"")))
            sys.stdout.buffer.flush()
