"""Looks at the own server again and again, and records every change between the two looks that enclose it.

A look costs a fifth of a millisecond of a core, and three servers share two cores with all that is measured. So a quiet
server is looked at every 25 ms, and every 5 ms while something goes on: a line in its log (a promotion announces itself
there before it happens), a change, the end of its process.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress

from lab.clock import MS, S, now_ns
from lab.history import SharedRecorder
from lab.inside.database.asked import Observed
from lab.inside.database.settings import Settings

QUIET_NS = 25 * MS
BUSY_NS = 5 * MS
BUSY_FOR_NS = 1 * S
DOWN_FOR_NS = 50 * MS
"""The same for a server that does not accept connections yet: it makes a process, and a line, to say so each time."""
SILENCE_NS = 500 * MS
"""After so long without a look (this process, or the server, was stopped) the state is recorded again as it is."""


class Watch:
    """The state of the own server: `now` is what was seen last, at `answered_ns`.

    A server that hangs keeps the state it had, for nobody knows better; `answered_ns` tells.
    """

    def __init__(self, settings: Settings, events: SharedRecorder) -> None:
        self.now = Observed()
        self.answered_ns = self._looked_ns = now_ns()
        self._settings = settings
        self._events = events
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._busy_ns = self._looked_ns
        self._told = False
        self._changed = threading.Condition()

    def start(self) -> None:
        """Look for ever, in a thread."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def wake(self) -> None:
        """Something goes on: look now, and often for a while."""
        self._busy_ns = now_ns()
        os.eventfd_write(self._wake, 1)

    def await_up(self, limit_s: float, *, up: bool = True) -> bool:
        """Wait until the server answers (or does not any more); False when that did not come within `limit_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: (self.now.state != "down") is up, limit_s)

    def _run(self) -> None:
        # Imported here: the server is started before its client library is loaded.
        from lab.inside.database.look import Look, Refused, Silent

        look = Look(self._settings.nodes)
        due_ns = now_ns()
        while True:
            asked_ns = now_ns()
            try:
                self._take(look(), asked_ns)
            except Refused:
                self._take(Observed(timeline=self.now.timeline, lsn=self.now.lsn), asked_ns)
            except Silent:
                pass
            looked_ns = now_ns()
            busy_for_ns = DOWN_FOR_NS if self.now.state == "down" else BUSY_FOR_NS
            every_ns = BUSY_NS if looked_ns < self._busy_ns + busy_for_ns else QUIET_NS
            due_ns += every_ns
            if due_ns < looked_ns:  # what was missed is not made up for
                due_ns = looked_ns + every_ns
            if self._sleep(look.socket, (due_ns - looked_ns) / MS):
                due_ns = now_ns()

    def _sleep(self, connection: int | None, ms: float) -> bool:
        """Wait for the next look; True when something happened before: a wake, or the connection was closed."""
        waiting = select.poll()
        waiting.register(self._wake, select.POLLIN)
        if connection is not None:
            waiting.register(connection, select.POLLIN)
        happened = waiting.poll(ms)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        return bool(happened)

    def _take(self, seen: Observed, asked_ns: int) -> None:
        """A look that was asked at `asked_ns` and is answered now: what it says was true at an instant between."""
        self.answered_ns = now_ns()
        changed = not self._told or seen.essence != self.now.essence
        if changed:
            self._told = True
            self._busy_ns = self.answered_ns
            self._record(seen, self._looked_ns)
        elif asked_ns - self._looked_ns > SILENCE_NS:
            self._record(seen, asked_ns)
        self._looked_ns = asked_ns
        self.now = seen
        if changed:
            with self._changed:
                self._changed.notify_all()

    def _record(self, seen: Observed, after_ns: int) -> None:
        self._events.record(
            "database.state",
            self.answered_ns,
            node=self._settings.node,
            incarnation=self._events.incarnation,
            state=seen.state,
            timeline=seen.timeline,
            lsn=seen.lsn,
            upstream=seen.upstream,
            receiving=seen.receiving,
            sync=len(seen.sync),
            after_ns=after_ns,
            before_ns=self.answered_ns,
        )
