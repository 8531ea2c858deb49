"""Cuts as packet rules, and what the kernel's counters tell of them; no kernel needed."""

from __future__ import annotations

import pytest

from lab.inside.cuts import Cut, counted


def rules(cut: Cut, end: str) -> list[str]:
    """The rules of one direction, without the chain's name."""
    start = f"-A LAB-CUT{cut.number}-{end} "
    return [line.removeprefix(start).strip() for line in cut.made().splitlines() if line.startswith(start)]


def test_a_partition_drops_named_peers_and_spares_the_management_port() -> None:
    """Both ways, each by its own end of the packet, behind the port that must stay open."""
    cut = Cut(3, ("10.0.0.5", "10.0.0.6"), (), "both", "drop")
    spared = "-p tcp -m multiport --ports 5999 -j RETURN"
    assert rules(cut, "IN") == [spared, "-s 10.0.0.5 -j DROP", "-s 10.0.0.6 -j DROP"]
    assert rules(cut, "OUT") == [spared, "-d 10.0.0.5 -j DROP", "-d 10.0.0.6 -j DROP"]
    assert "-A INPUT ! -i lo -j LAB-CUT3-IN" in cut.made()
    assert "-A OUTPUT ! -o lo -j LAB-CUT3-OUT" in cut.made()


def test_one_way_only_counts_the_other_way() -> None:
    """The same match, without a verdict."""
    cut = Cut(1, ("10.0.0.5",), (), "in", "drop")
    assert rules(cut, "IN")[-1] == "-s 10.0.0.5 -j DROP"
    assert rules(cut, "OUT")[-1] == "-d 10.0.0.5"


def test_reset_lets_rst_through_and_names_ports_of_either_side() -> None:
    """Otherwise the answer to a packet would be stopped by the rule that gave it."""
    cut = Cut(1, (), (5432,), "both", "reset")
    assert rules(cut, "IN") == [
        "-p tcp -m tcp --tcp-flags RST RST -j RETURN",
        "-p tcp -m multiport --ports 5432 -j REJECT --reject-with tcp-reset",
        "-p udp -m multiport --ports 5432 -j REJECT",
    ]
    assert rules(Cut(1, (), (), "both", "reset"), "IN")[-2:] == ["-p tcp -j REJECT --reject-with tcp-reset", "-j DROP"]


def test_counters_are_told_by_cut_peer_and_direction() -> None:
    """Rules of one kind are added up; what is spared, and what is no cut, is left out."""
    saved = """*filter
[3:180] -A INPUT ! -i lo -j LAB-CUT2-IN
[9:540] -A LAB-IN -j DROP
[7:420] -A LAB-CUT2-IN -p tcp -m multiport --ports 5999 -j RETURN
[2:120] -A LAB-CUT2-IN -s 10.0.0.5/32 -p tcp -m multiport --ports 5432 -j REJECT --reject-with tcp-reset
[1:60] -A LAB-CUT2-IN -s 10.0.0.5/32 -p udp -m multiport --ports 5432 -j REJECT --reject-with icmp-port-unreachable
[4:240] -A LAB-CUT2-OUT
[5:300] -A LAB-CUT11-OUT -d 10.0.0.6/32 -j DROP
COMMIT"""
    assert counted(saved) == [
        {"cut": 2, "peer": "10.0.0.5", "direction": "in", "how": "reset", "packets": 3},
        {"cut": 2, "peer": "", "direction": "out", "how": "pass", "packets": 4},
        {"cut": 11, "peer": "10.0.0.6", "direction": "out", "how": "drop", "packets": 5},
    ]


@pytest.mark.parametrize(
    ("direction", "how", "ports", "complaint"),
    [
        ("up", "drop", (), "direction 'up'; one of: both, in, out"),
        ("in", "shout", (), "how 'shout'; one of: drop, reset"),
        ("in", "drop", tuple(range(1, 17)), "16 ports; at most 15"),
    ],
)
def test_nonsense_is_refused(direction: str, how: str, ports: tuple[int, ...], complaint: str) -> None:
    """Before any rule is set."""
    with pytest.raises(ValueError, match=complaint):
        Cut(1, (), ports, direction, how)
