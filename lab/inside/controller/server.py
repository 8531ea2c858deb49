"""One database server as the controller knows it: a session that is kept open, so that a failover waits for nobody."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from lab.clock import S, now_ns
from lab.inside.sql import Failed, Row, Session

LOOK_EVERY_S = 0.5
RECENT_S = 2.0
"""A server that answered so lately is asked once more though its session was lost: it may have what nobody else has."""
NAME = "controller"


class Server:
    """A node, its address, and the session with it."""

    def __init__(self, node: str, address: str, timeout_s: float) -> None:
        self.node = node
        self.address = address
        self.timeout_s = timeout_s
        self.left = False
        """Nobody touches it any more: it was the primary, and another one has taken its place."""
        self._session: Session | None = None
        self._answered_ns = 0
        self._one_at_a_time = asyncio.Lock()
        self._again = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a session that answered when it was last used."""
        return self._session is not None and self._session.alive

    async def keep(self) -> None:
        """Hold the session for ever: look whether it answers, and open another one when it does not."""
        while True:
            if not self.left:
                with suppress(Failed):
                    await self._rows("select 1")
            self._again.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), LOOK_EVERY_S if self.connected else LOOK_EVERY_S / 5)

    def begin_anew(self) -> None:
        """Touch it again, and look now: it may have been started anew."""
        self.left = False
        self._again.set()

    def leave(self) -> None:
        """Let go of it."""
        self.left = True
        if self._session is not None:
            self._session.close()

    async def rows(self, query: str) -> list[Row]:
        """What a statement returns, over the session that is kept. Raises Failed; a dead host is not waited for."""
        if self.left or not (self.connected or now_ns() - self._answered_ns < RECENT_S * S):
            raise Failed("no session")
        return await self._rows(query)

    async def _rows(self, query: str) -> list[Row]:
        try:
            async with asyncio.timeout(2 * self.timeout_s), self._one_at_a_time:
                if self._session is None or not self._session.alive:
                    self._session = await Session.open(self.address, timeout_s=self.timeout_s, name=NAME)
                found = await self._session.rows(query, self.timeout_s)
                self._answered_ns = now_ns()
                return found
        except TimeoutError:
            raise Failed("timeout") from None
