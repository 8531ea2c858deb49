"""The scripted registry tells each client of a change exactly so much later."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from lab import clock
from lab.errors import BadInput
from lab.history import History, Recorder
from lab.inside import scripted
from lab.systems import Scripted

DELAYS_S = (0.05, 0.2)


async def connect(port: int, client: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client's connection, after its hello."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(orjson.dumps({"client": client}) + b"\n")
    return reader, writer


async def next_change(reader: asyncio.StreamReader) -> tuple[list[str], int]:
    """The nodes of the next line, and when it came."""
    line = await asyncio.wait_for(reader.readline(), 5)
    return [instance["node"] for instance in orjson.loads(line)["instances"]], clock.now_ns()


async def play(registry: scripted.Registry) -> dict[int, list[tuple[list[str], int]]]:
    """One instance comes and is killed; what clients 2 and 3 were told."""
    kept: list[asyncio.StreamWriter] = []
    instance = await asyncio.start_server(lambda _, writer: kept.append(writer), "127.0.0.1", scripted.INSTANCE_PORT)
    server = await asyncio.start_server(registry.serve, "127.0.0.1", 0)
    clients = {number: await connect(server.sockets[0].getsockname()[1], number) for number in (2, 3)}
    assert [(await next_change(reader))[0] for reader, _ in clients.values()] == [[], []]
    watching = asyncio.create_task(registry.watch("backend1"))
    seen = {number: [await next_change(reader)] for number, (reader, _) in clients.items()}
    instance.close()
    for writer in kept:
        writer.transport.abort()
    for number, (reader, _) in clients.items():
        seen[number].append(await next_change(reader))
    watching.cancel()
    server.close()
    for _, writer in clients.values():
        writer.close()
        await writer.wait_closed()
    await asyncio.gather(watching, return_exceptions=True)
    return seen


def test_clients_learn_after_their_own_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    """Client c after delays_s[c % 2], soon, never early; detected and published are recorded once a change."""
    monkeypatch.setattr(scripted, "INSTANCE_PORT", free_port)
    with closing(Recorder(tmp_path, "registry")) as recorder:
        registry = scripted.Registry(recorder, "shop", {"backend1": "127.0.0.1"}, list(DELAYS_S))
        seen = asyncio.run(play(registry))
        history = History.read([recorder.path])
    came, went = (event.t_ns for event in history.of("registry.detected"))
    for client, delay_s in ((2, DELAYS_S[0]), (3, DELAYS_S[1])):
        (there, came_at_ns), (gone, went_at_ns) = seen[client]
        assert (there, gone) == (["backend1"], [])
        assert 0 <= came_at_ns - came - delay_s * clock.S < 200 * clock.MS
        assert 0 <= went_at_ns - went - delay_s * clock.S < 200 * clock.MS
    assert [(e.fields["node"], e.fields["present"]) for e in history.of("registry.published")] == [
        ("backend1", True),
        ("backend1", False),
    ]


@pytest.fixture
def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_system_promises_what_the_script_says() -> None:
    """Up to the longest delay after it saw it; nothing about what a connection does not show."""
    system = Scripted(delays_s=(0.5, 3.0))
    bounds = system.bounds("crash")
    assert bounds is not None and bounds.high_s == pytest.approx(3.1)
    assert system.bounds("pause") is None
    assert system.environment["LAB_DELAYS_S"] == "0.5,3"


@pytest.mark.parametrize("delays_s", [(), [0.5], (-1.0,), ("1",)])
def test_a_script_that_makes_no_sense_is_bad_input(delays_s: object) -> None:
    """With the field in the sentence."""
    with pytest.raises(BadInput, match="delays_s"):
        Scripted(delays_s=delays_s)  # type: ignore[arg-type]
