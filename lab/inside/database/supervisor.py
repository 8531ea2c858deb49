"""The whole: boot, commands, and the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from lab.history import SharedRecorder
from lab.inside import control
from lab.inside.database import patroni, storage
from lab.inside.database.places import make_folders
from lab.inside.database.server import Server
from lab.inside.database.settings import Settings, read_settings
from lab.inside.database.watch import Watch
from lab.inside.naming import events_folder
from lab.inside.ticker import Ticker

START_S = 30.0
Answer = dict[str, Any]


class Supervisor:
    """One server of the database."""

    def __init__(self, settings: Settings, events: SharedRecorder) -> None:
        self.settings = settings
        self.events = events
        self.watch = Watch(settings, events)
        self.server = Server(settings, events, self.watch)
        self._turn = threading.RLock()
        self._commands: dict[str, Callable[..., Answer]] = {
            "wipe": self._wipe,
            "start": self._start,
            "resume": self._resume,
            "rejoin": self._rejoin,
            "switchover": self._switchover,
        }

    def boot(self) -> None:
        """Bring the server up when the container starts: from nothing, or from what it left."""
        make_folders()
        with self._turn:
            if not storage.is_there():
                self._start()
                return
            storage.clear_locks()
            if storage.was_primary() and (leader := self._leader()):
                if not self.settings.patroni:
                    self._follow(leader, "boot")
                    return
                self._record_rows("boot")  # Patroni will rewind it
            self.server.start()

    def end(self) -> None:
        """Shut the server down in order."""
        self.server.stop()

    def answer(self, command: dict[str, Any]) -> Answer:
        """Carry out a command from the control socket."""
        do = command.pop("do")
        if do == "status":
            return self._status()
        try:
            with self._turn:
                return self._commands[do](**command)
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    # -- commands --------------------------------------------------------------------------------------------------

    def _status(self) -> Answer:
        seen = self.watch.now
        return {
            "ok": True,
            "node": self.settings.node,
            "state": seen.state,
            "timeline": seen.timeline,
            "lsn": seen.lsn,
            "receive_lsn": seen.receive_lsn,
            "upstream": seen.upstream,
            "receiving": seen.receiving,
            "streaming": seen.streaming,
            "sync": seen.sync,
            "incarnation": self.events.incarnation,
            "running": self.server.running,
            "busy": self._busy(),
            "manager_running": self.settings.patroni and self.server.running,
            "answered_ns": self.watch.answered_ns,
        }

    def _busy(self) -> bool:
        """Whether it boots; a command is over before the control socket's thread can ask."""
        if self._turn.acquire(blocking=False):
            self._turn.release()
            return False
        return True

    def _wipe(self) -> Answer:
        self.server.kill()
        storage.remove()
        return {"ok": True}

    def _start(self) -> Answer:
        """From nothing: the baked data directory, and the role that goes with the node's number."""
        self._wipe()
        storage.unpack()
        if not self.settings.patroni:
            first = self.settings.first
            storage.configure(self.settings, None if self.settings.node == first else first)
        self.server.start(fresh=True)
        return {"ok": True}

    def _resume(self) -> Answer:
        """From what is there, where it does not run: as it was, or as Patroni decides."""
        if not self.server.running:
            self.server.stop()  # a Postgres that outlived its Patroni
            self.server.start()
        return {"ok": True}

    def _rejoin(self, upstream: str) -> Answer:
        if self.settings.patroni:
            return {"ok": False, "error": "Patroni does that by itself"}
        self.server.stop()
        how = self._follow(upstream, "rejoin")
        up = self.watch.await_up(START_S)
        return {"ok": up, "how": how, "error": "" if up else f"it did not answer within {START_S:g} s"}

    def _switchover(self, to: str = "") -> Answer:
        if not self.settings.patroni:
            return {"ok": False, "error": "only Patroni does that here"}
        done, said = patroni.switchover(self.settings.node, to)
        return {"ok": done, "said": said, "error": "" if done else said}

    # -- coming back -----------------------------------------------------------------------------------------------

    def _leader(self) -> str | None:
        from lab.inside.database.peers import leading

        return leading({node: self.settings.addresses[node] for node in self.settings.others})

    def _follow(self, upstream: str, when: str) -> str:
        import psycopg

        from lab.inside.database.rejoin import follow

        self._record_rows(when)
        try:
            how = follow(self.settings, upstream)
        except psycopg.Error as error:
            raise RuntimeError(f"{upstream} does not let it follow: {error}") from error
        self.server.start()
        return how

    def _record_rows(self, when: str) -> None:
        """What it holds, before a rewind takes away what nobody else has."""
        from lab.inside.database.rejoin import rows_alone

        self.events.record("rows", node=self.settings.node, when=when, **rows_alone())


def run() -> None:
    """Supervise until SIGTERM."""
    settings = read_settings()
    events = SharedRecorder(events_folder(), f"database/{settings.node}")
    supervisor = Supervisor(settings, events)

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        control.serve(supervisor.answer)
        supervisor.watch.start()
        try:
            supervisor.boot()
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            # Visible, and mended by the next reset: a supervisor that left would have to be started first.
            print(f"boot: {error}", file=sys.stderr)
        Ticker(events).run()
    finally:
        supervisor.end()
