"""The server that the supervisor keeps: PostgreSQL itself, or Patroni, which runs PostgreSQL."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

from lab.clock import S, now_ns
from lab.history import SharedRecorder
from lab.inside.database import lines, patroni, storage
from lab.inside.database.child import Child
from lab.inside.database.places import BIN, DATA, server_processes
from lab.inside.database.settings import Settings
from lab.inside.database.watch import Watch

FAST_S = 5.0
"""A fast shutdown waits for standbys that are connected to take in what they lack; one that hangs is not waited for."""
PATRONI_S = 15.0
EVERY_S = 0.002
TURN_S = 0.05


class Server:
    """Started and stopped by command, and never by itself. Used from one thread at a time."""

    def __init__(self, settings: Settings, events: SharedRecorder, watch: Watch) -> None:
        self._settings = settings
        self._events = events
        self._watch = watch
        self._notable = lines.Notable()
        self._child: Child | None = None
        self._stopping = False
        self._starts = 0

    @property
    def running(self) -> bool:
        """Whether the child (PostgreSQL, or Patroni) runs."""
        return self._child is not None and self._child.running

    def start(self, *, fresh: bool = False) -> None:
        """Start it from the data directory as it is. `fresh`: a new cluster, in which one Patroni must lead first."""
        self._stopping = False
        self._starts += 1
        storage.clear_locks()
        if not self._settings.patroni:
            self._run([str(BIN / "postgres"), "-D", str(DATA)])
            return
        patroni.prepare(self._settings.node, os.environ, DATA)
        if not fresh or patroni.its_turn(self._settings.node):
            self._run(patroni.command())
        else:
            threading.Thread(target=self._await_turn, args=(self._starts,), name="turn", daemon=True).start()

    def stop(self) -> None:
        """Shut it down in order; returns when nothing of it runs any more."""
        self._stopping = True
        self._starts += 1
        if self._settings.patroni and self._child is not None and self.running:
            self._child.signal(signal.SIGTERM)
            self._child.wait(PATRONI_S)
        for number, limit_s in ((signal.SIGINT, FAST_S), (signal.SIGQUIT, 2.0)):
            self._signal_postmaster(number)
            if _await_none(limit_s):
                break
        self.kill()

    def kill(self) -> None:
        """Kill all of it; returns when nothing of it runs any more. Raises TimeoutError."""
        self._stopping = True
        self._starts += 1
        deadline = time.monotonic() + 10.0
        while found := server_processes():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"still there after SIGKILL: {found}")
            time.sleep(EVERY_S)
        if self._child is not None:
            self._child.wait(1.0)
        self._watch.wake()

    def _run(self, command: list[str]) -> None:
        environment = {"environment": patroni.environment()} if self._settings.patroni else {}
        self._child = Child(command, on_line=self._on_line, on_end=self._on_end, **environment)
        self._watch.wake()

    def _await_turn(self, start: int) -> None:
        while self._starts == start:
            if patroni.its_turn(self._settings.node):
                self._run(patroni.command())
                return
            time.sleep(TURN_S)

    def _signal_postmaster(self, number: signal.Signals) -> None:
        with suppress(OSError, ValueError):  # no file, an empty one, nobody of that number
            os.kill(int((DATA / "postmaster.pid").read_text().partition("\n")[0]), number)

    def _on_line(self, text: str, read_ns: int) -> None:
        if self._settings.patroni and (told := patroni.parse(text)) is not None:
            what, wall_ns = told
            self._record("manager.log", read_ns, text, wall_ns, what)
            self._watch.wake()
            return
        line = lines.parse(text)
        if line is None:
            return
        if line.level == "LOG":  # FATAL comes from refused clients, who may be many
            self._watch.wake()
        if self._notable(line):
            self._record("server.log", read_ns, line.text, line.wall_ns, line.what)

    def _on_end(self, code: int) -> None:
        ended_ns = now_ns()
        self._watch.wake()
        if not self._stopping:
            who = "manager.log" if self._settings.patroni else "server.log"
            self._record(who, ended_ns, f"the process ended with {code}", time.time_ns(), "ended")

    def _record(self, kind: str, t_ns: int, text: str, wall_ns: int, what: str) -> None:
        self._events.record(kind, t_ns, node=self._settings.node, text=text, wall_ns=wall_ns, what=what)


def _await_none(limit_s: float) -> bool:
    deadline_ns = now_ns() + int(limit_s * S)
    while server_processes():
        if now_ns() > deadline_ns:
            return False
        time.sleep(EVERY_S)
    return True
