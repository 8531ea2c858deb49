"""The command line: exit codes, messages without tracebacks, and what can be said without an engine."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lab import cli
from lab.catalogue import shipped
from lab.errors import BadInput, EngineMissing, LabError

SCRIPT = '''"""It holds."""
from tests.stand_in import scenario as made
scenario = made(repeats=1)
'''


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine answers, whatever this machine has."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")  # the SDK leaves a Unix socket open when it fails


def lab(*arguments: str) -> int:
    return cli.call(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "backend_crash", "--plan", "x.json"],
        ["run", "--plan", "x.json", "--seed", "7"],
        ["run", "backend_crash", "--repeats", "0"],
        ["plan"],
        ["plan", "no_such_scenario"],
        ["plan", "no/such/file.py"],
        ["bound", "no_such_scenario"],
        ["run", "--plan", "no/such/plan.json"],
        ["report", "no/such/run"],
        ["images", "--rebuild", "--save", "x"],
        ["new", "no such name"],
    ],
)
def test_bad_input_exits_3(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error, an unknown name, an unreadable file: one message on stderr, exit 3, no traceback."""
    assert lab(*arguments) == 3
    out, err = capsys.readouterr()
    assert err and "Traceback" not in err and not out


def test_errors_name_file_and_field(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong inside a script or with --set names the file or the option."""
    assert lab("plan", script, "--arm", "nobody") == 3
    assert f"{script}: --arm: there is no arm 'nobody'; arms are slow, quick" in capsys.readouterr().err
    assert lab("bound", script, "--set", "repeats=0") == 3
    assert f"{script}: Scenario: repeats=0 must be" in capsys.readouterr().err
    assert lab("plan", script, "--set", "ttl_s=-1") == 3
    assert "--set ttl_s=-1: Names: ttl_s=-1 must be at least 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(BadInput("x"), 3), (LabError("x"), 4), (EngineMissing("x"), 4), (ZeroDivisionError(), 4)]
)
def test_errors_map_to_exit_codes(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 for bad input, 4 for the lab and the machine; a bug is 4 too, never 1, and only it shows a traceback."""

    def fail() -> str:
        raise error

    monkeypatch.setattr("lab.commands.list_scenarios", fail)
    assert lab("list") == code
    assert ("Traceback" in capsys.readouterr().err) is isinstance(error, ZeroDivisionError)


# The engine's SDK leaves the socket that was refused for the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_engine_exits_4(no_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that need an engine say that there is none and how to mend it."""
    for command in (["images"], ["clean"], ["doctor"], ["logs", "ns1"]):
        assert lab(*command) == 4, command
        out, err = capsys.readouterr()
        assert "mend" in out + err and "Traceback" not in err
    gc.collect()  # here, where the warning is expected


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Both exit 0."""
    assert lab("--help") == 0 and lab("--version") == 0 and lab("run", "-h") == 0
    assert "boring technology" in capsys.readouterr().out


def test_plan_is_text_without_an_engine(script: str, no_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Same seed, same text; without a seed one is chosen and printed."""
    assert lab("plan", script, "--seed", "7") == 0
    first = capsys.readouterr().out
    assert lab("plan", script, "--seed", "7") == 0
    assert capsys.readouterr().out == first
    assert first.startswith("mine, seed 7: 2 trials in the order slow quick")
    assert lab("plan", script) == 0
    assert capsys.readouterr().out.startswith("mine, seed ")


def test_plan_json_is_a_plan(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--json with --arm, --repeats and --set is what was asked for."""
    arguments = ["--arm", "slow", "--repeats", "2", "--seed", "7", "--set", "every_s=2", "--set", "names.ttl_s=4"]
    assert lab("plan", script, "--json", *arguments) == 0
    data = json.loads(capsys.readouterr().out)
    assert [trial["arm"] for trial in data["trials"]] == ["slow", "slow"]
    assert [strike["at_s"] for strike in data["trials"][0]["strikes"]] == [0, 2, 4, 6]
    assert data["sets"] == {"every_s": "2", "names.ttl_s": "4"}


def test_bound_needs_no_engine(script: str, no_engine: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A row an arm, and --set moves it."""
    assert lab("bound", script) == 0
    assert "1 to 8 s" in capsys.readouterr().out
    assert lab("bound", script, "--set", "ttl_s=1") == 0
    assert "1 to 4 s" in capsys.readouterr().out


def test_list_names_every_shipped_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, claim and time of each; demonstrations are marked."""
    assert lab("list") == 0
    out = capsys.readouterr().out
    for path in shipped():
        assert path.stem in out
    assert "(demonstration)" in out and "cannot be loaded" not in out


def test_list_survives_a_broken_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script of one's own that does not load is listed with what is wrong."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "broken.py").write_text("x = = 1")
    monkeypatch.chdir(tmp_path)
    assert lab("list") == 0
    assert re.search(
        r"^scenarios/broken\.py +\(cannot be loaded\) .*syntax error", capsys.readouterr().out, re.MULTILINE
    )


def test_a_new_scenario_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lab new` writes a script that loads and plans, about either kind; it never overwrites one."""
    monkeypatch.chdir(tmp_path)
    assert lab("new", "mine") == lab("new", "--database", "writes") == 0
    assert lab("plan", "mine.py", "--seed", "1") == lab("plan", "writes.py", "--seed", "1") == 0
    assert lab("new", "mine") == 3
    assert "is there already" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    """`import lab.cli` brings in click and no library of the engine, the reports or the statistics."""
    code = "import lab.cli, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"docker", "rich", "jinja2", "scipy", "numpy", "orjson", "locust", "gevent"} & set(done.stdout.split())


def test_a_closed_pipe_is_no_error() -> None:
    """`lab plan | head -1` ends quietly."""
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m lab.cli list | head -c 1; exit 0"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert "Traceback" not in done.stderr


def test_commands_are_documented() -> None:
    """Every command has a help line that fits, and every option says what it does."""
    for command in cli.lab.commands.values():
        assert command.help
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{command.name} {parameter.name}"
