"""Finds scenario scripts by name or file, and loads them, each as a module of its own; everything wrong is BadInput."""

from __future__ import annotations

import ast
import sys
import traceback
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType

from lab.errors import BadInput
from lab.scenario import Scenario
from lab.share import share

SCRIPT_MODULE = "lab_script_"
"""Modules of scripts are named so, each anew, so that two loads never share anything."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Script:
    """A loaded scenario script."""

    name: str
    """The file's name without .py."""
    source: str
    """How it is found again: its name where it is shipped with the lab, else its absolute path."""
    claim: str
    """Its docstring, on one line."""
    scenario: Scenario
    module: ModuleType


def shipped() -> list[Path]:
    """The scripts that come with the lab, by name."""
    return sorted(path for path in share("scenarios").glob("*.py") if not path.name.startswith("_"))


def find(name_or_file: str) -> Path:
    """The script that a person means: a file, or the name of one that comes with the lab. Raises BadInput."""
    path = Path(name_or_file)
    if path.is_file():
        return path
    if path.suffix == ".py" or len(path.parts) != 1:
        raise BadInput("there is no such file", name_or_file)
    names = {found.stem: found for found in shipped()}
    if name_or_file not in names:
        raise BadInput(f"is neither a file nor a scenario; scenarios are {', '.join(names)}", name_or_file)
    return names[name_or_file]


def claim_of(path: Path) -> str:
    """A script's docstring on one line, without running it. Raises BadInput."""
    return _claim(_parse(path, str(path)))


def load(name_or_file: str) -> Script:
    """Load a script. Raises BadInput, with file and line, when it is not one or its scenario is nonsense."""
    path = find(name_or_file)
    where = str(path)
    tree = _parse(path, where)
    claim = _claim(tree)
    if not claim:
        raise BadInput("the docstring is missing: it is the scenario's claim, the first thing in the file", where)
    module = _execute(tree, path, where)
    scenario = getattr(module, "scenario", None)
    if scenario is None:
        raise BadInput("there is no `scenario`; end the file with scenario = Scenario(...)", where)
    if not isinstance(scenario, Scenario):
        raise BadInput(f"`scenario` is {type(scenario).__name__}, not a Scenario", where)
    return Script(path.stem, _source(path), claim, scenario, module)


def _claim(tree: ast.Module) -> str:
    return " ".join((ast.get_docstring(tree) or "").split())


def _parse(path: Path, where: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=where)
    except SyntaxError as error:
        raise BadInput(f"syntax error: {error.msg}", f"{where}:{error.lineno}") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be read ({error})", where) from error


def _execute(tree: ast.Module, path: Path, where: str) -> ModuleType:
    """Run the script as a module of its own; nothing is written beside it (it may lie in an installed package)."""
    module = ModuleType(f"{SCRIPT_MODULE}{path.stem}_{next(_numbers)}")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        exec(compile(tree, where, "exec"), module.__dict__)
    except BadInput as error:
        del sys.modules[module.__name__]
        raise error.at(where) from None
    except Exception as error:
        del sys.modules[module.__name__]
        trace = reversed(traceback.extract_tb(error.__traceback__))
        line = next((f":{frame.lineno}" for frame in trace if frame.filename == where), "")
        raise BadInput(f"does not import: {type(error).__name__}: {error}", where + line) from error
    return module


def _source(path: Path) -> str:
    own = share("scenarios") / path.name
    return path.stem if own.is_file() and own.samefile(path) else str(path.resolve())
