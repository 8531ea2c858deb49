"""A pod that drives load: Locust runs its users, and the lab tells it over the control socket when.

{"do": "begin", ...}, {"do": "status"} and {"do": "end"}, as lab.inside.clients and lab.inside.writers say in full.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import gevent
from gevent.event import Event
from locust import User  # this import makes the standard library cooperative
from locust.env import Environment

from lab.history import Recorder
from lab.inside import control
from lab.inside.naming import events_folder

STOP_LIMIT_S = 3.0


class Load(Protocol):
    """The load of one trial, beside its users."""

    def start(self) -> None: ...
    def status(self) -> dict[str, Any]: ...
    def end(self) -> dict[str, int]: ...
    def close(self) -> None: ...


class Commanded(ABC):
    """What the control socket commands: at most one load at a time."""

    idle: ClassVar[dict[str, Any]]
    """What `status` tells while there is no load."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._load: Load | None = None
        self._environment: Environment | None = None

    @abstractmethod
    def made(self, message: dict[str, Any]) -> tuple[Load, type[User], int]:
        """The load of a `begin`, the class of its users and how many of them there are. Raises ValueError and the like
        for a message that makes no sense.
        """

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command. Raises for what cannot be done; the control socket tells the asker."""
        match message.get("do"):
            case "begin":
                self.end()  # one that a lost lab left running
                self.begin(message)
                return {"ok": True}
            case "status":
                told = self._load.status() if self._load else self.idle
                return {"ok": True, "running": self._load is not None, **told}
            case "end":
                return {"ok": True, **self.end()}
            case other:
                raise ValueError(f"do={other!r}: one of begin, status, end")

    def begin(self, message: dict[str, Any]) -> None:
        """Make the users of a trial and let them start."""
        load, kind, count = self.made(message)
        gc.collect()
        gc.freeze()  # what is here stays; no collection of it need hold up a request
        self._load = load
        self._environment = Environment(user_classes=[kind], catch_exceptions=True)
        runner = self._environment.create_local_runner()
        load.start()
        runner.start(count, spawn_rate=count)

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


def serve(kind: type[Commanded]) -> None:
    """Serve commands until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.set_threshold(20_000, 20, 50)
    recorder = Recorder(events_folder(), "clients", buffered=True)
    recorder.flush()
    commanded = kind(recorder)
    name = os.environ.get("LAB_CONTROL")  # only where several share a network namespace: tests without containers
    control.serve(commanded.answer, f"\0{name}" if name else control.ADDRESS)
    over = Event()
    gevent.signal_handler(signal.SIGTERM, over.set)
    over.wait()
    commanded.end()
    recorder.close()
