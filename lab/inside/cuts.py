"""A cut as packet rules: which packets of a node are dropped or answered with RST, and how many that were.

Every cut has two chains, one for each direction. A direction that is not cut has the same rules without a verdict:
they only count. So a one-way cut shows both: what it stopped one way, and what still passed the other way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MANAGEMENT_PORT = 5999
"""Where agents take orders of other nodes (lab.inside.fence): elsewhere a network of its own, so cuts spare it."""
DIRECTIONS = {"both": ("in", "out"), "in": ("in",), "out": ("out",)}
HOW = ("drop", "reset")
MOST_PORTS = 15
"""What one multiport rule takes."""

_CHAINS = (("in", "IN", "-s", "INPUT ! -i lo"), ("out", "OUT", "-d", "OUTPUT ! -o lo"))
_RULE = re.compile(r"\[(\d+):\d+\] -A LAB-CUT(\d+)-(IN|OUT)\b(.*)")
_PEER = re.compile(r"-[sd] ([\d.]+)/32")


@dataclass(frozen=True, slots=True)
class Cut:
    """What is cut off: packets from or to `peers` (none: everybody) on `ports` of either side (none: all)."""

    number: int
    peers: tuple[str, ...]
    ports: tuple[int, ...]
    direction: str
    how: str

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction {self.direction!r}; one of: {', '.join(DIRECTIONS)}")
        if self.how not in HOW:
            raise ValueError(f"how {self.how!r}; one of: {', '.join(HOW)}")
        if len(self.ports) > MOST_PORTS:
            raise ValueError(f"{len(self.ports)} ports; at most {MOST_PORTS}")

    def made(self) -> str:
        """The lines for iptables-restore that bring it about. Never on lo, and behind a drop of everything."""
        lines: list[str] = []
        for direction, end, peer_is, hook in _CHAINS:
            chain = f"LAB-CUT{self.number}-{end}"
            lines.append(f":{chain} - [0:0]")
            lines += [f"-A {chain} {rule} -j RETURN" for rule in self._spared()]
            lines += [f"-A {chain} {rule}" for rule in self._rules(peer_is, direction in DIRECTIONS[self.direction])]
            lines.append(f"-A {hook} -j {chain}")
        return "\n".join(lines) + "\n"

    def opened(self) -> str:
        """The lines that let everything through; what is added works at once, what is removed takes the kernel long."""
        return "".join(f"-I LAB-CUT{self.number}-{end} -j RETURN\n" for _, end, _, _ in _CHAINS)

    def undone(self) -> str:
        """The lines that take it away."""
        lines: list[str] = []
        for _, end, _, hook in _CHAINS:
            chain = f"LAB-CUT{self.number}-{end}"
            lines += [f"-D {hook} -j {chain}", f"-F {chain}", f"-X {chain}"]
        return "\n".join(lines) + "\n"

    def _spared(self) -> Iterator[str]:
        if not self.ports:
            yield f"-p tcp -m multiport --ports {MANAGEMENT_PORT}"
        if self.how == "reset":
            # Our own RST goes out through the same chains; it must not be stopped by the rule that made it.
            yield "-p tcp -m tcp --tcp-flags RST RST"

    def _rules(self, peer_is: str, cut: bool) -> Iterator[str]:
        protocols = ["tcp", "udp"] if self.ports else ["tcp", ""] if self.how == "reset" else [""]
        for peer in self.peers or ("",):
            for protocol in protocols:
                words = [peer_is, peer] if peer else []
                words += ["-p", protocol] if protocol else []
                if self.ports:
                    words += ["-m", "multiport", "--ports", ",".join(map(str, self.ports))]
                if cut and self.how == "reset" and protocol:
                    words += ["-j", "REJECT", *(["--reject-with", "tcp-reset"] if protocol == "tcp" else [])]
                elif cut:
                    words += ["-j", "DROP"]
                yield " ".join(words)


def counted(saved: str) -> list[dict[str, Any]]:
    """What `iptables-save -c` tells of cuts: [{cut, peer ("": everybody), direction, how, packets}].

    `how` is drop or reset where the direction is cut, and "pass" where it is only counted.
    """
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for line in saved.splitlines():
        rule = _RULE.fullmatch(line)
        if rule is None or rule[4].endswith("-j RETURN"):
            continue
        peer = _PEER.search(rule[4])
        key = (int(rule[2]), peer[1] if peer else "", rule[3].lower())
        row = found.setdefault(key, {"cut": key[0], "peer": key[1], "direction": key[2], "how": "pass", "packets": 0})
        row["packets"] += int(rule[1])
        if "-j REJECT" in rule[4]:
            row["how"] = "reset"
        elif "-j DROP" in rule[4] and row["how"] == "pass":
            row["how"] = "drop"
    return list(found.values())
