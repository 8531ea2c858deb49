"""One simulated client: its view, its connections, and what becomes of each of its requests.

Outcomes: ok; fail (certainly not done: refused, no instance, too late to send, an error answered); info (nobody
knows: the request had gone out whole and was not answered).
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import NamedTuple

import gevent
from gevent.event import Event

from lab import clock
from lab.history import Recorder
from lab.inside.caller import Call, Caller
from lab.inside.ledger import Ledger
from lab.inside.pick import RULES, Instance, Rule
from lab.inside.views import ClientView


class Manners(NamedTuple):
    """How the clients of a load behave."""

    service: str = "shop"
    pick: str = "srv"
    connect_timeout_s: float = 0.5
    deadline_s: float = 1.0
    pool: int = 8
    """Requests that one client may have open; more that are due wait, and are late."""
    retries: int = 1
    path: str = "/"


class Client:
    """Sends its requests when they are due, to an instance of the view in use at that moment."""

    def __init__(
        self, number: int, seed: str, repeat: int, start_ns: int, manners: Manners, recorder: Recorder, ledger: Ledger
    ) -> None:
        self.number = number
        self.start_ns = start_ns
        self.view = ClientView(recorder, number, manners.service, Event())
        self._recorder = recorder
        self._ledger = ledger
        self._manners = manners
        self._deadline_ns = int(manners.deadline_s * clock.S)
        self._rng = Random(f"{seed}/pick/{number}/{repeat}")
        self._make_rule = RULES[manners.pick]
        self._rule: Rule | None = None
        self._rule_of = -1
        self._caller = Caller(manners.path, manners.connect_timeout_s)
        self._waiting: deque[Call] = deque()
        self._calls: dict[Call, object] = {}
        self._workers: dict[object, None] = {}
        self._busy = 0

    def arrive(self, due_ns: int) -> None:
        """A request is due: it is sent at once where the pool has room, else as soon as it has."""
        call = Call(due_ns)
        self._calls[call] = None
        self._ledger.add_due(due_ns)
        if self._busy < self._manners.pool:
            self._busy += 1
            worker = gevent.Greenlet(self._work, call)
            self._workers[worker] = None
            worker.start()
        else:
            self._waiting.append(call)

    def end(self) -> None:
        """Give up what is open and record it; the client sends nothing more."""
        self._waiting.clear()
        for call in list(self._calls):
            self._finish(call, "info" if call.written or call.doubt else "fail", "ended")
        self.view.close()
        gevent.killall(list(self._workers), block=False)
        self._caller.close()

    def _work(self, call: Call) -> None:
        try:
            while True:
                try:
                    self._perform(call)
                except Exception as error:  # a mistake of ours: this request is in doubt, and it says why
                    self._finish(call, "info", f"lab: {error!r}")
                if not self._waiting:
                    break
                call = self._waiting.popleft()
        finally:
            self._busy -= 1
            self._workers.pop(gevent.getcurrent(), None)

    def _perform(self, call: Call) -> None:
        deadline_ns = call.due_ns + self._deadline_ns
        if clock.now_ns() >= deadline_ns:
            return self._finish(call, "fail", "deadline")
        if not self.view.settled and not self.view.await_settled(deadline_ns):
            return self._finish(call, "fail", "no_instance")
        instance = self._choose()
        if instance is None:
            return self._finish(call, "fail", "no_instance")
        call.sent_ns = call.attempt_ns = clock.now_ns()
        self._ledger.add_sent(call.due_ns, call.sent_ns)
        while True:
            call.node = instance.node
            why = self._caller.attempt(call, instance, deadline_ns)
            if not why:
                return self._finish(call, "ok")
            answered = why.startswith("http_")
            call.doubt |= call.written and not answered
            other = None if answered else self._choose_another(call, deadline_ns)
            if other is None:
                return self._finish(call, "info" if call.doubt else "fail", why)
            call.tried.append([call.node, call.attempt_ns, why])
            call.attempt_ns, instance = clock.now_ns(), other

    def _choose(self) -> Instance | None:
        if self._rule_of != self.view.version:
            instances = self.view.instances
            self._rule = self._make_rule(instances) if instances else None
            self._rule_of = self.view.version
        return self._rule.choose(self._rng) if self._rule is not None else None

    def _choose_another(self, call: Call, deadline_ns: int) -> Instance | None:
        """Whom to try next after a failed attempt; None when nobody is left, or no time, or no try."""
        if len(call.tried) >= self._manners.retries or clock.now_ns() >= deadline_ns:
            return None
        if not self.view.settled and not self.view.await_settled(deadline_ns):
            return None
        tried = {call.node, *(node for node, _, _ in call.tried)}
        others = [instance for instance in self.view.instances if instance.node not in tried]
        return self._make_rule(others).choose(self._rng) if others else None

    def _finish(self, call: Call, outcome: str, why: str = "") -> None:
        if self._calls.pop(call, self) is self:
            return  # the load has ended and has recorded it
        now_ns = clock.now_ns()
        more: dict[str, object] = {"why": why} if why else {}
        if call.tried:
            more["tried"] = call.tried
            more["last_sent_ns"] = call.attempt_ns
        self._recorder.record(
            "request",
            now_ns,
            client=self.number,
            due_ns=call.due_ns,
            sent_ns=call.sent_ns,
            node=call.node,
            outcome=outcome,
            **more,
        )
        self._ledger.add_done(now_ns)
