"""The node's agent: PID 1 of the pod's host container. The lab attaches to its stdin and stdout.

One JSON line in: {"id": 7, "op": "signal", ...}; one out: {"id": 7, "ok": true, "t_ns": ..., ...} or
{"id": 7, "ok": false, "error": "..."}. Operations (arguments -> answer, instants in CLOCK_MONOTONIC nanoseconds):

    ping                                  -> {boot_id, wall_ns}: the wall clock just before t_ns
    lease {seconds}                       -> {expired}: without one for `seconds` the node heals itself, after a minute
                                             more the pod ends; 0: for ever. None was asked yet: for ever
    processes                             -> {processes: [{pid, state, command}]} of the server
    signal {signal, wait_s, match}        -> {after_ns, before_ns, sent_ns, pids, done}: match: lab.inside.processes
    drop, undrop                          -> {after_ns, before_ns}: everything, as a power loss does
    cut {peers, ports, direction, how}    -> {after_ns, before_ns, cut}: lab.inside.cuts
    uncut {cuts}                          -> {after_ns, before_ns}: cuts by number; without: all, fences too
    rules                                 -> {dropping, packets, bytes, cuts}
    manage {port}                         -> {}: from now on other nodes may fence this one: lab.inside.fence
    unfence                               -> {after_ns, before_ns}
    toxic {name, listen, upstream, latency_ms}, toxics
                                          -> {proxies}: lab.inside.toxics
    ask {probe, timeout_s, ...}           -> {reached, ...}: lab.inside.probes
    collect {offsets}                     -> {path, offsets, files}: lab.inside.bundle

It writes events `lag` and `stall` (lab.inside.ticker), and `lease.expired` when it healed its node by itself.
It reaps the zombies that the server leaves to it, and it ends at once on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from lab import clock
from lab.history import Recorder
from lab.inside import processes
from lab.inside.ticker import Ticker

EVENTS = Path("/lab/events")
END_AFTER_S = 60.0
"""A pod that no lab has wanted for this long ends."""
HOUSEKEEPING_TICKS = 10

Answer = dict[str, Any]


class Agent:
    """What one agent knows: the operations, and the lease on its node."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._writing = threading.Lock()
        self._making = threading.Lock()
        self._packets: Any = None
        self._fence: Any = None
        self._stopped = False
        self._heal_at_ns = 0
        self._end_at_ns = 0
        self._expired = 0
        self._ops: dict[str, Callable[..., Answer]] = {
            "ping": self._ping,
            "lease": self._lease,
            "processes": lambda: {"processes": processes.listing()},
            "signal": self._signal,
            "drop": lambda: dict(self._rules_of_node().drop()),
            "undrop": lambda: dict(self._rules_of_node().undrop()),
            "cut": lambda **what: dict(self._rules_of_node().cut(**what)),
            "uncut": self._uncut,
            "rules": lambda: dict(self._rules_of_node().rules()),
            "manage": self._manage,
            "unfence": self._unfence,
            "toxic": self._toxic,
            "toxics": self._toxics,
            "ask": self._ask,
            "collect": self._collect,
        }

    def listen(self, fd: int) -> None:
        """Answer the lines of a descriptor until it ends; each in a thread, so that none waits for another."""
        rest = b""
        while part := os.read(fd, 65536):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.strip():
                    threading.Thread(target=self.answer, args=(line,), daemon=True).start()

    def answer(self, line: bytes) -> None:
        """Carry out one request and write its answer; whatever goes wrong is an answer too."""
        number: object = None
        try:
            request = orjson.loads(line)
            number = request.pop("id", None)
            op = request.pop("op")
            if op not in self._ops:
                raise ValueError(f"no operation {op!r}; there are: {', '.join(self._ops)}")
            said: Answer = {"id": number, "ok": True, **self._ops[op](**request)}
        except Exception as error:  # the lab must learn of every kind, and the agent must live on
            said = {"id": number, "ok": False, "error": f"{type(error).__name__}: {error}"}
        said["t_ns"] = clock.now_ns()
        with self._writing:
            self._write(orjson.dumps(said) + b"\n")

    def keep_lease(self) -> bool:
        """Heal the node when its lease has run out, end the pod a minute later. True when it has just healed."""
        if not self._heal_at_ns or (now_ns := clock.now_ns()) < self._heal_at_ns:
            return False
        if now_ns >= self._end_at_ns:
            os._exit(0)
        self._heal_at_ns = self._end_at_ns
        self._expired += 1
        if self._stopped:
            self._signal("CONT", 0.0)
        # The first thing that went wrong must not keep the next from being healed.
        if self._packets is not None:
            for heal in (self._packets.undrop, self._uncut, self._unfence):
                with suppress(OSError):
                    heal()
        return True

    def _ping(self) -> Answer:
        return {"boot_id": clock.boot_id(), "wall_ns": time.time_ns()}

    def _lease(self, seconds: float) -> Answer:
        now_ns = clock.now_ns()
        self._end_at_ns = now_ns + int((seconds + END_AFTER_S) * clock.S) if seconds else 0
        self._heal_at_ns = now_ns + int(seconds * clock.S) if seconds else 0
        return {"expired": self._expired}

    def _signal(self, signal: str, wait_s: float = 2.0, match: str = "") -> Answer:
        if signal in ("STOP", "CONT"):
            self._stopped = signal == "STOP"
        return processes.send(signal, wait_s, match)

    # What follows imports late: 50 agents start at once, and most never need it.

    def _rules_of_node(self) -> Any:
        from lab.inside.packets import Packets

        with self._making:
            self._packets = self._packets or Packets()
        return self._packets

    def _uncut(self, cuts: list[int] | None = None) -> Answer:
        rules = self._rules_of_node()
        return dict(rules.uncut(rules.cuts() if cuts is None else cuts))

    def _manage(self, port: int) -> Answer:
        from lab.inside.fence import Fence

        rules = self._rules_of_node()
        with self._making:
            self._fence = self._fence or Fence(rules)
        self._fence.listen(port)
        return {}

    def _unfence(self) -> Answer:
        now_ns = clock.now_ns()
        after_ns, before_ns = self._fence.unfence() if self._fence is not None else (now_ns, now_ns)
        return {"after_ns": after_ns, "before_ns": before_ns}

    def _toxic(self, **what: Any) -> Answer:
        from lab.inside.toxics import toxic

        return toxic(**what)

    def _toxics(self) -> Answer:
        from lab.inside.toxics import toxics

        return toxics()

    def _ask(self, **what: Any) -> Answer:
        from lab.inside.probes import ask

        return ask(**what)

    def _collect(self, offsets: dict[str, int]) -> Answer:
        from lab.inside.bundle import collect

        return collect(EVENTS, offsets)


def reap() -> None:
    """Take leave of every process that the server left to PID 1 and that has ended."""
    if not processes.tools.acquire(blocking=False):
        return  # a tool of ours runs, and whoever started it waits for it; the next round comes soon
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass  # there are no children at all
    finally:
        processes.tools.release()


def main() -> None:
    """Serve stdin, tick, reap and keep the lease, until SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    EVENTS.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(EVENTS, f"agent/{os.environ.get('LAB_NODE') or os.uname().nodename}")
    agent = Agent(lambda line: os.write(1, line))
    threading.Thread(target=agent.listen, args=(0,), daemon=True).start()
    ticker = Ticker(recorder)
    sleep = time.sleep
    sleep(0.01)
    while True:
        for _ in range(HOUSEKEEPING_TICKS):
            sleep(ticker.tick())
        if agent.keep_lease():
            recorder.record("lease.expired")
        reap()


if __name__ == "__main__":
    main()
