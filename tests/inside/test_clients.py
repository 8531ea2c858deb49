"""The clients' process as a whole: real sockets, a resolver and instances that the tests play, commands, its file.

It runs as a process of its own: Locust makes the standard library of its process cooperative.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import orjson
import pytest

from lab.clock import MS, S
from lab.history import Event, History
from lab.wait import wait_until

pytestmark = pytest.mark.slow

OWNER = "_shop._tcp.lab.test"


class Zone(threading.Thread):
    """A resolver whose answers the test sets: node -> port, all at 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.nodes: dict[str, int] = {}
        self.ttl_s = 1
        self.silent = False

    def run(self) -> None:
        while True:
            data, asker = self.socket.recvfrom(4096)
            if not data:
                return
            if self.silent:
                continue
            message = dns.message.make_response(dns.message.from_wire(data))
            records = [f"0 1 {port} {node}.lab.test." for node, port in self.nodes.items()]
            message.answer.append(dns.rrset.from_text(f"{OWNER}.", self.ttl_s, "IN", "SRV", *records))
            for node in self.nodes:
                message.additional.append(dns.rrset.from_text(f"{node}.lab.test.", self.ttl_s, "IN", "A", "127.0.0.1"))
            self.socket.sendto(message.to_wire(), asker)

    def close(self) -> None:
        """End the thread, then the socket."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.join(5)
        self.socket.close()


class Answering(BaseHTTPRequestHandler):
    """Answers at once and keeps the connection."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


class Broken(Answering):
    """Answers that it cannot."""

    status = 503


class Closing(Answering):
    """Takes the request and closes without an answer."""

    def do_GET(self) -> None:
        self.close_connection = True


class Instance(ThreadingHTTPServer):
    """One instance of the service."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that end leave their connections; that is no error here."""


class Driver:
    """The process, its commands and what it wrote."""

    def __init__(self, folder: Path, zone: Zone) -> None:
        self.folder, self.zone = folder, zone
        self.name = f"lab-test-{os.getpid()}-{folder.name}"
        environment = dict(os.environ, LAB_EVENTS=str(folder), LAB_CONTROL=self.name)
        self.process = subprocess.Popen([sys.executable, "-m", "lab.inside", "clients"], env=environment)

    def ask(self, **message: Any) -> dict[str, Any]:
        """One command."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            line.connect(f"\0{self.name}")
            line.sendall(orjson.dumps(message) + b"\n")
            with line.makefile("rb") as answer:
                told: dict[str, Any] = orjson.loads(answer.readline())
        return told

    def begin(self, **more: Any) -> None:
        """Begin a load of 4 clients and 100 requests/s, at once."""
        route = {"kind": "dns", "settings": {"resolver": "127.0.0.1", "port": self.zone.port, "owner": OWNER}}
        message = {"trial": 1, "seed": "7", "repeat": 1, "clients": 4, "rate_per_s": 100.0, "route": route}
        timing = {"start_over_s": 0.1, "warm_up_s": 0.2, "connect_timeout_s": 0.3, "deadline_s": 1.0}
        assert self.ask(do="begin", **{**message, **timing, **more}) == {"ok": True}

    def wait_for(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status that is as wished."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.update(self.ask(do="status"))
            return what(seen)

        wait_until(look, timeout_s=20, message=lambda: f"last status: {seen}")
        return seen

    def all_see(self, *nodes: str) -> Callable[[dict[str, Any]], bool]:
        """Whether every client's view is exactly these nodes."""
        return lambda status: [(view["nodes"], view["clients"]) for view in status["views"]] == [(list(nodes), 4)]

    def end(self) -> History:
        """End the load and read what was recorded; the counts must add up."""
        totals = self.ask(do="end")
        history = History.read(self.folder.glob("*.jsonl"))
        assert history.gaps == history.torn == 0
        requests, seconds = list(history.of("request")), list(history.of("load.second"))
        assert len(requests) == totals["done"] == totals["due"] == sum(s.fields["due"] for s in seconds)
        sent = [request for request in requests if request.fields["sent_ns"] is not None]
        assert len(sent) == totals["sent"] == sum(s.fields["sent"] for s in seconds)
        assert all(r.fields["due_ns"] <= r.fields["sent_ns"] <= r.t_ns for r in sent)
        return history


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """A clients' process that listens, and a resolver that knows nobody."""
    zone = Zone()
    zone.start()
    driver = Driver(tmp_path, zone)
    try:
        wait_until(lambda: (tmp_path / "clients.1.jsonl").exists() and listening(driver), timeout_s=30)
        yield driver
    finally:
        driver.process.send_signal(signal.SIGCONT)
        driver.process.terminate()
        assert driver.process.wait(20) == 0
        zone.close()


def listening(driver: Driver) -> bool:
    """Whether the control socket answers."""
    try:
        return bool(driver.ask(do="status")["ok"])
    except OSError:
        return False


@pytest.fixture
def serve(driver: Driver) -> Iterator[Callable[..., Instance]]:
    """Starts an instance and puts it into the zone."""
    with ExitStack() as stack:

        def start(node: str, handler: type[Answering] = Answering) -> Instance:
            server = Instance(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            driver.zone.nodes[node] = server.server_address[1]
            return server

        yield start


def outcomes(history: History) -> Counter[tuple[str, str]]:
    """How often each (outcome, why)."""
    return Counter((r.fields["outcome"], r.fields.get("why", "")) for r in history.of("request"))


def views_of(history: History, client: int) -> list[Event]:
    """One client's views."""
    return [event for event in history.of("view") if event.fields["client"] == client]


def test_every_client_has_its_own_view_and_refreshes_it_when_it_expires(driver: Driver, serve: Any) -> None:
    """Each view begins when the one before it expires, and a change is in it at the first refresh after it."""
    serve("backend1")
    driver.begin()
    driver.wait_for(driver.all_see("backend1"))
    serve("backend2")
    status = driver.wait_for(driver.all_see("backend1", "backend2"))
    assert status["started"] == 4 and status["running"]
    driver.wait_for(lambda status: status["rate"]["done"] > 150)
    history = driver.end()
    assert set(outcomes(history)) <= {("ok", ""), ("info", "ended"), ("fail", "ended")}
    assert len(list(history.of("view.open"))) == len(list(history.of("view.closed"))) == 4
    for client in (1, 2, 3, 4):
        views = views_of(history, client)
        assert len(views) >= 2
        for before, after in pairwise(views):
            assert 0 <= after.t_ns - before.fields["expires_ns"] < 500 * MS
    assert not driver.ask(do="status")["running"]


def test_a_refused_instance_is_tried_once_and_another_answers(driver: Driver, serve: Any) -> None:
    """The attempt is in `tried`; nothing is lost while one of two is there."""
    serve("backend1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        driver.zone.nodes["backend2"] = closed.getsockname()[1]  # bound, not listening: refuses
        driver.begin()
        driver.wait_for(lambda status: status["rate"]["done"] > 60)
        history = driver.end()
    retried = [r.fields for r in history.of("request") if r.fields.get("tried")]
    assert len(retried) > 10
    for fields in retried:
        assert [(node, why) for node, _, why in fields["tried"]] == [("backend2", "refused")]
        assert fields["sent_ns"] == fields["tried"][0][1] <= fields["last_sent_ns"]
    assert set(outcomes(history)) <= {("ok", ""), ("info", "ended"), ("fail", "ended")}


def test_what_nobody_knows_is_info_and_what_was_certainly_not_done_is_fail(driver: Driver, serve: Any) -> None:
    """A connection closed after the request was written is info; an error answered is fail."""
    serve("backend1", Broken)
    serve("backend2", Closing)
    driver.begin(retries=0)
    driver.wait_for(lambda status: status["rate"]["done"] > 40)
    seen = {(r.fields["node"], r.fields["outcome"], r.fields["why"]) for r in driver.end().of("request")}
    assert {("backend1", "fail", "http_503"), ("backend2", "info", "reset")} <= seen
    assert {why for _, _, why in seen} <= {"http_503", "reset", "ended"}


def test_a_hanging_instance_costs_the_deadline_and_the_end_waits_for_nobody(driver: Driver) -> None:
    """The kernel accepts, nobody answers: info/timeout at the deadline. What is open at the end is info/ended."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        driver.zone.nodes["backend1"] = silent.getsockname()[1]
        driver.begin(deadline_s=0.4, pool=2)
        driver.wait_for(lambda status: status["rate"]["done"] > 60)
        history = driver.end()
    assert {("info", "timeout"), ("info", "ended")} <= set(outcomes(history))
    timed_out = [r for r in history.of("request") if r.fields["why"] == "timeout"]
    assert all(r.t_ns - r.fields["due_ns"] >= 0.4 * S for r in timed_out)


def test_a_silent_resolver_empties_the_view_at_its_expiry_until_it_answers_again(driver: Driver, serve: Any) -> None:
    """view.error says so, requests fail for want of an instance, and then all is well again."""
    serve("backend1")
    driver.begin()
    driver.wait_for(driver.all_see("backend1"))
    driver.zone.silent = True
    driver.wait_for(driver.all_see())
    failed = driver.wait_for(lambda status: status["rate"]["done"] > 100)["rate"]["done"]
    driver.zone.silent = False
    driver.wait_for(driver.all_see("backend1"))
    driver.wait_for(lambda status: status["rate"]["done"] > failed + 50)
    history = driver.end()
    assert {event.fields["why"] for event in history.of("view.error")} == {"dns: timeout"}
    assert outcomes(history)[("fail", "no_instance")] > 0
    (emptied,) = [view for view in views_of(history, 1) if view.fields["removed"]]
    assert "expires_ns" not in emptied.fields and emptied.fields["full"] == []


def test_a_stall_does_not_silence_the_load(driver: Driver, serve: Any) -> None:
    """Stopped for a second: it says that it was blind, and what was due meanwhile keeps its intended start."""
    serve("backend1")
    driver.begin(deadline_s=0.5)
    driver.wait_for(lambda status: status["rate"]["done"] > 20)
    driver.process.send_signal(signal.SIGSTOP)
    blind = threading.Event()
    threading.Timer(1.0, blind.set).start()
    blind.wait()
    driver.process.send_signal(signal.SIGCONT)
    driver.wait_for(lambda status: status["rate"]["done"] > 180)
    history = driver.end()
    longest = max(history.of("stall"), key=lambda stall: stall.fields["late_ns"]).fields
    assert longest["late_ns"] > 0.9 * S
    meanwhile = [
        r.fields for r in history.of("request") if longest["after_ns"] < r.fields["due_ns"] < longest["before_ns"]
    ]
    assert len(meanwhile) > 60  # about 100 were due
    too_late = [fields for fields in meanwhile if fields.get("why") == "deadline"]
    assert too_late and all(fields["sent_ns"] is None for fields in too_late)
    assert any(fields["outcome"] == "ok" for fields in meanwhile)


def test_nonsense_is_refused_and_the_process_lives_on(driver: Driver) -> None:
    """With a sentence; and a second begin ends the first load."""
    assert (
        "unknown route"
        in driver.ask(do="begin", seed="7", repeat=1, clients=1, rate_per_s=1, route={"kind": "consul"})["error"]
    )
    assert "one of begin, status, end" in driver.ask(do="dance")["error"]
    assert driver.ask(do="end") == {"ok": True, "due": 0, "sent": 0, "done": 0}
    driver.begin()
    driver.begin()
    assert driver.ask(do="end")["ok"]
