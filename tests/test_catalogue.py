"""Scripts are found by name or file, loaded each by itself, and what is wrong with them is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.catalogue import claim_of, find, load, shipped
from lab.errors import BadInput
from lab.plan import Plan, make_plan

GOOD = '''"""It holds,
and it does so on two lines."""
from dataclasses import dataclass
from typing import ClassVar
from lab import Strike, one
from lab.faults import Crash
from tests.stand_in import scenario as made

@dataclass(frozen=True, slots=True)
class Nothing(Crash):
    """Does nothing."""
    extra: int = 3
    name: ClassVar[str] = "crash"

scenario = made(strikes=[Strike(Nothing(extra=4), one("backend"))], repeats=1)
'''


def script(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(text)
    return str(path)


def test_a_file_is_loaded_with_its_claim(tmp_path: Path) -> None:
    """Name, claim on one line, the scenario; two loads share no class."""
    file = script(tmp_path, GOOD)
    first, second = load(file), load(file)
    assert (first.name, first.claim) == ("mine", "It holds, and it does so on two lines.")
    assert first.source == file
    assert first.module.Nothing is not second.module.Nothing


def test_a_plan_finds_the_classes_of_its_script(tmp_path: Path) -> None:
    """A fault that the script itself defines is loaded from the script again."""
    found = load(script(tmp_path, GOOD))
    plan = make_plan(found.scenario, 1, source=found.source)
    data = plan.to_json()
    assert data["scenario"]["strikes"][0]["fault"]["class"] == "script:Nothing"
    again = Plan.from_json(data, runnable=True)
    assert again.trials[0].strikes[0].fault.extra == 4  # type: ignore[attr-defined]
    Path(found.source).unlink()
    assert Plan.from_json(data).trials[0].strikes[0].fault.name == "crash"
    with pytest.raises(BadInput, match="no such file"):
        Plan.from_json(data, runnable=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"""C."""\nimport nonsense_that_is_not_there\n', ":2: does not import: ModuleNotFoundError"),
        ('"""C."""\n\n\nx = = 3\n', ":4: syntax error"),
        ('"""C."""\n', "there is no `scenario`"),
        ('"""C."""\nscenario = 3\n', "`scenario` is int, not a Scenario"),
        ("scenario = 3\n", "the docstring is missing"),
        ('"""C."""\nfrom lab import HttpClients\nHttpClients(count=-1, rate_per_s=1)\n', "HttpClients: count=-1"),
        ('"""C."""\n1 / 0\n', ":2: does not import: ZeroDivisionError"),
        ("\x00", "syntax error"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake in a script is BadInput that names the file, and the line where there is one."""
    file = script(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        load(file)
    assert str(caught.value).startswith(file)
    assert message in str(caught.value)


def test_names_that_are_not_there() -> None:
    """An unknown name lists the known ones; an unknown file is just not there."""
    with pytest.raises(BadInput, match="neither a file nor a scenario; scenarios are agent_crash, backend_crash,"):
        find("backend_crush")
    with pytest.raises(BadInput, match="no such file"):
        find("no/such.py")


def test_shipped_scenarios_are_found_by_name_and_by_file() -> None:
    """Both are the same source, so that a plan does not depend on how its script was named."""
    path = find("backend_crash")
    assert path in shipped()
    assert load(str(path)).source == "backend_crash"


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_shipped_scenarios_plan(path: Path) -> None:
    """Every shipped scenario loads, states a claim in a sentence, plans, and its plan loads back."""
    found = load(str(path))
    assert found.claim == claim_of(path) and found.claim.endswith(".")
    plan = make_plan(found.scenario, 7, name=found.name, source=found.source, claim=found.claim)
    assert plan.trials
    again = Plan.from_json(plan.to_json(), runnable=True)
    assert again.fingerprint == plan.fingerprint
