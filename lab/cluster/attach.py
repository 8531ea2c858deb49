"""The lines to the agents of a stack: one socket a node to its stdin and stdout, one thread that reads them all."""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from lab.errors import NodeLost
from lab.protocols import Fields

LEASE_S = 5.0
"""A node heals itself when nobody renewed its lease for this long."""
RENEW_EVERY_S = 2.0

STDOUT = 1
_HEADER = 8


@dataclass(slots=True)
class _Line:
    """The connection to one agent; `keeper` owns the socket and must not be collected."""

    node: str
    keeper: Any
    wire: Any
    raw: bytearray = field(default_factory=bytearray)
    text: bytearray = field(default_factory=bytearray)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    sending: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class _Question:
    line: _Line | None
    answered: threading.Event = field(default_factory=threading.Event)
    answer: Fields | None = None


class Agents:
    """Asks the agents of a stack and renews their leases. Safe for several threads."""

    def __init__(self, look: Callable[[], None]) -> None:
        """`look` raises EngineLost when the engine is gone: a silent agent may have that reason."""
        self._look = look
        self._lines: dict[str, _Line] = {}
        self._errors: dict[str, deque[str]] = {}
        self._questions: dict[int, _Question] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._new: deque[_Line] = deque()
        self._lease_s = LEASE_S
        self._closed = False
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._read_all, name="agents", daemon=True)
        self._thread.start()

    def add(self, node: str, attached: Any) -> None:
        """Take over the socket that the engine's attach gave for a node's host."""
        wire = getattr(attached, "_sock", attached)
        line = _Line(node, attached, wire)
        with self._lock:
            self._lines[node] = line
            self._errors[node] = line.said
        self._new.append(line)
        self._wake()

    def ask(self, node: str, op: str, arguments: Mapping[str, Any], timeout_s: float) -> Fields:
        """One operation and its answer. Raises NodeLost (or EngineLost) without one, or when the agent refuses."""
        number = next(self._numbers)
        with self._lock:
            line = self._lines.get(node)
            question = self._questions[number] = _Question(line)
        try:
            if line is None or not self._send(line, {"id": number, "op": op, **arguments}):
                self._look()
                raise NodeLost(f"{node}: its host is gone{self._last_words(node)}")
            in_time = question.answered.wait(timeout_s)
        finally:
            with self._lock:
                self._questions.pop(number, None)
        answer = question.answer
        if answer is None:
            self._look()
            why = f"did not answer {op!r} within {timeout_s:g} s" if not in_time else f"went away during {op!r}"
            raise NodeLost(f"{node}: its agent {why}{self._last_words(node)}")
        if not answer.get("ok"):
            raise NodeLost(f"{node}: its agent refused {op!r}: {answer.get('error')}")
        return answer

    def keep(self) -> None:
        """Lease the nodes for ever and stop renewing."""
        self._lease_s = 0.0
        self._renew()

    def close(self) -> None:
        """Let go of every agent; their leases run out by themselves unless kept."""
        self._closed = True
        self._wake()
        self._thread.join(5)
        if not self._lease_s:
            self._renew()  # the thread may have sent one last short lease behind the endless one
        for line in self._lines.values():
            _close(line)
        self._waker.close()
        self._woken.close()

    def _last_words(self, node: str) -> str:
        words = " / ".join(self._errors.get(node, ()))
        return f"; its last words: {words}" if words else ""

    def _send(self, line: _Line, request: Fields) -> bool:
        try:
            with line.sending:
                line.wire.sendall(orjson.dumps(request) + b"\n")
        except (OSError, ValueError):
            return False
        return True

    def _renew(self) -> None:
        with self._lock:
            lines = tuple(self._lines.values())
        for line in lines:
            self._lease(line)

    def _lease(self, line: _Line) -> None:
        self._send(line, {"op": "lease", "seconds": self._lease_s})

    def _wake(self) -> None:
        with suppress(OSError):
            self._waker.send(b"x")

    # -- the reading thread --------------------------------------------------------------------------------------

    def _read_all(self) -> None:
        renew_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ, None)
            while not self._closed:
                ready = selector.select(max(0.0, renew_at - time.monotonic()))
                for key, _ in ready:
                    if key.data is None:
                        self._woken.recv(4096)
                    elif not self._read(key.data):
                        selector.unregister(key.fileobj)
                        self._end(key.data)
                while self._new:
                    line = self._new.popleft()
                    selector.register(line.wire, selectors.EVENT_READ, line)
                    self._lease(line)
                if time.monotonic() >= renew_at:
                    renew_at = time.monotonic() + RENEW_EVERY_S
                    if self._lease_s:
                        self._renew()

    def _read(self, line: _Line) -> bool:
        """Take in what a socket has; False at its end."""
        try:
            part = line.wire.recv(65536)
            while getattr(line.wire, "pending", int)():  # TLS holds bytes back that select does not see
                part += line.wire.recv(65536)
        except OSError:
            return False
        line.raw += part
        for text in frames(line.raw, line.text, line.said):
            self._hear(text)
        return bool(part)

    def _hear(self, text: bytes) -> None:
        with suppress(orjson.JSONDecodeError):
            answer = orjson.loads(text)
            with self._lock:
                question = self._questions.get(answer.get("id"))
            if question is not None:
                question.answer = answer
                question.answered.set()

    def _end(self, line: _Line) -> None:
        with self._lock:
            if self._lines.get(line.node) is line:  # not when its host was started anew meanwhile
                del self._lines[line.node]
            asked = [question for question in self._questions.values() if question.line is line]
        _close(line)
        for question in asked:
            question.answered.set()


def frames(raw: bytearray, text: bytearray, said: deque[str]) -> list[bytes]:
    """Split the engine's multiplexed stream: whole lines of stdout are returned, lines of stderr go to `said`.

    A frame is one byte of stream, three of padding, four of length (big endian) and its payload. What is not whole
    yet stays in `raw` and `text`.
    """
    while len(raw) >= _HEADER:
        end = _HEADER + int.from_bytes(raw[4:_HEADER])
        if len(raw) < end:
            break
        payload = bytes(raw[_HEADER:end])
        stream = raw[0]
        del raw[:end]
        if stream == STDOUT:
            text += payload
        else:
            said.extend(payload.decode(errors="replace").splitlines())
    *lines, rest = bytes(text).split(b"\n")
    text[:] = rest
    return lines


def _close(line: _Line) -> None:
    with suppress(OSError):
        line.keeper.close()
    with suppress(OSError):
        line.wire.close()
