"""The stream of an attached container, taken apart."""

from __future__ import annotations

from collections import deque

from lab.cluster.attach import frames


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4) + payload


def test_lines_come_whole_however_the_stream_is_cut() -> None:
    """Every way to cut the bytes in two gives the same lines; stderr is kept apart."""
    stream = frame(1, b'{"id":1}\n{"id"') + frame(2, b"oops\n") + frame(1, b":2}\n")
    for cut in range(len(stream) + 1):
        raw, text, said = bytearray(), bytearray(), deque[str]()
        lines: list[bytes] = []
        for part in (stream[:cut], stream[cut:]):
            raw += part
            lines += frames(raw, text, said)
        assert lines == [b'{"id":1}', b'{"id":2}']
        assert list(said) == ["oops"]
        assert not raw and not text


def test_what_is_not_whole_waits() -> None:
    """A line without its end is not a line yet."""
    raw, text = bytearray(frame(1, b"half")), bytearray()
    assert frames(raw, text, deque()) == []
    assert bytes(text) == b"half"
