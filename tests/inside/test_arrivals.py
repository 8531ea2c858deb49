"""Requests are due at instants that the seed alone decides, client by client."""

from __future__ import annotations

from itertools import pairwise

from lab.clock import S
from lab.inside.arrivals import NEVER_NS, Arrivals, start_offset_ns


def due(clients: list[int], *, seed: str = "7", repeat: int = 1, until_s: float = 5.0) -> list[tuple[int, int]]:
    """(client, due_ns) of everything due in the first seconds, popped in uneven steps."""
    found: list[tuple[int, int]] = []
    arrivals = Arrivals(seed, repeat, [(client, client * 1000) for client in clients], 10.0)
    now_ns = 0
    while now_ns < until_s * S:
        now_ns += 37_000_000 if len(found) % 2 else 400_000_000
        arrivals.pop_due(min(now_ns, int(until_s * S)), lambda client, due_ns: found.append((client, due_ns)))
    return found


def test_the_same_seed_gives_the_same_instants() -> None:
    """And another seed or repeat gives others."""
    assert due([1, 2, 3]) == due([1, 2, 3])
    assert due([1, 2, 3]) != due([1, 2, 3], seed="8")
    assert due([1, 2, 3]) != due([1, 2, 3], repeat=2)


def test_taking_a_client_away_changes_no_other() -> None:
    """Draws are keyed, not taken from one stream."""
    without = [(client, due_ns) for client, due_ns in due([1, 2, 3]) if client != 2]
    assert due([1, 3]) == without


def test_arrivals_come_in_order_and_each_once() -> None:
    """However late the dispatcher looks."""
    found = due([1, 2, 3, 4])
    instants = [due_ns for _, due_ns in found]
    assert instants == sorted(instants)
    assert len(set(found)) == len(found)


def test_the_rate_is_the_rate_and_the_gaps_are_exponential() -> None:
    """4 clients x 10/s x 50 s: the count within four sigmas; mean and spread of one client's gaps are equal."""
    found = due([1, 2, 3, 4], until_s=50.0)
    assert abs(len(found) - 2000) < 4 * 2000**0.5
    mine = [due_ns for client, due_ns in found if client == 1]
    gaps = [(after - before) / S for before, after in pairwise(mine)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.8 < spread / mean < 1.2


def test_no_rate_means_no_requests() -> None:
    """A load may be views only."""
    arrivals = Arrivals("7", 1, [(1, 0)], 0.0)
    assert arrivals.next_ns == NEVER_NS


def test_clients_start_spread_over_the_whole_second_by_their_own_key() -> None:
    """Uniform enough over 300 clients, and the same for a client whoever else there is."""
    offsets = [start_offset_ns("7", client, 1, 1.0) for client in range(1, 301)]
    assert all(0 <= offset < S for offset in offsets)
    tenths = [sum(offset // (S // 10) == tenth for offset in offsets) for tenth in range(10)]
    assert min(tenths) >= 12
