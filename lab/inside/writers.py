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

import logging
from typing import Any, ClassVar

from locust import User, constant, task  # this import makes the standard library cooperative, and then psycopg is too
from locust.env import Environment

from lab.inside.alarm import Alarm
from lab.inside.commanded import Commanded, serve
from lab.inside.writing.load import WritingLoad
from lab.inside.writing.worker import Worker


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


class Writers(Commanded):
    """The writers of every route of a trial."""

    idle: ClassVar[dict[str, Any]] = {"routes": {}, "rate": {}}

    def made(self, message: dict[str, Any]) -> tuple[WritingLoad, type[User], int]:
        """A user for each writer of each route."""
        try:
            load = WritingLoad(message, self.recorder)
        except OSError as error:
            raise ValueError(str(error)) from error

        class TrialWriter(Writer):
            abstract = False

        workers = load.workers
        TrialWriter.unborn = workers[::-1]
        return load, TrialWriter, len(workers)


def main() -> None:
    """Serve commands until SIGTERM."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    serve(Writers)
