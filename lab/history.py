"""The history of a trial: an append-only recording, one file a writer, one JSON line an event.

First line of a file, the header:
    {"schema": 1, "writer": "agent/backend5", "incarnation": 1, "boot_id": "9f3c...", "t_ns": 8..., "wall": "2026-...Z"}
Every further line, the envelope plus the fields of its kind (all kinds: ARCHITECTURE.md, "Kinds of events"):
    {"t_ns": 8..., "seq": 41, "kind": "view", ...}

`t_ns` is CLOCK_MONOTONIC, `seq` counts from 0 within the writer and never skips: a gap makes the trial unknown.
A writer that starts again opens a new file with the next incarnation. A torn last line (the writer was
killed while it wrote) is dropped and counted. This file runs inside containers too: it needs orjson and nothing else.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lab import clock

SCHEMA = 1


class Event(NamedTuple):
    """One line of a history. `fields` also holds the envelope's keys."""

    t_ns: int
    writer: str
    seq: int
    kind: str
    fields: dict[str, Any]

    @property
    def ref(self) -> tuple[str, int]:
        """What evidence cites: (writer, seq)."""
        return (self.writer, self.seq)


class Recorder:
    """Appends events of one writer to one file. For several threads there is SharedRecorder."""

    def __init__(self, folder: Path, writer: str, *, buffered: bool = False) -> None:
        """Open the next incarnation's file in `folder`; unless `buffered`, every event goes to the file at once."""
        stem = writer.replace("/", "-")
        self.writer = writer
        self.incarnation = 1 + sum(1 for _ in folder.glob(f"{stem}.*.jsonl"))
        self.path = folder / f"{stem}.{self.incarnation}.jsonl"
        self._file = self.path.open("wb", buffering=1 << 20 if buffered else 0)
        self._seq = 0
        header = {
            "schema": SCHEMA,
            "writer": writer,
            "incarnation": self.incarnation,
            "boot_id": clock.boot_id(),
            "t_ns": clock.now_ns(),
            "wall": clock.wall(),
        }
        self._file.write(orjson.dumps(header) + b"\n")

    def record(self, kind: str, t_ns: int | None = None, **fields: Any) -> int:
        """Write one event, stamped now unless `t_ns` is given; returns its seq."""
        seq = self._seq
        self._seq = seq + 1
        line = {"t_ns": clock.now_ns() if t_ns is None else t_ns, "seq": seq, "kind": kind, **fields}
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return seq

    def flush(self) -> None:
        """Hand what is buffered to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close; a closed recorder records no more."""
        self._file.close()


class SharedRecorder(Recorder):
    """A Recorder that several threads may use."""

    def __init__(self, folder: Path, writer: str) -> None:
        super().__init__(folder, writer)
        self._lock = threading.Lock()

    def record(self, kind: str, t_ns: int | None = None, **fields: Any) -> int:
        """Write one event; returns its seq."""
        with self._lock:
            return super().record(kind, t_ns, **fields)

    def close(self) -> None:
        """Flush and close."""
        with self._lock:
            super().close()


class Source(NamedTuple):
    """What one file of a history says of itself."""

    writer: str
    incarnation: int
    boot_id: str
    first_seq: int
    events: int
    gaps: int
    torn: int


class History:
    """The events of one trial, merged by (t_ns, writer, seq). Iterate it; it can be iterated again."""

    def __init__(self, events: Iterable[Event], sources: Iterable[Source] = ()) -> None:
        self.events: list[Event] = sorted(events, key=attrgetter("t_ns", "writer", "seq"))
        self.sources = tuple(sources)
        self._by_kind: dict[str, list[int]] | None = None

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def torn(self) -> int:
        """Torn last lines that were dropped."""
        return sum(source.torn for source in self.sources)

    @property
    def gaps(self) -> int:
        """Missing sequence numbers over all files."""
        return sum(source.gaps for source in self.sources)

    def of(self, *kinds: str) -> Iterator[Event]:
        """Events of these kinds, in order. The first call looks through all events; a later one costs its answer."""
        if self._by_kind is None:
            self._by_kind = {}
            for place, event in enumerate(self.events):
                self._by_kind.setdefault(event[3], []).append(place)
        found = [self._by_kind[kind] for kind in dict.fromkeys(kinds) if kind in self._by_kind]
        places = found[0] if len(found) == 1 else sorted(place for places in found for place in places)
        return map(self.events.__getitem__, places)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The fields of the plan event; empty where there is none."""
        return next((event.fields for event in self.of("plan")), {})

    @classmethod
    def read(cls, files: Iterable[Path]) -> History:
        """Read every file of a trial. Raises ValueError that names the file and line when one is not a history."""
        with _without_collector():
            read = sorted((_read_file(path) for path in sorted(files)), key=lambda found: found[1].writer)
            history = cls((), (source for _, source in read))
            events = history.events
            for events_of, _ in read:
                events += events_of
            # Files come in order of writer and each in order of seq, so a stable sort by time gives (time, writer, seq)
            # at a tenth of the price of building a key of three for every event.
            events.sort(key=itemgetter(0))
        return history


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of new dicts make the cyclic collector look through all of them again and again; none is a cycle."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _read_file(path: Path) -> tuple[list[Event], Source]:
    lines = path.read_bytes().split(b"\n")
    torn = 1 if lines[-1] else 0  # a whole file ends with a newline
    del lines[-1]
    if not lines:
        return [], Source(path.stem, 0, "", 0, 0, 0, torn)
    loads = orjson.loads
    try:
        header = loads(lines[0])
        writer = header["writer"]
        if header["schema"] > SCHEMA:
            raise ValueError(f"{path}: written by a newer lab (schema {header['schema']}); read it with that one")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}:1: not the header of a history ({error})") from error
    events: list[Event] = []
    append = events.append
    make = Event._make
    first = expected = gaps = -1
    number = 1
    try:
        for number, line in enumerate(lines[1:], 2):  # noqa: B007 -- the error message tells it
            fields = loads(line)
            seq = fields["seq"]
            if seq != expected:
                if expected < 0:
                    first, gaps = seq, 0
                else:
                    gaps += abs(seq - expected)
            expected = seq + 1
            append(make((fields["t_ns"], writer, seq, fields["kind"], fields)))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}:{number}: not an event ({error})") from error
    source = Source(writer, header["incarnation"], header["boot_id"], max(first, 0), len(events), max(gaps, 0), torn)
    return events, source
