"""Runs command line tools as child processes that the janitor knows of, so that none outlives the lab."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

_REGISTER = 'echo "child $$" >&0 && exec "$@" </dev/null'
"""A child puts itself on the janitor's list (the pipe is its stdin) before it becomes the tool: it is never unknown."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended: its exit code (negative: the signal) and what it printed."""

    code: int
    out: str
    err: str


class Ledger(Protocol):
    """Who is told of children: the janitor."""

    @property
    def pipe(self) -> int:
        """The descriptor on which lines are told."""
        ...

    def tell(self, line: str) -> None: ...


class Children:
    """Starts children, each in a session of its own (a Ctrl-C is the lab's to handle), on a janitor's list."""

    def __init__(self, janitor: Ledger) -> None:
        self._janitor = janitor
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        """Run a tool to its end; `environment` replaces the whole one, `on_line` gets each line of its stderr at once.

        Raises FileNotFoundError where the tool is not there, TimeoutError when it was ended after `timeout_s`.
        """
        child = subprocess.Popen(
            ["/bin/sh", "-c", _REGISTER, "sh", *argv],
            stdin=self._janitor.pipe,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        with self._lock:
            self._running.add(child.pid)
        late = threading.Event()
        timer = threading.Timer(timeout_s, _end, (child, late))
        timer.daemon = True
        timer.start()
        try:
            out, err = _read(child, on_line)
            code = child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(child.pid)
            self._janitor.tell(f"child-gone {child.pid}")
        if late.is_set():
            raise TimeoutError(f"{' '.join(argv[:3])} did not end within {timeout_s:g} s")
        if code == 127 and "not found" in err:
            raise FileNotFoundError(argv[0])
        return Finished(code, out, err)

    def end(self) -> None:
        """End every child that still runs, at once."""
        with self._lock:
            running = tuple(self._running)
        for group in running:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def _read(child: subprocess.Popen[str], on_line: Callable[[str], None] | None) -> tuple[str, str]:
    assert child.stdout is not None and child.stderr is not None
    out: list[str] = []
    reader = threading.Thread(target=lambda: out.extend(child.stdout or ()), daemon=True)
    reader.start()
    err: list[str] = []
    for line in child.stderr:
        err.append(line)
        if on_line is not None:
            on_line(line.rstrip("\n"))
    reader.join()
    child.stdout.close()
    child.stderr.close()
    return "".join(out), "".join(err)


def _end(child: subprocess.Popen[str], late: threading.Event | None = None) -> None:
    if late is not None:
        late.set()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
