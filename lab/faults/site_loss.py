"""Site loss: the link out of a site dies first, then its server without a word: what was on the way is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.faults import killing, links
from lab.protocols import Evidence, Fields, Injection, Node, Site


@dataclass(frozen=True, slots=True)
class SiteLoss:
    """SIGKILL to every link of the stack, then a power loss of the target; details["also"] names the links."""

    name: ClassVar[str] = "site_loss"
    needs: ClassVar[frozenset[str]] = frozenset({"signal", "packets", "server"})
    leaves: ClassVar[str] = "dead"

    def fits(self, targets: Sequence[tuple[str, str]], nodes: Sequence[tuple[str, str]]) -> None:
        """Whether there is a link, and a database behind it. Raises BadInput."""
        links.check_link("SiteLoss", nodes)
        killing.check_servers("SiteLoss", targets)

    def inject(self, site: Site) -> Injection:
        struck = _links(site)
        # A proxy's settings die with it, so they are remembered for healing.
        proxies = {link.name: links.proxies(link) for link in struck}
        cut_ns = [link.tell("signal", signal="KILL", wait_s=2.0)["before_ns"] for link in struck]
        dropped = site.target.tell("drop")
        killed = site.target.tell("signal", signal="KILL", wait_s=2.0)
        details: Fields = {
            "also": [link.name for link in struck],
            "proxies": proxies,
            "links_gone_before_ns": max(cut_ns, default=0),
            "pids": killed["pids"],
            "killed_before_ns": killed["before_ns"],
        }
        return Injection(site.target.name, dropped["after_ns"], dropped["before_ns"], details)

    def verify(self, site: Site, injection: Injection | None) -> Evidence:
        alive = {link.name: link.tell("processes")["processes"] for link in _links(site)}
        rules = site.target.tell("rules")
        processes = site.target.tell("processes")["processes"]
        links_gone = not any(alive.values())
        return {
            "holds": links_gone and bool(rules["dropping"]) and not processes,
            "also": list(alive),
            "links_gone": links_gone,
            "dropping": rules["dropping"],
            "packets_dropped": rules["packets"],
            "server_gone": not processes,
        }

    def heal(self, site: Site, injection: Injection) -> None:
        for name in injection.details["also"]:
            link = site.nodes[name]
            if not link.server_running():
                link.start_server()
            links.set_up(link, injection.details["proxies"][name])
        site.target.tell("undrop")
        if not site.target.server_running():
            site.target.start_server()


def _links(site: Site) -> list[Node]:
    return [node for node in site.nodes.values() if node.role == links.ROLE]
