"""The scripted registry's client: what is pushed is believed at once."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import gevent
from gevent import socket

from lab.inside.pick import Instance
from lab.inside.routes import known
from lab.inside.views import ClientView

DEFAULTS: dict[str, Any] = {"registry": "registry", "port": 7000, "timeout_s": 1.0}


class Scripted:
    """Settings: registry (name or address), port, timeout_s (of connecting)."""

    def __init__(self, view: ClientView, settings: dict[str, Any]) -> None:
        self._view = view
        self._settings = known(settings, DEFAULTS)
        self._line: Any = None

    def run(self) -> None:
        """Believe every line that comes; connect again when the registry goes away, keeping what was believed."""
        where = (self._settings["registry"], self._settings["port"])
        while True:
            try:
                self._line = socket.create_connection(where, timeout=self._settings["timeout_s"])
                self._line.settimeout(None)
                self._line.sendall(json.dumps({"client": self._view.client}).encode() + b"\n")
                for text in self._line.makefile("rb"):
                    told = json.loads(text)["instances"]
                    self._view.replace([Instance(each["node"], each["address"], each["port"]) for each in told])
                self._view.fail("registry: closed")
            except OSError as error:
                self._view.fail(f"registry: {error}")
            finally:
                self.close()
            gevent.sleep(0.05)

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None


def make(view: ClientView, _rng: Random, settings: dict[str, Any]) -> Scripted:
    """The route of one client."""
    return Scripted(view, settings)
