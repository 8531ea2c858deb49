"""What is recorded is read back: order, gaps, torn lines, and messages that name the file and line."""

from __future__ import annotations

import gc
from pathlib import Path

import orjson
import pytest

from lab.history import Event, History, Recorder
from lab.testing import Tale


def test_what_a_recorder_writes_a_history_reads(tmp_path: Path) -> None:
    """Every event with its envelope and its fields, and what the file says of itself."""
    recorder = Recorder(tmp_path, "agent/backend5")
    assert [recorder.record("lag", ticks=100), recorder.record("stall", 17, late_ns=3)] == [0, 1]
    recorder.close()
    history = History.read(tmp_path.glob("*.jsonl"))
    stall, lag = history
    assert (stall.t_ns, stall.kind, stall.ref, stall.fields["late_ns"]) == (17, "stall", ("agent/backend5", 1), 3)
    assert lag.ref == ("agent/backend5", 0)
    (source,) = history.sources
    assert (source.writer, source.incarnation, source.events) == ("agent/backend5", 1, 2)
    assert (source.gaps, source.torn) == (0, 0)
    assert source.boot_id


def test_a_writer_that_starts_again_opens_the_next_file(tmp_path: Path) -> None:
    """Two incarnations, two files, no gap."""
    for _ in range(2):
        recorder = Recorder(tmp_path, "service/backend1")
        recorder.record("instance.up")
        recorder.close()
    history = History.read(tmp_path.glob("*.jsonl"))
    assert [source.incarnation for source in history.sources] == [1, 2]
    assert (len(history), history.gaps) == (2, 0)


def write(path: Path, writer: str, *lines: dict[str, object] | bytes) -> Path:
    header = {"schema": 1, "writer": writer, "incarnation": 1, "boot_id": "b", "t_ns": 0, "wall": ""}
    path.write_bytes(b"".join(x if isinstance(x, bytes) else orjson.dumps(x) + b"\n" for x in (header, *lines)))
    return path


def event(t_ns: int, seq: int, kind: str = "x") -> dict[str, object]:
    return {"t_ns": t_ns, "seq": seq, "kind": kind}


def test_events_are_merged_by_time_writer_and_seq(tmp_path: Path) -> None:
    """Whatever the files are called, and although a file's stamps need not rise."""
    one = write(tmp_path / "1.jsonl", "zoo", event(5, 0), event(3, 1), event(5, 2))
    two = write(tmp_path / "2.jsonl", "ant", event(5, 0), event(4, 1))
    history = History.read([two, one])
    assert [(e.t_ns, e.writer, e.seq) for e in history] == [
        (3, "zoo", 1),
        (4, "ant", 1),
        (5, "ant", 0),
        (5, "zoo", 0),
        (5, "zoo", 2),
    ]
    assert list(History(reversed(history.events))) == list(history)


def test_a_torn_last_line_is_dropped_and_counted(tmp_path: Path) -> None:
    """The writer was killed while it wrote."""
    history = History.read([write(tmp_path / "a.jsonl", "a", event(1, 0), b'{"t_ns":2,"seq":1,"ki')])
    assert (len(history), history.torn, history.gaps) == (1, 1, 0)
    empty = tmp_path / "b.jsonl"
    empty.write_bytes(b'{"schema":1,"wri')
    assert (len(History.read([empty])), History.read([empty]).torn) == (0, 1)


@pytest.mark.parametrize(("seqs", "gaps"), [((0, 1, 2), 0), ((7, 8), 0), ((0, 2, 5), 3), ((3, 3), 1), ((5, 4), 2)])
def test_a_seq_that_skips_is_a_gap(tmp_path: Path, seqs: tuple[int, ...], gaps: int) -> None:
    """A trial's file may begin anywhere; from there on nothing may be missing or come twice."""
    history = History.read([write(tmp_path / "a.jsonl", "a", *(event(i, seq) for i, seq in enumerate(seqs)))])
    assert (history.gaps, history.sources[0].first_seq) == (gaps, seqs[0])


def test_what_is_no_history_is_named_with_file_and_line(tmp_path: Path) -> None:
    """No header, a broken line, a line without its envelope, a newer schema."""
    headless = tmp_path / "headless.jsonl"
    headless.write_bytes(b'{"t_ns":1}\n')
    with pytest.raises(ValueError, match=r"headless\.jsonl:1: not the header"):
        History.read([headless])
    with pytest.raises(ValueError, match=r"broken\.jsonl:3: not an event"):
        History.read([write(tmp_path / "broken.jsonl", "a", event(1, 0), b"{oops\n", event(2, 1))])
    with pytest.raises(ValueError, match=r"bare\.jsonl:2: not an event"):
        History.read([write(tmp_path / "bare.jsonl", "a", {"t_ns": 1})])
    newer = tmp_path / "newer.jsonl"
    newer.write_bytes(b'{"schema":99,"writer":"a"}\n')
    with pytest.raises(ValueError, match=r"written by a newer lab \(schema 99\)"):
        History.read([newer])
    assert gc.isenabled()


def test_events_of_several_kinds_come_in_order() -> None:
    """Of one, of several, of none, of one that is named twice; and again."""
    history = History([Event(t, "w", t, kind, {}) for t, kind in enumerate("abcab")])
    assert [e.t_ns for e in history.of("a")] == [0, 3]
    assert [e.t_ns for e in history.of("b", "a")] == [0, 1, 3, 4]
    assert [e.t_ns for e in history.of("a", "a")] == [0, 3]
    assert list(history.of("z")) == list(history.of()) == []
    assert [e.t_ns for e in history.of("b", "a")] == [0, 1, 3, 4]


def test_a_made_up_trial_is_the_same_from_files(tmp_path: Path) -> None:
    """What a test builds by hand is what a run folder would hold."""
    tale = Tale(rate_per_s=5).strike("crash", "backend2", 6.0)
    read = History.read(tale.write(tmp_path))
    assert [(e.t_ns, e.writer, e.seq, e.kind) for e in read] == [
        (e.t_ns, e.writer, e.seq, e.kind) for e in tale.history()
    ]
    assert read.plan == tale.history().plan
    assert {source.writer for source in read.sources} == {source.writer for source in tale.history().sources}
