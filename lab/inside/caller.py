"""One HTTP attempt, and exactly what became of it.

A request library would connect again and send again on its own; here every attempt is one attempt, because attempts
on dead instances are what the lab counts. Connections are the client's own and are kept alive per instance.
"""

from __future__ import annotations

import errno
import socket as plain
from typing import Any

from gevent import socket
from geventhttpclient._parser import HTTPParseError, HTTPResponseParser

from lab import clock
from lab.inside.pick import Instance

S = clock.S
PEEK = plain.MSG_PEEK | plain.MSG_DONTWAIT
UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})


class _Reply(HTTPResponseParser):
    """Reads replies of one connection, one after the other; bodies are read and dropped."""

    complete = False

    def _on_message_complete(self) -> None:
        self.complete = self.get_code() >= 200  # 1xx is only a foretaste

    def _nothing(self, *_: Any) -> None:
        pass

    _on_message_begin = _on_status = _on_header_field = _on_header_value = _nothing
    _on_body = _on_headers_complete = _nothing


class _Connection:
    __slots__ = ("reply", "socket")

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reply = _Reply()

    def usable(self) -> bool:
        """Whether an idle connection still stands: the other side has neither closed it nor said anything."""
        try:
            self.socket._sock.recv(1, PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class Call:
    """One intended request and what is known of it so far."""

    __slots__ = ("attempt_ns", "doubt", "due_ns", "node", "sent_ns", "tried", "written")

    def __init__(self, due_ns: int) -> None:
        self.due_ns = due_ns
        self.sent_ns: int | None = None
        self.attempt_ns: int | None = None
        self.node: str | None = None
        self.tried: list[list[Any]] = []
        self.written = False
        """Whether the whole request of the attempt that runs has gone out."""
        self.doubt = False
        """Whether an attempt was written and never answered: nobody knows whether it was carried out."""


class Caller:
    """The connections of one client."""

    def __init__(self, path: str, connect_timeout_s: float) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._request = f"GET {path} HTTP/1.1\r\nHost: shop\r\nUser-Agent: boring-lab\r\nAccept: */*\r\n\r\n".encode()
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    def attempt(self, call: Call, instance: Instance, deadline_ns: int) -> str:
        """One attempt. Returns "" when it was answered well, else why not; `call.written` says how far it went.

        refused, unreachable, timeout, reset, http_NNN, or garbled where the answer is no HTTP.
        """
        where = (instance.address, instance.port)
        connection = self._take(where)
        call.written = keep = False
        try:
            if connection is None:
                connection = _Connection()
                left_s = (deadline_ns - clock.now_ns()) / S
                connection.socket.settimeout(max(1e-6, min(self._connect_timeout_s, left_s)))
                connection.socket.connect(where)
            line, reply = connection.socket, connection.reply
            line.settimeout(max(1e-6, (deadline_ns - clock.now_ns()) / S))
            line.sendall(self._request)
            call.written = True
            reply.complete = False
            reply.feed(_received(line))
            while not reply.complete:
                left_ns = deadline_ns - clock.now_ns()
                if left_ns <= 0:
                    return "timeout"
                line.settimeout(left_ns / S)
                reply.feed(_received(line))
            keep = reply.should_keep_alive()
            code = reply.get_code()
            return "" if code < 400 else f"http_{code}"
        except OSError as error:
            return _why(error)
        except HTTPParseError:
            return "garbled"
        finally:
            if connection is not None:
                if keep:
                    self._idle.setdefault(where, []).append(connection)
                else:
                    connection.socket.close()

    def _take(self, where: tuple[str, int]) -> _Connection | None:
        idle = self._idle.get(where)
        while idle:
            connection = idle.pop()
            if connection.usable():
                return connection
            connection.socket.close()
        return None

    def close(self) -> None:
        """Close what is idle; what is open closes when its attempt ends."""
        for idle in self._idle.values():
            for connection in idle:
                connection.socket.close()
        self._idle.clear()


def _received(line: Any) -> bytes:
    data: bytes = line.recv(65536)
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "the other side closed before it had answered")
    return data


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return "reset"
    return "unreachable" if error.errno in UNREACHABLE else f"os_{errno.errorcode.get(error.errno or 0, error.errno)}"
