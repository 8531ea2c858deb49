"""The writers' pod: writers of every route as Locust users, told what to do over the control socket.

    {"do": "begin", "trial": 3, "seed": "7", "repeat": 1, "rate_per_s": 200.0, "pool": 16, "read_every_s": 0.2,
     "retry_pause_s": 0.02, "start_over_s": 0.5, "routes": [{"label": "multi_host", "kind": "multi_host",
     "settings": {...}}], "servers": ["postgres1", ...]}                                            -> {"ok": true}
    {"do": "status"} -> {"ok": true, "running": true, "rate": {due, sent, done},
                         "routes": {label: {acknowledged, streak, since_ns, node, last_ns}}}
    {"do": "end"}    -> {"ok": true, "due": n, "sent": n, "done": n}, when everything is in the file

`rate_per_s` and `pool` are those of each route. A Locust user is one writer with its connection; when writes are due,
and what becomes of them, is not Locust's business (lab.inside.writing): its own loop is closed and its clock coarse.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
from typing import Any, ClassVar

import gevent
from gevent.event import Event
from locust import User, constant, task  # this import makes the standard library cooperative, and then psycopg is too
from locust.env import Environment

from lab.history import Recorder
from lab.inside import control
from lab.inside.alarm import Alarm
from lab.inside.naming import events_folder
from lab.inside.writing.load import WritingLoad
from lab.inside.writing.worker import Worker

STOP_LIMIT_S = 3.0


class Writer(User):
    """One writer: begins at its own instant, writes until it is stopped."""

    abstract = True
    wait_time = constant(0.2)  # after a mistake of ours, before it goes on
    unborn: ClassVar[list[Worker]]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.worker = self.unborn.pop()

    def on_start(self) -> None:
        """Wait for this writer's instant."""
        alarm = Alarm()
        try:
            alarm.sleep_until(self.worker.start_ns)
        finally:
            alarm.close()

    @task
    def write(self) -> None:
        """Write; with a new connection where something broke that should not."""
        self.worker.close()
        self.worker.run()

    def on_stop(self) -> None:
        """Let go of the connection."""
        self.worker.close()


class Writers:
    """What the control socket commands: at most one load at a time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._load: WritingLoad | None = None
        self._environment: Environment | None = None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command. Raises for what cannot be done; the control socket tells the asker."""
        match message.get("do"):
            case "begin":
                self.end()  # one that a lost lab left running
                self.begin(message)
                return {"ok": True}
            case "status":
                told = self._load.status() if self._load else {"routes": {}, "rate": {}}
                return {"ok": True, "running": self._load is not None, **told}
            case "end":
                return {"ok": True, **self.end()}
            case other:
                raise ValueError(f"do={other!r}: one of begin, status, end")

    def begin(self, message: dict[str, Any]) -> None:
        """Make the writers of a trial and let them start."""
        try:
            load = WritingLoad(message, self._recorder)
        except OSError as error:
            raise ValueError(str(error)) from error
        workers = load.workers

        class TrialWriter(Writer):
            abstract = False

        TrialWriter.unborn = workers[::-1]
        gc.collect()
        gc.freeze()  # what is here stays; no collection of it need hold up a write
        self._load = load
        self._environment = Environment(user_classes=[TrialWriter], catch_exceptions=True)
        runner = self._environment.create_local_runner()
        load.start()
        runner.start(len(workers), spawn_rate=len(workers))

    def end(self) -> dict[str, int]:
        """End the load, if there is one; its totals."""
        load, environment = self._load, self._environment
        self._load = self._environment = None
        if load is None or environment is None:
            return {"due": 0, "sent": 0, "done": 0}
        totals = load.end()
        with gevent.Timeout(STOP_LIMIT_S, False):
            environment.runner.quit()
        with gevent.Timeout(STOP_LIMIT_S, False):
            load.close()
        gc.unfreeze()
        return totals


def main() -> None:
    """Serve commands until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.set_threshold(20_000, 20, 50)
    recorder = Recorder(events_folder(), "clients", buffered=True)
    recorder.flush()
    writers = Writers(recorder)
    name = os.environ.get("LAB_CONTROL")  # only where several share a network namespace: tests without containers
    control.serve(writers.answer, f"\0{name}" if name else control.ADDRESS)
    over = Event()
    gevent.signal_handler(signal.SIGTERM, over.set)
    over.wait()
    writers.end()
    recorder.close()
