"""The lab's own failover controller, and, with LAB_OPERATOR_S, an operator who does by hand what it does.

    rules      settings                        streak     failed probes in a row, and when they are enough
    duty       the whole: watch, decide, act   fence      the old primary, through its management port
    choice     whom to promote; pure           promotion  choose, promote, let the others follow
    server     a session kept with each        handover   the steps of a planned change

Control (lab.inside.control): {"do": "status"}; {"do": "reset"}: postgres1 is the primary, watch it, at another offset;
{"do": "stand_down"}: watch nobody until the next reset; {"do": "switchover"}. All answer {ok, primary, doing: "idle" |
"watching" | "suspects" | "fencing" | "promoting" | "done" | "stuck", failures, connected: [node...], next_probe_ns,
interval_s}; done: it watches the new primary. It is idle until it has once seen the primary well, and in a pod until
the first reset: the lab makes its servers anew before a trial, and nobody may take that for a failure.

Events (writer controller): failover.*, lag, stall. A switchover has the events of a failover: detected is when it was
asked for (checks: 0), and the fence is the old primary's becoming read-only.
"""

from __future__ import annotations


def main() -> None:
    """Run until the process is ended."""
    import asyncio

    asyncio.run(_control())


async def _control() -> None:
    import asyncio
    import os

    from lab.history import Recorder
    from lab.inside import control
    from lab.inside.controller.duty import Controller
    from lab.inside.controller.rules import Rules
    from lab.inside.naming import address_in_pod, events_folder, numbered
    from lab.inside.ticker import Ticker

    addresses = numbered("postgres", int(os.environ.get("LAB_POSTGRES") or 3))
    clients = [address for name in ("clients", "haproxy") if (address := address_in_pod(name))]
    events = Recorder(events_folder(), "controller")
    controller = Controller(addresses, clients, Rules.from_environment(), os.environ.get("LAB_SEED") or "0", events)
    loop = asyncio.get_running_loop()
    ticker = Ticker(events)

    async def tick() -> None:
        while True:
            await asyncio.sleep(ticker.tick())

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        group.create_task(controller.run(idle=bool(os.environ.get("LAB_NODE"))))
        control.serve(lambda message: controller.answer(loop, message))
