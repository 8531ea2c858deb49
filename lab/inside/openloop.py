"""The load of one trial: every client, and the one greenlet that sends requests on their way when they are due.

Open loop: a stall, of the servers or of this process, does not silence it. What became due meanwhile is sent as soon
as possible and keeps its intended start, or is recorded as past its deadline.
"""

from __future__ import annotations

from random import Random
from typing import Any

import gevent

from lab import clock
from lab.history import Recorder
from lab.inside.alarm import Alarm
from lab.inside.arrivals import Arrivals, start_offset_ns
from lab.inside.client import Client, Manners
from lab.inside.ledger import Ledger
from lab.inside.routes import Discovery, maker_of
from lab.inside.ticker import Ticker
from lab.inside.views import in_groups

LEAD_NS = 50 * clock.MS
"""From the command to the first client that may start: time to make them all."""

WARM_UP_S = 0.25
"""From the last instant at which a client may start to the first request: every client has looked around by then,
and from there on the load has its whole rate."""


class OpenLoop:
    """All clients of a trial, from a `begin` message (lab.inside.clients). Clients are numbered from 1."""

    def __init__(self, message: dict[str, Any], recorder: Recorder) -> None:
        """Raises ValueError, KeyError or TypeError for a message that makes no sense."""
        self.seed, self.repeat = str(message["seed"]), int(message["repeat"])
        self.count, self.rate_per_s = int(message["clients"]), float(message["rate_per_s"])
        self._route = {"kind": message["route"]["kind"], "settings": dict(message["route"].get("settings") or {})}
        self._make_route = maker_of(self._route["kind"])
        manners = Manners(**{name: message[name] for name in Manners._fields if name in message})
        self._recorder = recorder
        origin_ns = clock.now_ns() + LEAD_NS
        self.ledger = Ledger(recorder, origin_ns)
        over_s = float(message.get("start_over_s", 1.0))
        starts = [
            (number, origin_ns + start_offset_ns(self.seed, number, self.repeat, over_s))
            for number in range(1, self.count + 1)
        ]
        self.clients = [
            Client(number, self.seed, self.repeat, start_ns, manners, recorder, self.ledger)
            for number, start_ns in starts
        ]
        warm_up_ns = int(float(message.get("warm_up_s", WARM_UP_S)) * clock.S)
        first_ns = origin_ns + int(over_s * clock.S) + warm_up_ns
        callers = [(number, first_ns) for number, _ in starts]
        self._arrivals = Arrivals(self.seed, self.repeat, callers, self.rate_per_s / self.count)
        recorder.record(
            "load.begin",
            origin_ns,
            trial=message.get("trial"),
            clients=self.count,
            rate_per_s=self.rate_per_s,
            seed=self.seed,
            repeat=self.repeat,
            route=self._route,
            start_over_s=over_s,
            warm_up_s=warm_up_ns / clock.S,
            **manners._asdict(),
        )
        self._greenlets: list[gevent.Greenlet] = []

    def route_of(self, client: Client) -> Discovery:
        """A new route for a client."""
        rng = Random(f"{self.seed}/route/{client.number}/{self.repeat}")
        return self._make_route(client.view, rng, self._route["settings"])

    def start(self) -> None:
        """Send requests from now on, watch the clock, write what was recorded every 100 ms."""
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
        clients = self.clients
        self._arrivals.pop_due(now_ns, lambda number, due_ns: clients[number - 1].arrive(due_ns))
        self.ledger.close_seconds(now_ns)

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
        """How many clients exist, what they believe, and the counts so far."""
        views = [client.view for client in self.clients]
        return {
            "clients": self.count,
            "started": sum(view.opened for view in views),
            "views": in_groups(views),
            "rate": self.totals(),
        }

    def totals(self) -> dict[str, int]:
        """Requests due, sent and done."""
        return {"due": self.ledger.due, "sent": self.ledger.sent, "done": self.ledger.done}

    def end(self) -> dict[str, int]:
        """Nothing is due after now; what is open is given up. Everything is in the file when this returns."""
        gevent.killall(self._greenlets)
        self._let_arrive(clock.now_ns())
        for client in self.clients:
            client.end()
        self.ledger.close(clock.now_ns())
        self._recorder.flush()
        return self.totals()

    def close(self) -> None:
        """Nothing: what clients hold, their own users let go of."""
