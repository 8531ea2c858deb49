"""The clients' pod: simulated clients as Locust users, told what to do over the control socket.

    {"do": "begin", "trial": 3, "seed": "7", "repeat": 1, "clients": 30, "rate_per_s": 300.0,
     "route": {"kind": "dns", "settings": {...}}, "service": "shop", "pick": "srv", "connect_timeout_s": 0.3,
     "deadline_s": 1.0, "pool": 8, "retries": 1, "start_over_s": 1.0}                     -> {"ok": true}
    {"do": "status"} -> {"ok": true, "running": true, "clients": 30, "started": 30,
                         "views": [{"nodes": [...], "clients": 28, "since_ns": ...}], "rate": {due, sent, done}}
    {"do": "end"}    -> {"ok": true, "due": n, "sent": n, "done": n}, when everything is in the file

Locust runs the users and their lives; its statistics are not used, for they round. A user's greenlet keeps its view;
its requests are open loop and have greenlets of their own (lab.inside.openloop).
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
from locust import User, constant, task  # this import makes the standard library cooperative
from locust.env import Environment

from lab.history import Recorder
from lab.inside import control
from lab.inside.alarm import Alarm
from lab.inside.client import Client
from lab.inside.naming import events_folder
from lab.inside.openloop import OpenLoop
from lab.inside.routes import Discovery

STOP_LIMIT_S = 3.0


class SimulatedClient(User):
    """One client: begins at its own instant, keeps its view until it is stopped."""

    abstract = True
    wait_time = constant(0.2)  # before a route that failed is made again
    load: ClassVar[OpenLoop]
    unborn: ClassVar[list[Client]]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = self.unborn.pop()
        self.route: Discovery | None = None

    def on_start(self) -> None:
        """Wait for this client's instant."""
        alarm = Alarm()
        try:
            alarm.sleep_until(self.client.start_ns)
        finally:
            alarm.close()
        self.client.view.open()

    @task
    def discover(self) -> None:
        """Keep the view; made anew where it breaks."""
        self.close_route()
        self.route = self.load.route_of(self.client)
        try:
            self.route.run()
        except Exception as error:
            self.client.view.fail(f"{type(error).__name__}: {error}")
            raise

    def on_stop(self) -> None:
        """Let go of sessions and sockets."""
        self.close_route()

    def close_route(self) -> None:
        """Close what the route holds."""
        if self.route is not None:
            self.route.close()
            self.route = None


class Clients:
    """What the control socket commands: at most one load at a time."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._load: OpenLoop | None = None
        self._environment: Environment | None = None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command. Raises for what cannot be done; the control socket tells the asker."""
        match message.get("do"):
            case "begin":
                self.end()  # one that a lost lab left running
                self.begin(message)
                return {"ok": True}
            case "status":
                told = self._load.status() if self._load else {"clients": 0, "started": 0, "views": [], "rate": {}}
                return {"ok": True, "running": self._load is not None, **told}
            case "end":
                return {"ok": True, **self.end()}
            case other:
                raise ValueError(f"do={other!r}: one of begin, status, end")

    def begin(self, message: dict[str, Any]) -> None:
        """Make the clients of a trial and let them start."""
        load = OpenLoop(message, self._recorder)
        load.route_of(load.clients[0]).close()  # settings that make no sense are refused here, not thirty times later

        class TrialClient(SimulatedClient):
            abstract = False

        TrialClient.load = load
        TrialClient.unborn = load.clients[::-1]
        gc.collect()
        gc.freeze()  # what is here stays; no collection of it need hold up a request
        self._load = load
        self._environment = Environment(user_classes=[TrialClient], catch_exceptions=True)
        runner = self._environment.create_local_runner()
        load.start()
        runner.start(load.count, spawn_rate=load.count)

    def end(self) -> dict[str, int]:
        """End the load, if there is one; its totals."""
        load, environment = self._load, self._environment
        self._load = self._environment = None
        if load is None or environment is None:
            return {"due": 0, "sent": 0, "done": 0}
        totals = load.end()
        with gevent.Timeout(STOP_LIMIT_S, False):
            environment.runner.quit()
        gc.unfreeze()
        return totals


def main() -> None:
    """Serve commands until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.set_threshold(20_000, 20, 50)
    recorder = Recorder(events_folder(), "clients", buffered=True)
    recorder.flush()
    clients = Clients(recorder)
    name = os.environ.get("LAB_CONTROL")  # only where several share a network namespace: tests without containers
    control.serve(clients.answer, f"\0{name}" if name else control.ADDRESS)
    over = Event()
    gevent.signal_handler(signal.SIGTERM, over.set)
    over.wait()
    clients.end()
    recorder.close()
