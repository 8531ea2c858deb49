"""Locks between labs: one run measures at a time on an engine, and a living run's containers are nobody else's.

They are flocks on files in the temp folder. The janitor of a run inherits them, so they end with its sweep and
not with the lab: the next lab starts on a swept engine. They see labs of this machine only.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.protocols import Progress
from lab.wait import wait_until

SAY_EVERY_S = 10.0
"""How often a waiting lab says that it waits."""


@dataclass(slots=True)
class Lock:
    """A held lock. `beside` names the run that measures at the same time, where that was asked for."""

    fd: int
    path: Path
    beside: str = ""

    def close(self, *, remove: bool = False) -> None:
        """Let go of this process's hold. `remove` the file only when nobody will ever ask for it again."""
        if self.fd >= 0:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self.fd)
            self.fd = -1


def hold_run(run: str) -> Lock | None:
    """Mark a run as alive; None when somebody else holds it: it is alive."""
    lock = _open(f"run-{run}")
    if not _take(lock, fcntl.LOCK_EX):
        lock.close()
        return None
    return lock


def forget_run(run: str) -> None:
    """Remove the lock file of a run that is over, where there is one."""
    (_folder() / f"run-{run}.lock").unlink(missing_ok=True)


def hold_engine(
    engine_id: str, run: str, progress: Progress, *, share: bool, stop: threading.Event | None = None
) -> Lock:
    """Wait until no other run measures on this engine, then hold it.

    With `share` it does not wait: it measures beside the other, and `beside` says so. Raises LabError when `stop` is
    set while it waits.
    """
    lock = _open("engine-" + re.sub(r"[^A-Za-z0-9]+", "", engine_id)[:40])
    if share:
        # Shared holders keep out those who want the engine for themselves, and let each other in.
        if not _take(lock, fcntl.LOCK_SH):
            lock.beside = _holder(lock)
        return lock
    said_s = -SAY_EVERY_S

    def ours() -> bool:
        nonlocal said_s
        if _take(lock, fcntl.LOCK_EX):
            return True
        if stop is not None and stop.is_set():
            lock.close()
            raise LabError("stopped while waiting for another run; nothing was started")
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            text = f"{_holder(lock)} measures on this engine; waiting until it ends (--share goes on beside it)"
            progress({"what": "waiting", "text": text})
        return False

    wait_until(ours, timeout_s=float("inf"), every_s=0.1)
    os.truncate(lock.fd, 0)
    os.pwrite(lock.fd, json.dumps({"run": run, "pid": os.getpid()}).encode(), 0)
    return lock


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / "boring-lab"


def _open(name: str) -> Lock:
    folder = _folder()
    folder.mkdir(exist_ok=True)
    with suppress(PermissionError):
        folder.chmod(0o1777)  # labs of several users meet here
    path = folder / f"{name}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(PermissionError):
        path.chmod(0o666)
    return Lock(fd, path)


def _take(lock: Lock, how: int) -> bool:
    try:
        fcntl.flock(lock.fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: Lock) -> str:
    try:
        said: dict[str, Any] = json.loads(os.pread(lock.fd, 4096, 0))
        return f"run {said['run']} (pid {said['pid']})"
    except (ValueError, KeyError):
        return "another run"
