"""One question over the network or the control socket, bounded in time: what a node sees of another.

Every probe answers {"reached": bool, ...}; `why` says why not: refused, timeout, unreachable, reset, or the error.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import orjson

from lab import clock

CONTROL = "\0lab-control"
"""The abstract socket of the pod's server; a pod's containers share it with the network namespace."""

MOST_BYTES = 8 << 20
TRUNCATED = 0x02
"""The bit TC in the third byte of a DNS message."""
RECORDS = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "ANY": 255}
_TYPES = {number: name for name, number in RECORDS.items()}
_RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


def ask(probe: str, timeout_s: float = 0.3, **what: Any) -> dict[str, Any]:
    """Ask one of PROBES. A peer that cannot be reached is an answer, not an error."""
    deadline = time.monotonic() + timeout_s
    try:
        return {"reached": True, **PROBES[probe](deadline, **what)}
    except TimeoutError:
        why = "timeout"
    except ConnectionRefusedError:
        why = "refused"
    except ConnectionResetError:
        why = "reset"
    except OSError as error:
        why = "unreachable" if error.errno in (101, 113) else str(error)
    return {"reached": False, "why": why, **({"open": False} if probe == "tcp" else {})}


def tcp(deadline: float, host: str, port: int) -> dict[str, Any]:
    """Whether a connection is accepted: {open, why}."""
    with _connected(deadline, host, port):
        return {"open": True, "why": ""}


def http(deadline: float, host: str, port: int, path: str = "/") -> dict[str, Any]:
    """GET: {status, body}."""
    with _connected(deadline, host, port) as peer:
        peer.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        head, _, body = _all(peer, deadline).partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        raise OSError("the answer is not HTTP")
    return {"status": int(words[1]), "body": body.decode(errors="replace")}


def zk(deadline: float, host: str, port: int = 2181, word: str = "srvr") -> dict[str, Any]:
    """One of ZooKeeper's four letter words: {text}."""
    with _connected(deadline, host, port) as peer:
        peer.sendall(word.encode())
        return {"text": _all(peer, deadline).decode(errors="replace")}


def control(deadline: float, message: dict[str, Any]) -> dict[str, Any]:
    """One line to the control socket of this pod's server: {answer, after_ns, before_ns: when it was sent}."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(_left(deadline))
        after_ns = clock.now_ns()
        peer.connect(CONTROL)
        peer.sendall(orjson.dumps(message) + b"\n")
        before_ns = clock.now_ns()
        line = _all(peer, deadline, until=b"\n")
    if not line:
        raise ConnectionResetError
    return {"answer": orjson.loads(line), "after_ns": after_ns, "before_ns": before_ns}


def dns(deadline: float, host: str, name: str, type: str = "A", port: int = 53) -> dict[str, Any]:
    """One query over UDP, over TCP where the answer was cut off: {rcode, aa, answers: [text], ttl: the smallest, None
    without answers}."""
    number = random.randrange(1 << 16)
    query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + _name(name) + struct.pack("!2H", RECORDS[type], 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(_left(deadline))
        peer.connect((host, port))
        peer.send(query)
        while (answer := peer.recv(65535))[:2] != query[:2]:
            peer.settimeout(_left(deadline))
    if answer[2] & TRUNCATED:  # 13 SRV records fill the 512 bytes of plain UDP
        with _connected(deadline, host, port) as line:
            line.sendall(struct.pack("!H", len(query)) + query)
            size = struct.unpack("!H", _exactly(line, deadline, 2))[0]
            answer = _exactly(line, deadline, size)
    return read_dns(answer)


def read_dns(message: bytes) -> dict[str, Any]:
    """What a DNS answer says: {rcode, aa, answers, ttl}."""
    _, flags, questions, count = struct.unpack_from("!4H", message)
    at = 12
    for _ in range(questions):
        at = _skip_name(message, at) + 4
    answers: list[str] = []
    ttls: list[int] = []
    for _ in range(count):
        at = _skip_name(message, at)
        kind, _, ttl, size = struct.unpack_from("!HHIH", message, at)
        at += 10
        answers.append(_record(message, kind, at, size))
        ttls.append(ttl)
        at += size
    code = flags & 15
    return {
        "rcode": _RCODES[code] if code < len(_RCODES) else str(code),
        "aa": bool(flags & 0x0400),
        "answers": answers,
        "ttl": min(ttls, default=None),
    }


def _record(message: bytes, kind: int, at: int, size: int) -> str:
    match _TYPES.get(kind):
        case "A":
            return socket.inet_ntoa(message[at : at + 4])
        case "AAAA":
            return socket.inet_ntop(socket.AF_INET6, message[at : at + 16])
        case "NS" | "CNAME" | "PTR":
            return _read_name(message, at)
        case "SRV":
            priority, weight, port = struct.unpack_from("!3H", message, at)
            return f"{priority} {weight} {port} {_read_name(message, at + 6)}"
        case "SOA":
            then = _skip_name(message, at)
            numbers = struct.unpack_from("!5I", message, _skip_name(message, then))
            return f"{_read_name(message, at)} {_read_name(message, then)} {' '.join(map(str, numbers))}"
        case "TXT":
            return message[at + 1 : at + 1 + message[at]].decode(errors="replace")
        case _:
            return message[at : at + size].hex()


def _name(name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _skip_name(message: bytes, at: int) -> int:
    while (length := message[at]) and length < 0xC0:
        at += length + 1
    return at + (2 if length else 1)


def _read_name(message: bytes, at: int) -> str:
    labels: list[str] = []
    for _ in range(128):  # a loop of pointers must not hang the agent
        length = message[at]
        if length >= 0xC0:
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
        elif length:
            labels.append(message[at + 1 : at + 1 + length].decode(errors="replace"))
            at += length + 1
        else:
            break
    return ".".join(labels) + "."


def _connected(deadline: float, host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), _left(deadline))


def _all(peer: socket.socket, deadline: float, until: bytes = b"") -> bytes:
    """Everything that the peer says before it closes, or up to `until`."""
    got = bytearray()
    while len(got) < MOST_BYTES:
        peer.settimeout(_left(deadline))
        part = peer.recv(65536)
        got += part
        if not part or (until and part.endswith(until)):
            break
    return bytes(got)


def _exactly(peer: socket.socket, deadline: float, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        peer.settimeout(_left(deadline))
        part = peer.recv(size - len(got))
        if not part:
            raise ConnectionResetError
        got += part
    return bytes(got)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def greet(deadline: float, host: str, port: int = 5432) -> dict[str, Any]:
    """The first exchange of PostgreSQL's protocol, 8 bytes there and one back: {answer: "N" or "S", took_ns}.

    A server that accepts and does not answer is a timeout; what a proxy adds to the way back is in `took_ns`.
    """
    with _connected(deadline, host, port) as peer:
        sent_ns = clock.now_ns()
        peer.sendall(struct.pack("!2I", 8, 80877103))
        answer = _exactly(peer, deadline, 1)
        return {"answer": answer.decode(errors="replace"), "took_ns": clock.now_ns() - sent_ns}


# psycopg is imported late: most agents never need it.


def query(deadline: float, host: str, query: str, **where: Any) -> dict[str, Any]:
    """One statement as `user` (postgres) in `database` (lab): {rows: [[...]]}. Connecting may take 2 s."""
    from lab.inside import queries

    return {"rows": queries.query(deadline, host, query, **where)}


def rows(deadline: float, host: str, **where: Any) -> dict[str, Any]:
    """What a server holds of table `writes`: lab.inside.rows. Connecting may take 2 s."""
    from lab.inside.rows import rows as read

    return read(deadline, host, **where)


def lag(deadline: float, primary: str, **where: Any) -> dict[str, Any]:
    """How long WAL takes from `primary` to this pod's server: lab.inside.lagging."""
    from lab.inside.lagging import lag as measured

    return measured(deadline, primary, **where)


PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "tcp": tcp,
    "http": http,
    "zk": zk,
    "dns": dns,
    "control": control,
    "greet": greet,
    "sql": query,
    "rows": rows,
    "lag": lag,
}
