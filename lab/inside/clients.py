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

from typing import Any, ClassVar

from locust import User, constant, task  # this import makes the standard library cooperative
from locust.env import Environment

from lab.inside.alarm import Alarm
from lab.inside.client import Client
from lab.inside.commanded import Commanded, serve
from lab.inside.openloop import OpenLoop
from lab.inside.routes import Discovery


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


class Clients(Commanded):
    """The clients of a trial."""

    idle: ClassVar[dict[str, Any]] = {"clients": 0, "started": 0, "views": [], "rate": {}}

    def made(self, message: dict[str, Any]) -> tuple[OpenLoop, type[User], int]:
        """A user for each client."""
        load = OpenLoop(message, self.recorder)
        load.route_of(load.clients[0]).close()  # settings that make no sense are refused here, not thirty times later

        class TrialClient(SimulatedClient):
            abstract = False

        TrialClient.load = load
        TrialClient.unborn = load.clients[::-1]
        return load, TrialClient, load.count


def main() -> None:
    """Serve commands until SIGTERM."""
    serve(Clients)
