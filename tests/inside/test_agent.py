"""The agent's parts that need no container: requests, leases, probes, what is collected."""

from __future__ import annotations

import os
import socket
import struct
import tarfile
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from lab import clock
from lab.history import History, Recorder
from lab.inside.agent import Agent
from lab.inside.bundle import collect
from lab.inside.probes import ask, read_dns


def answers(*requests: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    lines: list[bytes] = []
    agent = Agent(lines.append)
    for request in requests:
        agent.answer(request if isinstance(request, bytes) else orjson.dumps(request))
    return [orjson.loads(line) for line in lines]


def test_every_request_has_an_answer_with_its_id_and_instant() -> None:
    """Also one that makes no sense: the lab must never wait in vain."""
    good, unknown, wrong, garbage = answers(
        {"id": 7, "op": "ping"}, {"id": 8, "op": "dance"}, {"id": 9, "op": "signal", "colour": 1}, b"{nonsense"
    )
    assert good["id"] == 7 and good["ok"] and good["boot_id"] == clock.boot_id()
    assert not unknown["ok"] and "dance" in unknown["error"]
    assert wrong["id"] == 9 and not wrong["ok"]
    assert garbage["id"] is None and not garbage["ok"]
    assert all(abs(answer["t_ns"] - clock.now_ns()) < clock.S for answer in (good, unknown, wrong, garbage))


def test_a_lease_that_is_not_renewed_heals_then_ends_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """It heals once when the lease runs out, and ends a minute later; renewed or endless it does neither."""
    agent = Agent(lambda _: None)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    now = clock.now_ns()
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    assert not agent.keep_lease()  # nobody has asked for one: started by hand
    agent.answer(b'{"op":"lease","seconds":5}')
    now += 4 * clock.S
    assert not agent.keep_lease()
    agent.answer(b'{"op":"lease","seconds":5}')
    now += 6 * clock.S
    assert agent.keep_lease()
    assert not agent.keep_lease()
    now += 58 * clock.S
    assert not agent.keep_lease() and not ended
    now += 2 * clock.S
    agent.keep_lease()
    assert ended == [0]
    agent.answer(b'{"op":"lease","seconds":0}')
    now += 3600 * clock.S
    assert not agent.keep_lease() and ended == [0]


def test_collect_takes_what_is_new_and_whole(tmp_path: Path) -> None:
    """Header and new lines of each file; a line still being written comes the next time."""
    first, second = Recorder(tmp_path, "agent/a"), Recorder(tmp_path, "clients")
    first.record("lag")
    with second.path.open("ab") as torn:
        torn.write(b'{"t_ns":1,"seq":0,"ki')

    def taken(offsets: dict[str, int]) -> tuple[dict[str, list[str]], dict[str, int]]:
        answer: dict[str, Any] = collect(tmp_path, offsets)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        with tarfile.open(answer["path"]) as tar:
            tar.extractall(out, filter="data")
            history = History.read(out / name for name in answer["files"])
        kinds: dict[str, list[str]] = {source.writer: [] for source in history.sources}
        for event in history:
            kinds[event.writer].append(event.kind)
        return kinds, answer["offsets"]

    kinds, offsets = taken({})
    assert kinds == {"agent/a": ["lag"], "clients": []}
    with second.path.open("ab") as torn:
        torn.write(b'nd":"view"}\n')
    kinds, offsets = taken(offsets)
    assert kinds == {"clients": ["view"]}
    first.record("stall")
    again = Recorder(tmp_path, "clients")
    again.record("request")
    for recorder in (first, second, again):
        recorder.close()
    kinds, offsets = taken(offsets)
    assert kinds == {"agent/a": ["stall"], "clients": ["request"]}
    assert taken(offsets)[0] == {}
    assert len(list((tmp_path / ".collect").iterdir())) == 1


@pytest.fixture
def listener() -> socket.socket:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)
    return server


def serve_once(server: socket.socket, said: bytes) -> int:
    def serve() -> None:
        peer, _ = server.accept()
        with peer, server:
            peer.recv(4096)
            peer.sendall(said)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def test_probes_tell_open_from_refused_from_silent(listener: socket.socket) -> None:
    """What a fault's evidence rests on."""
    port = listener.getsockname()[1]
    assert ask("tcp", host="127.0.0.1", port=port) == {"reached": True, "open": True, "why": ""}
    assert ask("zk", host="127.0.0.1", port=port, timeout_s=0.05) == {"reached": False, "why": "timeout"}
    listener.close()
    assert ask("tcp", host="127.0.0.1", port=port) == {"reached": False, "why": "refused", "open": False}
    assert ask("control", message={}) == {"reached": False, "why": "refused"}


def test_probe_http(listener: socket.socket) -> None:
    """Status and body."""
    port = serve_once(listener, b"HTTP/1.0 503 No\r\nX: y\r\n\r\nbusy")
    assert ask("http", host="127.0.0.1", port=port, path="/health") == {"reached": True, "status": 503, "body": "busy"}


def test_probe_zk(listener: socket.socket) -> None:
    """The text of a four letter word."""
    port = serve_once(listener, b"Mode: leader\n")
    assert ask("zk", host="127.0.0.1", port=port) == {"reached": True, "text": "Mode: leader\n"}


def test_dns_answers_are_read() -> None:
    """SRV and A with compressed names, the flags, and the smallest TTL."""
    question = b"\x05_shop\x04_tcp\x03lab\x04test\x00" + struct.pack("!2H", 33, 1)
    srv = b"\xc0\x0c" + struct.pack("!HHIH", 33, 1, 5, 17) + struct.pack("!3H", 1, 2, 8080) + b"\x08backend1\xc0\x17"
    a = b"\xc0\x17" + struct.pack("!HHIH", 1, 1, 4, 4) + bytes([10, 1, 2, 3])
    message = struct.pack("!6H", 7, 0x8400, 1, 2, 0, 0) + question + srv + a
    assert read_dns(message) == {
        "rcode": "NOERROR",
        "aa": True,
        "answers": ["1 2 8080 backend1.lab.test.", "10.1.2.3"],
        "ttl": 4,
    }
    nothing = struct.pack("!6H", 7, 0x8403, 1, 0, 0, 0) + question
    assert read_dns(nothing) == {"rcode": "NXDOMAIN", "aa": True, "answers": [], "ttl": None}


def test_a_dns_answer_that_was_cut_off_is_asked_for_again_over_tcp() -> None:
    """13 SRV records fill the 512 bytes of plain UDP: with 16 instances the probe must still see them all."""
    udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    port = tcp.getsockname()[1]
    udp.bind(("127.0.0.1", port))

    def serve() -> None:
        query, peer = udp.recvfrom(512)
        question = query[12:]
        udp.sendto(query[:2] + b"\x87\x00" + struct.pack("!4H", 1, 0, 0, 0) + question, peer)
        line, _ = tcp.accept()
        with line:
            line.recv(512)
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + bytes([10, 9, 0, 1])
            whole = query[:2] + b"\x85\x00" + struct.pack("!4H", 1, 1, 0, 0) + question + record
            line.sendall(struct.pack("!H", len(whole)) + whole)

    server = threading.Thread(target=serve)
    server.start()
    try:
        answer = ask("dns", timeout_s=2.0, host="127.0.0.1", name="lab.test", type="A", port=port)
    finally:
        server.join(5)
        udp.close()
        tcp.close()
    assert answer == {"reached": True, "rcode": "NOERROR", "aa": True, "answers": ["10.9.0.1"], "ttl": 5}
