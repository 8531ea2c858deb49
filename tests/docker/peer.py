"""Runs inside a test's container: `serve PORT` answers 8 bytes with "N", `talk HOST PORT` says 8 bytes when told.

`talk` prints what became of each line of its input: "N 0.1" (answered, after so many ms) or the error's name.
"""

from __future__ import annotations

import socket
import sys
import threading
import time


def answer(peer: socket.socket) -> None:
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while peer.recv(8):
                peer.sendall(b"N")
        except OSError as error:
            print(type(error).__name__, flush=True)


def serve(port: int) -> None:
    listener = socket.create_server(("", port))
    print("ready", flush=True)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=answer, args=(peer,), daemon=True).start()


def talk(host: str, port: int) -> None:
    peer = socket.create_connection((host, port), 5)
    peer.settimeout(0.5)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.monotonic()
        try:
            peer.sendall(b"12345678")
            got = peer.recv(1).decode()
        except OSError as error:
            got = type(error).__name__
        print(got, round((time.monotonic() - started) * 1e3, 2), flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    talk(sys.argv[2], int(sys.argv[3]))
