"""The load of one trial: every route's writes, sent on their way when they are due.

Open loop: one Poisson process, from a key that names neither route nor arm. At each of its instants one write is due on
every route, so that routes and arms can be compared in pairs.
"""

from __future__ import annotations

from typing import Any

import gevent

from lab import clock
from lab.history import Recorder
from lab.inside.alarm import Alarm
from lab.inside.arrivals import Arrivals
from lab.inside.ledger import Ledger
from lab.inside.naming import address_of
from lab.inside.ticker import Ticker
from lab.inside.writing.track import Track
from lab.inside.writing.worker import Worker

LEAD_NS = 50 * clock.MS
"""From the command to the first connection: time to make everything."""

WARM_UP_S = 0.25
"""From the last instant at which a worker may start to the first write: every connection is open by then."""


class WritingLoad:
    """All routes of a trial, from a `begin` message (lab.inside.writers)."""

    def __init__(self, message: dict[str, Any], recorder: Recorder) -> None:
        """Raises ValueError, KeyError or TypeError for a message that makes no sense, OSError for an unknown server."""
        seed, repeat = str(message["seed"]), int(message["repeat"])
        rate_per_s, pool = float(message["rate_per_s"]), int(message["pool"])
        over_s, warm_up_s = float(message.get("start_over_s", 0.5)), float(message.get("warm_up_s", WARM_UP_S))
        servers = {str(name): address_of(str(name), limit_s=5.0) for name in message["servers"]}
        labels = [str(route["label"]) for route in message["routes"]]
        if not labels or len(set(labels)) < len(labels):
            raise ValueError(f"routes={labels}: at least one, each with a label of its own")
        self._recorder = recorder
        origin_ns = clock.now_ns() + LEAD_NS
        self.ledger = Ledger(recorder, origin_ns)
        self.tracks = [
            Track(route, message, servers, origin_ns, 1 + place * pool, recorder, self.ledger)
            for place, route in enumerate(message["routes"])
        ]
        first_ns = origin_ns + int((over_s + warm_up_s) * clock.S)
        self._arrivals = Arrivals(seed, repeat, [(0, first_ns)], rate_per_s)
        recorder.record(
            "load.begin",
            origin_ns,
            trial=message.get("trial"),
            routes=message["routes"],
            rate_per_s=rate_per_s * len(labels),
            pool=pool,
            seed=seed,
            repeat=repeat,
            start_over_s=over_s,
            warm_up_s=warm_up_s,
        )
        self._greenlets: list[gevent.Greenlet] = []

    @property
    def workers(self) -> list[Worker]:
        """Those of every route."""
        return [worker for track in self.tracks for worker in track.workers]

    def start(self) -> None:
        """Let writes arrive from now on, watch the clock, write what was recorded every 100 ms."""
        for track in self.tracks:
            track.start()
        self._greenlets = [gevent.spawn(work) for work in (self._dispatch, self._watch, self._flush)]

    def _dispatch(self) -> None:
        alarm, arrivals, ledger = Alarm(), self._arrivals, self.ledger
        try:
            while True:
                self._let_arrive(clock.now_ns())
                alarm.sleep_until(min(arrivals.next_ns, ledger.next_ns))
        finally:
            alarm.close()

    def _let_arrive(self, now_ns: int) -> None:
        self._arrivals.pop_due(now_ns, self._arrive)
        self.ledger.close_seconds(now_ns)

    def _arrive(self, _: int, due_ns: int) -> None:
        for track in self.tracks:
            track.pool.arrive(due_ns)

    def _watch(self) -> None:
        alarm = Alarm()
        try:
            Ticker(self._recorder).run(alarm.sleep)
        finally:
            alarm.close()

    def _flush(self) -> None:
        while True:
            gevent.sleep(0.1)
            self._recorder.flush()

    def status(self) -> dict[str, Any]:
        """How each route does, and the counts so far."""
        return {"routes": {track.label: track.book.status() for track in self.tracks}, "rate": self.totals()}

    def totals(self) -> dict[str, int]:
        """Writes due, sent and done."""
        return {"due": self.ledger.due, "sent": self.ledger.sent, "done": self.ledger.done}

    def end(self) -> dict[str, int]:
        """Nothing is due after now; what is open is given up. Everything is in the file when this returns."""
        gevent.killall(self._greenlets)
        self._let_arrive(clock.now_ns())
        for track in self.tracks:
            track.end()
        self.ledger.close(clock.now_ns())
        self._recorder.flush()
        return self.totals()

    def close(self) -> None:
        """Let go of what the routes hold besides their connections."""
        for track in self.tracks:
            track.close()
