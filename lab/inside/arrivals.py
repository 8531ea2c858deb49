"""When requests are due: an open loop. Each client has its own Poisson process, from a key that names nobody else.

So the same seed gives the same instants, and taking a client away moves no other client's requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heapreplace
from math import log
from random import Random

from lab.clock import S

NEVER_NS = 1 << 62


def start_offset_ns(seed: str, client: int, repeat: int, over_s: float) -> int:
    """When a client begins to exist, after the load's begin: uniform over `over_s` seconds."""
    return int(Random(f"{seed}/start/{client}/{repeat}").random() * over_s * S)


class Arrivals:
    """The next due instant of every client, in one heap."""

    def __init__(self, seed: str, repeat: int, starts_ns: Iterable[tuple[int, int]], rate_per_s: float) -> None:
        """`starts_ns` has (client, its start); `rate_per_s` is the rate of one client, 0 for no requests at all."""
        self._mean_ns = S / rate_per_s if rate_per_s > 0 else 0.0
        self._heap: list[tuple[int, int, Callable[[], float]]] = []
        if not rate_per_s > 0:
            return
        for client, start_ns in starts_ns:
            uniform = Random(f"{seed}/arrivals/{client}/{repeat}").random
            self._heap.append((start_ns + self._gap_ns(uniform), client, uniform))
        heapify(self._heap)

    def _gap_ns(self, uniform: Callable[[], float]) -> int:
        return int(-log(1.0 - uniform()) * self._mean_ns)  # Random.expovariate, without its calls

    @property
    def next_ns(self) -> int:
        """The earliest instant at which something is due."""
        return self._heap[0][0] if self._heap else NEVER_NS

    def pop_due(self, now_ns: int, arrive: Callable[[int, int], None]) -> None:
        """Call arrive(client, due_ns) for everything due by now, in order of due_ns, each exactly once."""
        heap, mean_ns = self._heap, self._mean_ns
        while heap and heap[0][0] <= now_ns:
            due_ns, client, uniform = heap[0]
            heapreplace(heap, (due_ns + int(-log(1.0 - uniform()) * mean_ns), client, uniform))
            arrive(client, due_ns)
