"""Runs inside a pod of a DNS arm: how long after an UPDATE does a caching resolver serve the new address?

Arguments: samples, TTL in s, seed. Ten names, each kept hot by a query every 10 ms; each is updated at instants
uniform against the resolver's cycle. Prints a JSON list of seconds from the UPDATE's acknowledgement to the answer.
"""

import asyncio
import json
import os
import random
import socket
import sys
import time

import dns.asyncquery
import dns.message
import dns.tsig
import dns.update

ZONE = "lab.test"
NAMES = 10
KEY = dns.tsig.Key("lab", os.environ["LAB_TSIG_SECRET"], "hmac-sha256")


async def update(name: str, ttl: int, address: str) -> float:
    """Replace the name's address on ns1; returns the monotonic instant of the acknowledgement."""
    message = dns.update.UpdateMessage(ZONE, keyring=KEY)
    message.replace(name, ttl, "A", address)
    answer = await dns.asyncquery.udp(message, socket.gethostbyname("ns1"), timeout=2)
    assert answer.rcode() == 0, answer
    return time.monotonic()


async def seen(name: str, address: str, resolver: str, give_up_s: float) -> float:
    """Poll the resolver until it serves the address; returns that instant."""
    end = time.monotonic() + give_up_s
    query = dns.message.make_query(f"{name}.{ZONE}", "A")
    while time.monotonic() < end:
        asked = time.monotonic()
        answer = await dns.asyncquery.udp(query, resolver, timeout=1)
        if any(str(item) == address for rrset in answer.answer for item in rrset):
            return time.monotonic()
        await asyncio.sleep(max(0.0, 0.01 - (time.monotonic() - asked)))
    raise SystemExit(f"{name} did not come to {address} within {give_up_s} s")


async def one(index: int, count: int, ttl: int, draw: random.Random) -> list[float]:
    name, resolver = f"truth{index}", socket.gethostbyname("resolver")
    await update(name, ttl, "10.9.0.0")
    await seen(name, "10.9.0.0", resolver, 3 * ttl + 5)
    found = []
    for number in range(1, count + 1):
        address = f"10.9.{index}.{number}"
        # The resolver refetched just now, so a wait uniform over the TTL makes the phase uniform.
        until = time.monotonic() + draw.uniform(0, ttl)
        while time.monotonic() < until:
            await dns.asyncquery.udp(dns.message.make_query(f"{name}.{ZONE}", "A"), resolver, timeout=1)
            await asyncio.sleep(min(0.01, max(0.0, until - time.monotonic())))
        acked = await update(name, ttl, address)
        found.append(await seen(name, address, resolver, 2 * ttl + 2) - acked)
    return found


async def main() -> None:
    samples, ttl, seed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    each = -(-samples // NAMES)
    found = await asyncio.gather(*(one(i, each, ttl, random.Random(f"{seed}/{i}")) for i in range(NAMES)))
    print(json.dumps([value for values in found for value in values]))


asyncio.run(main())
