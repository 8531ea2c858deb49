"""When the registrar puts an instance in and takes it out, and how an answer to a check is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lab.inside.registrar import Health, Rules, ask

RULES = Rules(interval_s=1, timeout_s=0.3, failures_to_remove=2, successes_to_add=3)


def present_after(*checks: str, start: bool) -> list[bool]:
    health = Health(present=start)
    after = []
    for why in checks:
        health.take(why, RULES)
        after.append(health.present)
    return after


def test_out_after_so_many_failures_in_a_row() -> None:
    """A good check between two failed ones begins the count anew."""
    assert present_after("refused", "", "timeout", "timeout", start=True) == [True, True, True, False]


def test_in_after_so_many_good_checks_in_a_row() -> None:
    """A failed check begins the count anew."""
    assert present_after("", "", "reset", "", "", "", start=False) == [False] * 5 + [True]


def test_out_at_once_when_it_says_that_it_drains() -> None:
    """A goodbye needs no second opinion."""
    assert present_after("draining", start=True) == [False]


def test_out_stays_out() -> None:
    """Further failures change nothing, and are no change."""
    health = Health(present=False)
    assert [health.take("refused", RULES) for _ in range(3)] == [False] * 3


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def checked(handler: Handler) -> str:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        return await ask("127.0.0.1", server.sockets[0].getsockname()[1], 0.1)


def replies(text: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        writer.close()

    return handler


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "draining"),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "http_500"),
        (b"", "reset"),
    ],
)
def test_a_check_reads_the_status(text: bytes, why: str) -> None:
    """200 is good; anything else says why it is not."""
    assert asyncio.run(checked(replies(text))) == why


def test_a_check_fails_by_timeout_when_nothing_comes() -> None:
    """A paused server accepts and says nothing: the whole exchange has check_timeout_s."""

    async def silent() -> str:
        over = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        async with server:
            why = await ask("127.0.0.1", server.sockets[0].getsockname()[1], 0.1)
            over.set()
            return why

    assert asyncio.run(silent()) == "timeout"


def test_a_closed_port_is_refused() -> None:
    """A crashed server's host answers for it."""

    async def closed() -> str:
        server = await asyncio.start_server(replies(b""), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await ask("127.0.0.1", port, 0.1)

    assert asyncio.run(closed()) == "refused"
