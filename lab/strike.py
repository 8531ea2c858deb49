"""One strike: verify not -> inject -> verify, every step recorded with its evidence; and its healing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lab.clock import S
from lab.errors import NodeLost
from lab.history import SharedRecorder
from lab.protocols import Beat, Evidence, Fault, Injection, Node, Stack
from lab.wait import TimedOut, wait_until

EFFECT_S = 2.0
"""How long a fault may take to show its evidence after it was commanded."""


@dataclass(frozen=True, slots=True)
class StruckSite:
    """What a fault is given: its target, and the nodes that no strike of this trial touches."""

    target: Node
    others: Sequence[Node]
    nodes: Mapping[str, Node]


def site_of(stack: Stack, target: str, struck: frozenset[str]) -> StruckSite:
    """The site of a strike; witnesses are nodes that stay whole."""
    others = tuple(node for name, node in stack.nodes.items() if name not in struck)
    return StruckSite(stack.nodes[target], others, stack.nodes)


def strike(
    number: int,
    fault: Fault,
    site: StruckSite,
    log: SharedRecorder,
    *,
    planned_phase: float,
    beat: Beat | None,
    now_ns: Callable[[], int],
    wait_for_due: Callable[[], None],
) -> tuple[Injection, bool]:
    """Carry one strike out at its due instant; what was done, and whether the evidence shows an effect."""
    about: dict[str, Any] = {"strike": number, "fault": fault.name, "node": site.target.name}
    before = fault.verify(site, None)
    log.record("fault.checked", when="before", holds=bool(before["holds"]), evidence=before, **about)
    wait_for_due()
    log.record("fault.commanded", now_ns(), **about)
    injection = fault.inject(site)
    if beat is not None:
        log.record("strike.phase", strike=number, **_phase(beat, injection, planned_phase))
    evidence = _effect(fault, site, injection)
    holds = bool(evidence["holds"])
    log.record("fault.checked", when="after", holds=holds, evidence=evidence, **about)
    edges = {"after_ns": injection.after_ns, "before_ns": injection.before_ns}
    if holds:
        log.record("fault.effective", leaves=fault.leaves, evidence=evidence, **edges, **about)
    else:
        false = [key for key, value in evidence.items() if key != "holds" and not value]
        missing = (
            f"{fault.name} of {site.target.name} was commanded, but {EFFECT_S:g} s later nothing shows it: "
            f"missing evidence: {', '.join(false) or 'what ' + fault.name + ' verifies'}"
        )
        log.record("fault.ineffective", evidence=evidence, missing=missing, **edges, **about)
    return injection, holds


def heal(
    number: int, fault: Fault, site: StruckSite, injection: Injection, log: SharedRecorder, now_ns: Callable[[], int]
) -> None:
    """Undo one strike and look that it is undone; recorded, also when it was not."""
    about: dict[str, Any] = {"strike": number, "fault": fault.name, "node": site.target.name}
    after_ns = now_ns()
    stamped = fault.heal(site, injection)
    before_ns = now_ns()
    if stamped is not None:
        after_ns, before_ns = stamped["after_ns"], stamped["before_ns"]
    if fault.leaves == "alive" and not getattr(fault, "holds_until_healed", False):
        return  # there was nothing to undo, or (start) its end is the server's own goodbye
    evidence: Evidence = {"holds": True}
    try:
        evidence = wait_until(lambda: _unless_holding(fault, site, injection), timeout_s=5.0)
    except (TimedOut, NodeLost) as error:
        evidence = {"holds": True, "error": str(error)}
    log.record("fault.checked", when="healed", holds=bool(evidence["holds"]), evidence=evidence, **about)
    log.record("fault.healed", after_ns=after_ns, before_ns=before_ns, evidence=evidence, **about)


def _effect(fault: Fault, site: StruckSite, injection: Injection) -> Evidence:
    evidence = fault.verify(site, injection)

    def look() -> bool:
        nonlocal evidence
        evidence = fault.verify(site, injection)
        return bool(evidence["holds"])

    if not evidence["holds"]:
        with suppress(TimedOut):  # the evidence that was last seen tells what is missing
            wait_until(look, timeout_s=EFFECT_S, every_s=0.05)
    return evidence


def _unless_holding(fault: Fault, site: StruckSite, injection: Injection) -> Evidence | None:
    evidence = fault.verify(site, injection)
    return None if evidence["holds"] else evidence


def _phase(beat: Beat, injection: Injection, planned: float) -> dict[str, Any]:
    middle_ns = (injection.after_ns + injection.before_ns) // 2
    achieved = ((middle_ns - beat.at_ns) / (beat.period_s * S)) % 1.0
    return {
        "beat": beat.name,
        "period_s": beat.period_s,
        "planned": planned,
        "achieved": round(achieved, 4) if beat.seen else None,
        "beat_at_ns": beat.at_ns,
    }
