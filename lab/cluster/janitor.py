"""The janitor: a process of its own that cleans up after a lab that died, even by SIGKILL.

It is started before the first container or image build, in its own session (a Ctrl-C does not reach it), and reads
lines from a pipe whose other end the lab holds:

    child PGID       a process group to end        child-gone PGID   it ended by itself
    tempdir PATH     a folder to remove            keep ARM          leave the containers of this arm alone
    done             everything is cleaned up: go

When the pipe ends without `done` the lab is dead: the janitor ends the children (a running `compose up` keeps
creating), removes the folders and sweeps what carries the run's label until nothing new appears for 2 s. It holds the
run's and the engine's lock as long as it lives, so the next lab measures only after the sweep.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lab.errors import LabError
from lab.wait import TimedOut, wait_until

QUIET_S = 2.0
"""A sweep ends when nothing new appeared for this long."""
GRACE_S = 0.7
"""How long a child may take to obey SIGTERM."""
TRY_FOR_S = 30.0
"""How long a janitor goes on where the engine does not answer."""


class Janitor:
    """The lab's end of the pipe."""

    def __init__(self, run: str, locks: Iterable[int] = ()) -> None:
        """Start the janitor of a run; `locks` are descriptors that it shall hold too. It is ready on return."""
        end, self._pipe = os.pipe()
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.cluster.janitor", run],
            stdin=end,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=tuple(locks),
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
        )
        os.close(end)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise LabError("the janitor did not start; nothing was started without it")
        self._process.stdout.close()
        self._lock = threading.Lock()

    @property
    def pipe(self) -> int:
        """The descriptor on which lines are told; a child tells its own."""
        return self._pipe

    def tell(self, line: str) -> None:
        """Write one line. Raises LabError when the janitor is gone: nothing may be started without it."""
        with self._lock:
            try:
                os.write(self._pipe, line.encode() + b"\n")
            except OSError as error:
                raise LabError(f"the janitor (pid {self._process.pid}) is gone; `lab clean` afterwards") from error

    def done(self) -> None:
        """Everything is cleaned up, or kept on purpose: let the janitor go."""
        with suppress(LabError):
            self.tell("done")
        self._close()

    def leave(self) -> None:
        """Leave the rest to the janitor, as if the lab had died."""
        with self._lock:
            self._close_pipe()

    def _close(self) -> None:
        with self._lock:
            self._close_pipe()
        self._process.wait()

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


class _Watch:
    """What the lab has told so far."""

    def __init__(self) -> None:
        self.children: set[int] = set()
        self.folders: list[Path] = []
        self.kept: set[str] = set()
        self.done = False

    def hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "child":
                self.children.add(int(rest))
            case "child-gone":
                self.children.discard(int(rest))
            case "tempdir":
                self.folders.append(Path(rest))
            case "keep":
                self.kept.add(rest)
            case "done":
                self.done = True


def main() -> None:
    """Listen until the lab is done or dead, then clean."""
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(name, signal.SIG_IGN)
    run = sys.argv[1]
    os.write(1, b"ready\n")
    os.close(1)
    os.open(os.devnull, os.O_WRONLY)  # nothing printed later may land in a descriptor that got the number 1
    watch = _Watch()
    with os.fdopen(0, "rb", closefd=False) as lines:
        for line in lines:
            if line.endswith(b"\n"):
                watch.hear(line.decode().rstrip("\n"))
    if not watch.done:
        _end_children(watch.children)
    for folder in watch.folders:
        shutil.rmtree(folder, ignore_errors=True)
    if not watch.done:
        _sweep(run, watch.kept)


def _end_children(groups: set[int]) -> None:
    for signal_, patience_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 1.0)):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal_)
        with suppress(TimedOut):
            wait_until(lambda: not any(map(_alive, groups)), timeout_s=patience_s)
            return


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _sweep(run: str, kept: set[str]) -> None:
    # Not imported before: a janitor that waits is small, and most have nothing to do.
    from lab.cluster.lock import forget_run
    from lab.cluster.sweep import sweep_run

    deadline = time.monotonic() + TRY_FOR_S
    while True:
        try:
            sweep_run(run, kept=kept, quiet_s=QUIET_S)
            forget_run(run)
            return
        except LabError:
            if time.monotonic() > deadline:
                return  # `lab clean` removes what is left once the engine answers
            with suppress(TimedOut):
                wait_until(lambda: False, timeout_s=0.5)


if __name__ == "__main__":
    main()
