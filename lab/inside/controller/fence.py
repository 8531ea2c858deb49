"""Fencing the old primary, through the management port of its host: a network of its own, as IPMI is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

PORT = 5999
TIMEOUT_S = 2.0
"""A server may take a while to stop; a host without power never answers."""


class NotFenced(Exception):
    """It may still take writes, for all anybody knows; the message says why."""


async def fence(address: str, how: str, clients: Sequence[str], port: int = PORT) -> tuple[int, int]:
    """Fence a host's server; (after_ns, before_ns) of the change. Raises NotFenced."""
    line = orjson.dumps({"do": "fence", "how": how, "clients": list(clients)}) + b"\n"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(line)
                answer = orjson.loads(await reader.readline())
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise NotFenced("timeout") from None
    except (OSError, ValueError) as error:
        raise NotFenced(str(error) or type(error).__name__) from error
    if not answer.get("ok"):
        raise NotFenced(str(answer.get("error") or answer))
    return int(answer["after_ns"]), int(answer["before_ns"])
