"""What the commands without a run do: list, new, plan, bound, report, images, clean. Each returns its text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.catalogue import find, load, shipped
from lab.errors import BadInput
from lab.overrides import apply_sets, parse_sets
from lab.plan import Plan, make_plan
from lab.schedule import about_s, about_text, bound_text, plan_text

if TYPE_CHECKING:
    from lab.result import Result
    from lab.store import RunFolder


def plan_of(
    scenario: str, *, arms: Sequence[str] | None, repeats: int | None, seed: str | None, sets: Sequence[str]
) -> Plan:
    """The plan that a person asks for; a random seed where none is given. Raises BadInput that names the file."""
    script = load(scenario)
    pairs = parse_sets(tuple(sets))
    try:
        made = apply_sets(script.scenario, pairs)
        return make_plan(
            made,
            _random_seed() if seed is None else seed,
            arms,
            repeats,
            name=script.name,
            source=script.source,
            claim=script.claim,
            sets=pairs,
        )
    except BadInput as error:
        raise error.at(str(find(scenario))) from None


def list_scenarios() -> str:
    """A line a scenario: name, claim, about how long."""
    width = max(80, shutil.get_terminal_size((120, 24)).columns)
    rows: list[tuple[str, str, str]] = []
    for name, path in _listed():
        try:
            plan = plan_of(str(path), arms=None, repeats=None, seed="1", sets=())
        except BadInput as error:
            rows.append((name, f"(cannot be loaded) {error}", ""))
            continue
        shows = plan.scenario.demonstration or plan.scenario.expects
        mark = "(demonstration) " if shows else ""
        rows.append((name, mark + plan.claim, about_text(about_s(plan))))
    names, times = max(len(row[0]) for row in rows), max(len(row[2]) for row in rows)
    room = width - names - times - 4
    lines = []
    for name, claim, about in rows:
        short = claim if len(claim) <= room else claim[: room - 4].rstrip(" ,;:") + " ..."
        lines.append(f"{name:<{names}}  {short:<{room}}  {about}".rstrip())
    return "\n".join(lines) + "\n"


def new_scenario(name: str, *, database: bool = False) -> Path:
    """Write NAME.py into ./scenarios where there is one, else here: about views of a service's instances, or about
    writes to a database. Raises BadInput where it is there already."""
    stem = name.removesuffix(".py")
    if not stem.isidentifier():
        raise BadInput(f"{name!r} must be a name of letters, digits and _", "lab new")
    folder = Path("scenarios") if Path("scenarios").is_dir() else Path()
    path = folder / f"{stem}.py"
    try:
        with path.open("x") as file:
            file.write(_DATABASE_TEMPLATE if database else _TEMPLATE)
    except FileExistsError:
        raise BadInput("is there already; choose another name", str(path)) from None
    except OSError as error:
        raise BadInput(f"cannot be written ({error.strerror})", str(path)) from error
    return path


def planned(
    scenario: str,
    *,
    arms: Sequence[str] | None,
    repeats: int | None,
    seed: str | None,
    sets: Sequence[str],
    as_json: bool,
) -> str:
    """The plan as text, or as JSON."""
    plan = plan_of(scenario, arms=arms, repeats=repeats, seed=seed, sets=sets)
    if not as_json:
        return plan_text(plan)
    import orjson

    return orjson.dumps(plan.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def bounds_of(scenario: str, sets: Sequence[str]) -> str:
    """The table of bounds."""
    script = load(scenario)
    try:
        return bound_text(apply_sets(script.scenario, parse_sets(tuple(sets))))
    except BadInput as error:
        raise error.at(str(find(scenario))) from None


def report_again(folder: Path) -> int:
    """Judge a run folder again, write its reports anew, print the result; the result's exit code."""
    from lab.report import html, terminal
    from lab.running import rejudge
    from lab.store import RunFolder

    run = RunFolder.open(folder)
    result = rejudge(run, page=html.render, text=terminal.text)
    show(result, run)
    return result.exit_code


def show(result: Result, run: RunFolder) -> None:
    """Print a result: in colours to a terminal, else as it stands in the run folder."""
    from rich.console import Console

    from lab.report import terminal

    console = Console()
    if console.is_terminal:
        terminal.show(result, console, report=str(run.shown))
    else:
        print(terminal.text(result, report=str(run.shown)), end="")


def examine(*, fix: bool) -> tuple[str, bool]:
    """A line for everything that the lab needs, with the mend; and whether all of it is there. `fix` mends first."""
    from lab.cluster.bringup import ensure_engine
    from lab.cluster.doctor import checks

    if fix:
        ensure_engine(lambda text: print(text, file=sys.stderr, flush=True), install=True)
    found = checks()
    lines = []
    for check in found:
        mend = f"   mend: {check.mend}" if check.mend else ""
        lines.append(f"{'ok' if check.ok else 'LACKING':<8} {check.name:<8} {check.found}{mend}\n")
    return "".join(lines), all(check.ok for check in found)


def images(names: Sequence[str] = (), *, rebuild: bool, save: Path | None, load: Path | None) -> str:
    """Build, refresh or carry images (all but those built on demand, where none is named); a line each of how it is."""
    from lab.cluster import images as store
    from lab.report.progress import progress

    if save is not None:
        return "".join(f"saved   {name}\n" for name in store.save(save))
    if load is not None:
        return "".join(f"loaded  {name}\n" for name in store.load(load))
    with progress() as tell:
        (store.rebuild if rebuild else store.ensure)(names or store.standard(), tell)
    return "".join(
        f"{'present' if image.present else 'MISSING'}  {image.reference:<40} {image.size_bytes / 1e6:6.0f} MB\n"
        for image in store.status()
    )


def clean() -> str:
    """Remove what dead labs left; what was removed, and who is alive."""
    from lab.cluster.sweep import clean as sweep

    removed, alive = sweep()
    lines = [f"run {run}: removed {count} things" for run, count in removed.items()]
    lines += [f"run {run} is alive and was not touched" for run in alive]
    return "\n".join(lines or ["nothing was left"]) + "\n"


def _listed() -> list[tuple[str, Path]]:
    """What to call the shipped scenarios, and those of ./scenarios that are others."""
    found = {path.stem: path for path in shipped()}
    for path in sorted(Path("scenarios").glob("*.py")):
        if not path.name.startswith("_") and not (path.stem in found and found[path.stem].samefile(path)):
            found[str(path)] = path
    return list(found.items())


def _random_seed() -> str:
    import secrets

    return str(secrets.randbelow(1_000_000))


_TEMPLATE = '''\
"""Clients of a crashed backend are right again within the bound of their mechanism."""

from lab import Arm, HttpClients, Scenario, Strike, bound, some, worst
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=4)
dns = Arm("dns", service, Dns(ttl_s=2))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=12, rate_per_s=60),
    strikes=[Strike(Crash(), target=some("backend", 2), every_s=1.5)],
    objectives=[worst(dead_but_listed_s) <= bound()],
    repeats=2,
)
'''

_DATABASE_TEMPLATE = '''\
"""When the primary crashes, writes come back within the bound; with synchronous replication none is lost."""

from lab import Arm, Scenario, SqlWriters, Strike, bound, leader, total, worst
from lab.faults import Crash
from lab.measures import lost_writes, outage_s
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

controller = Controller(check_interval_s=0.25, check_timeout_s=0.5, failures=3)
asynchronous = Arm("async", Postgres(standbys=2), controller, routes=[MultiHost()])
synchronous = Arm("sync", Postgres(standbys=2, replication="sync"), controller, routes=[MultiHost()])

scenario = Scenario(
    arms=[asynchronous, synchronous],
    load=SqlWriters(rate_per_s=100),
    strikes=[Strike(Crash(), target=leader("postgres"))],
    objectives=[worst(outage_s) <= bound(), total(lost_writes, arm=synchronous) <= 0],
    repeats=2,
)
'''
