"""One route of a trial: where it connects to, its pool of workers, its reader."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import gevent

from lab import clock
from lab.history import Recorder
from lab.inside.arrivals import start_offset_ns
from lab.inside.ledger import Ledger
from lab.inside.paths import Path, Unknown, maker_of
from lab.inside.writing.book import Book
from lab.inside.writing.conduct import split
from lab.inside.writing.line import Line, Unconnected, open_line
from lab.inside.writing.pool import Pool
from lab.inside.writing.reader import Reader
from lab.inside.writing.worker import Worker

REMADE_S = 0.2
"""Before a path that failed is made again."""
READING_S = 1.0
"""How long one reading may take: the first one of another server is of everything."""


class Track:
    """Made from one entry of `routes` in a `begin` message. Workers are numbered from `first_number`."""

    def __init__(
        self,
        route: Mapping[str, Any],
        message: Mapping[str, Any],
        servers: Mapping[str, str],
        origin_ns: int,
        first_number: int,
        recorder: Recorder,
        ledger: Ledger,
    ) -> None:
        """Raises ValueError, KeyError or TypeError for settings that make no sense, OSError for an unknown host."""
        self.label = str(route["label"])
        self.kind = str(route["kind"])
        common = {name: message[name] for name in ("retry_pause_s",) if name in message}
        self._conduct, self._settings = split({**common, **dict(route.get("settings") or {})})
        self._servers = servers
        self._node_of = {address: node for node, address in servers.items()}
        self._recorder = recorder
        self._over = False
        seed, repeat, over_s = str(message["seed"]), int(message["repeat"]), float(message.get("start_over_s", 0.5))
        self._key = f"{seed}/path/{self.kind}/{repeat}"
        self._start_ns = origin_ns + start_offset_ns(seed, 0, repeat, over_s)
        self.path = self._make_path()
        self.book = Book(self.label, self._conduct.deadline_s, recorder, ledger)
        self.pool = Pool(self.book, self._conduct)
        self.workers = [
            Worker(
                first_number + place,
                origin_ns + start_offset_ns(seed, 1 + place, repeat, over_s),
                self.pool,
                self.connect,
                self._node_of,
            )
            for place in range(int(message["pool"]))
        ]
        self.reader = Reader(
            self.label,
            float(message.get("read_every_s", 0.2)),
            max(READING_S, self._conduct.deadline_s),
            self.pool.pace,
            self.connect,
            self._node_of,
            recorder,
        )
        self._greenlets: list[gevent.Greenlet] = []

    def _make_path(self) -> Path:
        return maker_of(self.kind)(self._servers, Random(self._key), self._learned, dict(self._settings))

    def _learned(self, node: str | None) -> None:
        if not self._over:
            self._recorder.record("route.learned", route=self.label, node=node)

    def connect(self) -> Line:
        """A new connection of this route. Raises Unconnected."""
        try:
            return open_line(self.path.target(), self._conduct, self.label, self._node_of)
        except Unknown as error:
            raise Unconnected(str(error)) from None

    def start(self) -> None:
        """Learn, watch deadlines and read from now on. The workers are run by Locust."""
        self._greenlets = [gevent.spawn(work) for work in (self._keep_path, self.pool.watch, self._read)]

    def _keep_path(self) -> None:
        gevent.sleep(max(0, self._start_ns - clock.now_ns()) / clock.S)
        while True:
            try:
                self.path.run()
            except Exception as error:
                self.pool.trouble = f"{type(error).__name__}: {error}"
            self.path.close()
            gevent.sleep(REMADE_S)
            self.path = self._make_path()

    def _read(self) -> None:
        gevent.sleep(max(0, self._start_ns - clock.now_ns()) / clock.S)
        self.reader.run()

    def end(self) -> None:
        """Everything of it is over and recorded; connections are closed with their workers."""
        self._over = self.reader.over = True
        gevent.killall(self._greenlets, block=False)
        self.pool.end()

    def close(self) -> None:
        """Let go of the path's sockets and sessions."""
        self.path.close()
