"""The counts of every second add up to the totals."""

from __future__ import annotations

from pathlib import Path

from lab.clock import MS, S
from lab.history import History, Recorder
from lab.inside.ledger import Ledger


def test_seconds_add_up_even_when_they_are_closed_late(tmp_path: Path) -> None:
    """A stall of two seconds: what was due counts in its own second, what was sent in the one it was sent in."""
    recorder = Recorder(tmp_path, "clients")
    ledger = Ledger(recorder, 10 * S)
    ledger.add_due(10 * S + 1)
    ledger.add_sent(10 * S + 1, 10 * S + 2)
    ledger.add_done(10 * S + 3)
    for due_ns in (11 * S, 12 * S):
        ledger.add_due(due_ns)
    ledger.close_seconds(13 * S + 5 * MS)
    ledger.add_sent(12 * S, 13 * S + 5 * MS)
    ledger.add_done(13 * S + 6 * MS)
    ledger.add_done(13 * S + 7 * MS)
    ledger.close(13 * S + 8 * MS)
    recorder.close()
    seconds = [event.fields for event in History.read([recorder.path]).of("load.second")]
    assert [(s["second"], s["due"], s["sent"], s["done"], s["open"]) for s in seconds] == [
        (0, 1, 1, 1, 0),
        (1, 1, 0, 0, 1),
        (2, 1, 0, 0, 2),
        (3, 0, 1, 2, 0),
    ]
    assert [s["late_ms_p99"] for s in seconds] == [0.0, None, None, 1005.0]
    (end,) = [event.fields for event in History.read([recorder.path]).of("load.end")]
    assert (end["due"], end["sent"], end["done"]) == (3, 2, 3)
