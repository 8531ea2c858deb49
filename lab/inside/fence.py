"""Fencing: what another node may order this one to do, so that a server that may still live can do no harm.

The agent listens on a TCP port of the pod, as a management board would (IPMI): JSON, a line each way.

    {"do": "ping"}                                                   -> {ok}
    {"do": "fence", "how": ..., "clients": [address, ...]}           -> {ok, after_ns, before_ns, error}
    {"do": "unfence"}                                                -> the same

    stop          SIGKILL to every process of the server; who runs the pod starts it again
    cut_clients   port 5432 answers these clients with RST, established sessions too
    read_only     new transactions may only read, and every session that began before is ended

After `before_ns` nothing more can be acknowledged (with cut_clients: to those clients).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from lab import clock
from lab.inside import processes, queries
from lab.inside.packets import Packets

LINE_BYTES = 1 << 16
STOP_S = 1.5
ORDER_S = 5.0
"""How long somebody who is connected may take to say what he wants."""
SQL_S = 1.5
"""How long it may take until a server only reads; then the fence has failed. Who asks should wait longer."""
LOCAL = "127.0.0.1"
LOOK_EVERY_S = 0.002

_READ_ONLY = ("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
_SHOW = "show default_transaction_read_only"
_WRITABLE = ("alter system reset default_transaction_read_only", "select pg_reload_conf()")
_END_THOSE_BEFORE = """
select count(pg_terminate_backend(pid)) from pg_stat_activity join pg_roles on pg_roles.oid = usesysid
where backend_type = 'client backend' and not rolsuper and backend_start < %s"""
# Superusers' sessions are those of who looks after the server, and write nothing.


class Fence:
    """The fences of this node. `packets` is the agent's: nobody else sets rules."""

    def __init__(self, packets: Packets) -> None:
        self._packets = packets
        self._cuts: list[int] = []
        self._read_only = False
        self._port = 0
        self._turn = threading.Lock()

    def listen(self, port: int) -> None:
        """Take orders on a port from now on; once more changes nothing. Raises OSError, ValueError for another port."""
        with self._turn:
            if self._port:
                if port != self._port:
                    raise ValueError(f"it listens on port {self._port} already")
                return
            listener = socket.create_server(("", port), backlog=16)
            self._port = int(listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(listener,), name="fence", daemon=True).start()

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry one order out; what goes wrong is an answer."""
        after_ns = clock.now_ns()
        try:
            match order.get("do"):
                case "ping":
                    return {"ok": True}
                case "fence":
                    after_ns, before_ns = self._fence(order["how"], order.get("clients") or ())
                case "unfence":
                    after_ns, before_ns = self.unfence()
                case other:
                    raise ValueError(f"no order {other!r}; there are: fence, unfence, ping")
        except Exception as error:  # whoever asked must learn of every kind
            text = str(error) or type(error).__name__
            return {"ok": False, "after_ns": after_ns, "before_ns": clock.now_ns(), "error": text}
        return {"ok": True, "after_ns": after_ns, "before_ns": before_ns, "error": ""}

    def unfence(self) -> tuple[int, int]:
        """Take every fence away (a server that was stopped stays so); [after, before]. Raises OSError where the server
        cannot be told that it may write again."""
        with self._turn:
            answer = self._packets.uncut(self._cuts)
            self._cuts = []
            if self._read_only:
                with queries.session(time.monotonic() + SQL_S, LOCAL) as connection:
                    for statement in _WRITABLE:
                        connection.execute(statement)
                self._read_only = False
            return answer["after_ns"], clock.now_ns()

    def _fence(self, how: str, clients: Sequence[str]) -> tuple[int, int]:
        with self._turn:
            match how:
                case "stop":
                    answer = processes.send("KILL", STOP_S)
                    if not answer["done"]:
                        raise OSError("its processes were not seen to end")
                case "cut_clients":
                    if not clients:
                        raise ValueError("cut_clients needs the addresses of clients")
                    answer = self._packets.cut(clients, (queries.PORT,), "both", "reset")
                    self._cuts.append(answer["cut"])
                case "read_only":
                    return self._let_only_read(time.monotonic() + SQL_S)
                case _:
                    raise ValueError(f"how {how!r}; one of: stop, cut_clients, read_only")
            return answer["after_ns"], answer["before_ns"]

    def _let_only_read(self, deadline: float) -> tuple[int, int]:
        """A session in a transaction takes the new setting up after it, so every session from before is ended; one that
        waits for a standby then gets no acknowledgement either."""
        after_ns = clock.now_ns()
        with queries.session(deadline, LOCAL) as connection:
            self._read_only = True  # whatever becomes of it, there may be something to undo
            for statement in _READ_ONLY:
                connection.execute(statement)
            # The postmaster reloads when it comes to it; what connects after that can not write.
            _until(lambda: queries.query(deadline, LOCAL, _SHOW) == [["on"]], deadline, "new sessions may still write")
            began = connection.execute("select clock_timestamp()").fetchone()
            _until(
                lambda: connection.execute(_END_THOSE_BEFORE, began).fetchone() == (0,),
                deadline,
                "sessions that may write did not end",
            )
        return after_ns, clock.now_ns()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as lines:
            peer.settimeout(ORDER_S)
            try:
                while line := lines.readline(LINE_BYTES):
                    peer.sendall(orjson.dumps(self._read(line)) + b"\n")
            except OSError:
                return  # it went away, or said nothing: nobody is left to tell

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            order = orjson.loads(line)
        except ValueError as error:
            return {"ok": False, "error": f"not JSON: {error}"}
        return self.order(order) if isinstance(order, dict) else {"ok": False, "error": "not an object"}


def _until(condition: Callable[[], bool], deadline: float, complaint: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(LOOK_EVERY_S)
