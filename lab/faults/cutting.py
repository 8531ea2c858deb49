"""What faults that cut a node off share: whom from, the cut itself, and the evidence of each direction.

The evidence is a TCP probe each way and the kernel's own counters: packets stopped in a direction that is cut, packets
passed in one that is not. Only both together show a one-way cut, where no connection comes about either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.errors import BadInput, NodeLost
from lab.protocols import Evidence, Fields, Injection, Node, Site

DIRECTIONS = {"both": ("in", "out"), "in": ("in",), "out": ("out",)}
"""Seen from the target: what comes in, what goes out."""
MOST_PORTS = 15
"""What one rule of the packet filter takes."""
ANY_PORT = 1
"""Nobody listens there, and a host that is reached says so: refused."""
PROBE_S = 0.3
AT_ONCE = 16


def words_of(owner: str, away_from: object) -> tuple[str, ...]:
    """`away_from` as it is kept. Raises BadInput where these are no names."""
    if isinstance(away_from, tuple | list) and all(isinstance(word, str) and word for word in away_from):
        return tuple(away_from)
    raise BadInput(
        f'{owner}: away_from={away_from!r} must be a list of names or roles, e.g. away_from=("postgres", "controller")'
    )


def check_peers(
    owner: str, away_from: Sequence[str], targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]
) -> None:
    """Whether the nodes named are there, and somebody is left to be cut off from. Raises BadInput."""
    known = {word for node in nodes for word in node}
    for word in away_from:
        if word not in known:
            roles = ", ".join(sorted({role for _, role in nodes}))
            names = ", ".join(sorted({name for name, _ in nodes}))
            raise BadInput(
                f"{owner}: away_from: there is no node and no role {word!r}; roles are {roles}; nodes {names}"
            )
    for target, role in targets:
        peers = {name: of for name, of in nodes if away_from and {name, of} & set(away_from) and name != target}
        if target.startswith("leader(") and set(peers.values()) == {role} and len(peers) == 1:
            raise BadInput(
                f"{owner}: away_from={tuple(away_from)!r} may be {target} itself; name others, or the role {role!r}"
            )
        if away_from and not peers:
            raise BadInput(
                f"{owner}: away_from={tuple(away_from)!r} leaves nobody: {target} is not cut off from itself"
            )


def peers_of(site: Site, away_from: Sequence[str]) -> dict[str, Node]:
    """The nodes named, by name or role, without the target; empty: everybody. Raises BadInput for strangers."""
    found: dict[str, Node] = {}
    for word in away_from:
        those = {name: node for name, node in site.nodes.items() if word in (name, node.role)}
        if not those:
            raise BadInput(f"no node and no role {word!r} here; there are: {', '.join(site.nodes)}", "away_from")
        found |= those
    found.pop(site.target.name, None)
    if away_from and not found:
        raise BadInput(f"{site.target.name} cannot be cut off from itself", "away_from")
    return found


def cut(site: Site, away_from: Sequence[str], ports: Sequence[int], direction: str, how: str) -> Injection:
    """Cut the target off from its peers; details {cut: number, peers: {node: address}}."""
    peers = {name: node.address for name, node in peers_of(site, away_from).items()}
    answer = site.target.tell(
        "cut", peers=list(peers.values()), ports=list(ports), direction=direction, how=how, timeout_s=10.0
    )
    details = {"cut": answer["cut"], "peers": peers}
    return Injection(site.target.name, answer["after_ns"], answer["before_ns"], details)


def uncut(site: Site, injection: Injection) -> Fields:
    """Take that one cut away; once more does nothing. {after_ns, before_ns}, as its node stamped it."""
    return site.target.tell("uncut", cuts=[injection.details["cut"]], timeout_s=10.0)


def evidence(
    site: Site, injection: Injection | None, away_from: Sequence[str], ports: Sequence[int], direction: str, how: str
) -> Evidence:
    """Whether each direction is as it should be: cut (packets stopped, nobody reached) or open (packets passed)."""
    witnesses = _witnesses(site, away_from)
    before = _packets(site, injection, witnesses, away_from, how)
    probes = _probes(site.target, witnesses, ports[0] if ports else ANY_PORT)
    after = _packets(site, injection, witnesses, away_from, how)
    cut_off = DIRECTIONS[direction]
    told = {key: number - before.get(key, 0) for key, number in after.items()}
    shown = {
        f"{way}_{'stopped' if way in cut_off else 'passed'}": told.get((way, way in cut_off), 0)
        for way in ("in", "out")
    }
    # With RST for an answer a host that is there refuses either way; what must not come about is a connection.
    reached = [probe for probe in probes if probe["open"] or (how == "drop" and probe["why"] == "refused")]
    return {
        "holds": all(shown.values()) and not reached,
        **shown,
        "nobody_reached": not reached,
        "away_from": list(witnesses),
        "probes": probes,
    }


def _witnesses(site: Site, away_from: Sequence[str]) -> dict[str, Node]:
    """The peers; where that is everybody, one of each role, of those that no strike touches where there are such."""
    if away_from:
        return peers_of(site, away_from)
    others = [node for node in site.others if node.name != site.target.name]
    others += [node for node in site.nodes.values() if node.name != site.target.name and node not in others]
    return {node.name: node for node in {node.role: node for node in reversed(others)}.values()}


def _packets(
    site: Site, injection: Injection | None, witnesses: Mapping[str, Node], away_from: Sequence[str], how: str
) -> dict[tuple[str, bool], int]:
    """Packets by (direction, whether stopped): of this cut, or before there is one of any that is like it."""
    addresses = {node.address for node in witnesses.values()} if away_from else {""}
    found: dict[tuple[str, bool], int] = {}
    for row in site.target.tell("rules")["cuts"]:
        ours = row["cut"] == injection.details["cut"] if injection else row["peer"] in addresses
        if ours and row["how"] in (how, "pass"):
            key = (str(row["direction"]), row["how"] == how)
            found[key] = found.get(key, 0) + int(row["packets"])
    return found


def _probes(target: Node, witnesses: Mapping[str, Node], port: int) -> list[Fields]:
    """A TCP connection each way with every witness, all at once: [{from, to, port, open, why}]."""
    pairs = [pair for node in witnesses.values() for pair in ((node, target), (target, node))]

    def probe(pair: tuple[Node, Node]) -> Fields:
        asker, asked = pair
        seen: Fields
        try:
            seen = asker.tell("ask", probe="tcp", host=asked.address, port=port, timeout_s=PROBE_S)
        except NodeLost as error:  # it was struck too, or is cut off from the lab: it tells nothing
            seen = {"open": False, "why": str(error)}
        about = {"from": asker.name, "to": asked.name, "port": port}
        return about | {"open": bool(seen.get("open")), "why": seen.get("why", "")}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(probe, pairs))
