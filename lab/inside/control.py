"""The control socket of a server inside a pod: one JSON line in, one JSON line out, then close.

It is an abstract unix socket, which belongs to the network namespace: the pod's agent reaches it, nobody else does.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import orjson

ADDRESS = "\0lab-control"
LINE_BYTES = 1 << 20

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""A command to its answer. It is called from the control thread, so it only reads, or hands over to its own loop."""


def serve(answer: Answer, address: str = ADDRESS) -> threading.Thread:
    """Answer commands in a thread that never ends; it listens when this returns."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(16)
    thread = threading.Thread(target=_serve, args=(listener, answer), name="control", daemon=True)
    thread.start()
    return thread


def _serve(listener: socket.socket, answer: Answer) -> None:
    while True:
        asker, _ = listener.accept()
        with asker:
            asker.settimeout(1.0)
            try:
                with asker.makefile("rb") as lines:
                    asker.sendall(_answer(answer, lines.readline(LINE_BYTES)) + b"\n")
            except OSError as error:
                print(f"control: the asker went away: {error}", file=sys.stderr)


def _answer(answer: Answer, line: bytes) -> bytes:
    try:
        return orjson.dumps(answer(orjson.loads(line)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # a bad command is an answer, not an end
        return orjson.dumps({"ok": False, "error": f"{type(error).__name__}: {error}"})
