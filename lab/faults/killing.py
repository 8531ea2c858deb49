"""What faults that kill one process of a server share: which one, the evidence, and how the node comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.errors import BadInput
from lab.protocols import Evidence, Injection, Site
from lab.wait import wait_until

ENDED_S = 10.0
SERVERS = "postgres"


def check_servers(owner: str, targets: Sequence[tuple[str, str]]) -> None:
    """Whether all that it hits are database servers. Raises BadInput."""
    for target, role in targets:
        if role != SERVERS:
            raise BadInput(f"{owner}: {target} is no database server; its target is one, e.g. leader({SERVERS!r})")


def kill(site: Site, match: str) -> Injection:
    """SIGKILL to the processes whose command line matches; details {pids, spared: those that were not hit}."""
    answer = site.target.tell("signal", signal="KILL", wait_s=2.0, match=match)
    hit = answer["pids"]
    spared = [process["pid"] for process in site.target.tell("processes")["processes"] if process["pid"] not in hit]
    details = {"pids": hit, "spared": spared}
    return Injection(site.target.name, answer["after_ns"], answer["before_ns"], details)


def evidence(site: Site, injection: Injection | None, match: str) -> Evidence:
    """It holds when what was hit is gone, nothing of the kind has come instead, and others of the server live on."""
    processes = site.target.tell("processes")["processes"]
    there = {process["pid"] for process in processes}
    instead = [process for process in processes if re.search(match, process["command"])]
    hit = injection.details["pids"] if injection else []
    # After a restart of the whole server nobody who was spared is there: that is healed, not killed.
    spared = [pid for pid in injection.details["spared"] if pid in there] if injection else sorted(there)
    gone = [pid for pid in hit if pid not in there]
    return {
        "holds": not instead and bool(spared) and (injection is None or (bool(hit) and gone == hit)),
        "pids_gone": gone,
        "pids_spared": spared,
        "nothing_instead": not instead,
        "server_processes": processes,
    }


def restart(site: Site, match: str) -> None:
    """Start the whole server again, unless somebody has started what was killed."""
    node = site.target
    if node.server_running():
        if any(re.search(match, process["command"]) for process in node.tell("processes")["processes"]):
            return
        node.tell("signal", signal="KILL", wait_s=2.0)
        # The engine learns of the end a little after the processes are gone; until then it refuses to start.
        wait_until(lambda: not node.server_running(), timeout_s=ENDED_S, message=f"{node.name}: its server did not end")
    node.start_server()
