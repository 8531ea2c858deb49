"""The command line: parses, makes one call, maps its answer to an exit code. Heavy imports live inside commands.

Exit codes: 0 the claim holds, 1 it does not, 2 unknown, 3 bad input, 4 the lab or the machine failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from lab.errors import LabError

BAD_INPUT = 3
FAILED = 4
STOPPED = 2

Command = Callable[..., Any]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="boring-lab", prog_name="lab")
def lab() -> None:
    """Chaos and scale tests for boring technology: measured answers from real servers under real faults.

    Exit codes: 0 the claim holds, 1 it does not, 2 unknown, 3 bad input, 4 the lab or the machine failed.
    """


def _arms(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    names = [name.strip() for part in value for name in part.split(",") if name.strip()]
    return list(dict.fromkeys(names)) or None


def _planned(command: Command) -> Command:
    """The options that decide what a plan is."""
    options = [
        click.option("--arm", "arms", multiple=True, callback=_arms, metavar="ARM[,ARM]", help="Only these arms."),
        click.option("--repeats", type=click.IntRange(min=1), help="Trials of each arm."),
        click.option("--seed", help="Every random choice comes from it; a random one is printed when none is given."),
        _set,
    ]
    for option in reversed(options):
        command = option(command)
    return command


_set = click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="Change a setting; again for more.")


@lab.command("list")
def list_() -> None:
    """Scenarios with their claims and how long they take."""
    from lab.commands import list_scenarios

    click.echo(list_scenarios(), nl=False)


@lab.command()
@click.argument("name")
@click.option("--database", is_flag=True, help="About writes to Postgres, not about instances of a service.")
def new(name: str, database: bool) -> None:
    """Write a scenario that runs, to be edited."""
    from lab.commands import new_scenario

    path = new_scenario(name, database=database)
    click.echo(f"{path} is written; it runs as it is: lab run {path}")


@lab.command()
@click.argument("scenario", metavar="NAME|FILE")
@_planned
@click.option("--json", "as_json", is_flag=True, help="As JSON, for lab run --plan.")
def plan(scenario: str, as_json: bool, **options: Any) -> None:
    """Every step with its time, without Docker; the same seed gives the same text."""
    from lab.commands import planned

    click.echo(planned(scenario, as_json=as_json, **options), nl=False)


@lab.command()
@click.argument("scenario", metavar="NAME|FILE")
@_set
def bound(scenario: str, sets: tuple[str, ...]) -> None:
    """Each arm's bound per fault and phase, from its settings, without Docker."""
    from lab.commands import bounds_of

    click.echo(bounds_of(scenario, sets), nl=False)


@lab.command()
@click.argument("scenario", metavar="NAME|FILE", required=False)
@_planned
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Carry out a plan of lab plan --json.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder; a new one below reports/ otherwise.")
@click.option("--keep", is_flag=True, help="Leave the stacks up, for lab shell and lab logs.")
@click.option("--share", is_flag=True, help="Measure beside another run on this engine; the report says so.")
def run(scenario: str | None, plan_file: Path | None, out: Path | None, keep: bool, share: bool, **options: Any) -> int:
    """Carry a scenario out, judge it and report it."""
    if (scenario is None) == (plan_file is None):
        raise click.UsageError("name a scenario (see lab list), or a plan with --plan FILE")
    if plan_file is not None and any(options.values()):
        raise click.UsageError("a plan is complete: --arm, --repeats, --seed and --set do not go with --plan")
    from lab.session import run_plan, run_scenario

    if plan_file is not None:
        return run_plan(plan_file, out=out, keep=keep, share=share)
    return run_scenario(scenario or "", out=out, keep=keep, share=share, **options)


@lab.command()
@click.argument("folder", metavar="RUN_DIR", type=click.Path(path_type=Path))
def report(folder: Path) -> int:
    """Judge a recorded run again and report it, without Docker."""
    from lab.commands import report_again

    return report_again(folder)


@lab.command()
@click.option("--fix", is_flag=True, help="Install and start what is missing (as root, on Debian and its like).")
def doctor(fix: bool) -> int:
    """What is missing here, and the exact mend."""
    from lab.commands import examine

    text, good = examine(fix=fix)
    click.echo(text, nl=False)
    return 0 if good else FAILED


@lab.command()
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.option("--rebuild", is_flag=True, help="Build them again, with fresh packages.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Write them to a file.")
@click.option("--load", type=click.Path(path_type=Path), metavar="FILE", help="Take them from a file.")
def images(names: tuple[str, ...], rebuild: bool, save: Path | None, load: Path | None) -> None:
    """Build the images that are missing (those named, or all but what few stacks need); refresh or carry them."""
    if sum((rebuild, save is not None, load is not None)) > 1:
        raise click.UsageError("--rebuild, --save and --load do not go together")
    if names and (save is not None or load is not None):
        raise click.UsageError("--save and --load take every image that is there, and no names")
    from lab.commands import images as do

    click.echo(do(names, rebuild=rebuild, save=save, load=load), nl=False)


@lab.command()
@click.argument("node")
@click.argument("command", nargs=-1)
@click.option("--arm", default="", help="Of which arm; the newest stack otherwise.")
@click.option("--host", is_flag=True, help="The node's host container (agent, packet rules), not its server.")
def shell(node: str, command: tuple[str, ...], arm: str, host: bool) -> int:
    """A shell (or a COMMAND) in a node of a stack kept with --keep."""
    from lab.cluster.kept import shell as do

    return do(node, command, arm=arm, part="host" if host else "server")


@lab.command()
@click.argument("node")
@click.option("--arm", default="", help="Of which arm; the newest stack otherwise.")
@click.option("--host", is_flag=True, help="Of the node's host container, not of its server.")
def logs(node: str, arm: str, host: bool) -> None:
    """What a node of a kept stack has logged."""
    from lab.cluster.kept import logs as do

    click.echo(do(node, arm=arm, part="host" if host else "server"), nl=False)


@lab.command()
def clean() -> None:
    """Remove the labelled leftovers of labs that are dead; touches nothing else."""
    from lab.commands import clean as do

    click.echo(do(), nl=False)


def call(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Errors are one message on standard error, never a traceback but for a bug."""
    try:
        answer = lab.main(list(arguments), prog_name="lab", standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("lab: stopped", err=True)
        return STOPPED
    except LabError as error:
        click.echo(f"lab: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has enough; nothing is left to say
        return 0
    except Exception:  # Python's own exit code 1 would mean "the claim does not hold"
        import traceback

        traceback.print_exc()
        click.echo("lab: this is a bug of the lab, not of what it tests", err=True)
        return FAILED


def main() -> None:
    """The entry of the command `lab`."""
    sys.exit(call(sys.argv[1:]))


if __name__ == "__main__":
    main()
