"""What the writers of a stack wrote since the last time, as one tar: per file its header line and what is new."""

from __future__ import annotations

import io
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


def collect(folder: Path, offsets: dict[str, int]) -> dict[str, object]:
    """Write folder/.collect/<n>.tar of every file of `folder` that has whole lines after its offset (in bytes).

    Answers {path, offsets: where the next collect goes on, files: names in the tar}. A line that is still being
    written is left for the next time. The tar of the time before is removed.
    """
    place = folder / ".collect"
    place.mkdir(exist_ok=True)
    before = sorted(place.iterdir())
    number = 1 + max((int(path.stem) for path in before if path.stem.isdecimal()), default=0)
    for path in before:
        path.unlink(missing_ok=True)
    path = place / f"{number}.tar"
    new = dict(offsets)
    names: list[str] = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar, ExitStack() as files:
        for source in sorted(folder.glob("*.jsonl")):
            file = files.enter_context(source.open("rb"))
            header = file.readline()
            start = max(offsets.get(source.name, 0), len(header))
            end = _last_line_end(file, start)
            new[source.name] = max(end, start)
            # A file without news is left out: a writer that is long dead is no part of this trial.
            if not header.endswith(b"\n") or (end <= start and source.name in offsets):
                continue
            member = tarfile.TarInfo(source.name)
            member.size = len(header) + max(0, end - start)
            file.seek(start)
            tar.addfile(member, _Joined(header, file))
            names.append(source.name)
    return {"path": str(path), "offsets": new, "files": names}


def _last_line_end(file: BinaryIO, start: int) -> int:
    """The offset behind the last newline at or after `start`; `start` where there is none."""
    end = file.seek(0, io.SEEK_END)
    while end > start:
        begin = max(start, end - CHUNK)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return start


class _Joined(io.RawIOBase):
    """A header line and then a file from where it stands; tarfile reads only as much as the member's size."""

    def __init__(self, header: bytes, file: BinaryIO) -> None:
        self._header = header
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        head, self._header = self._header[:size], self._header[size:]
        return head + self._file.read(size - len(head))
