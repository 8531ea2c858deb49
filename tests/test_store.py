"""The run folder: what is where, and what a person is told when it is not."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import orjson
import pytest

from lab.errors import BadInput, LabError
from lab.history import Recorder
from lab.store import RunFolder, TrialFolder
from tests import make_result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A place for runs that does not exist yet, as in an empty folder with an installed wheel."""
    return tmp_path / "deep" / "reports"


@pytest.fixture
def run(root: Path) -> RunFolder:
    made = RunFolder.create("backend_crash", 7, root=root)
    made.write_plan({"schema": 1, "seed": "7"})
    return made


def test_a_run_goes_below_its_scenario_under_time_and_seed(run: RunFolder, root: Path) -> None:
    """reports/<scenario>/<YYYYmmdd-HHMMSS>-<seed>/, made with everything above it."""
    assert run.path.parent == root / "backend_crash"
    date, time, seed = run.path.name.split("-")
    assert (len(date), len(time), seed) == (8, 6, "7")


def test_without_a_root_runs_go_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lab run` in an empty folder makes reports/ there."""
    monkeypatch.chdir(tmp_path)
    made = RunFolder.create("backend_crash", 7)
    made.write_report("<p>")
    assert made.shown == Path("reports/latest/report.html")
    assert (tmp_path / made.shown).read_text() == "<p>"


def test_two_runs_in_one_second_do_not_share_a_folder(root: Path) -> None:
    """Even when many labs begin at once."""
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(RunFolder.create("backend_crash", 7, root=root).path))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8


def test_names_cannot_leave_the_folder(root: Path) -> None:
    """A scenario's path, an odd seed or arm is only ever one part of a name."""
    made = RunFolder.create("../../etc/x", "../7 8", root=root)
    assert made.path.parent.parent == root
    assert made.trial(1, "../dns").parent == made.path / "trials"
    assert made.stack("..").parent == made.path / "stacks"


def test_out_is_the_folder_itself_and_leaves_latest_alone(tmp_path: Path) -> None:
    """`--out DIR` puts the report where CI looks for it."""
    made = RunFolder.create("backend_crash", 7, out=tmp_path / "a" / "b")
    assert made.path == tmp_path / "a" / "b"
    made.write_report("<p>")
    assert made.shown == made.path / "report.html"
    assert not list(tmp_path.rglob("latest"))


def test_out_never_mixes_with_what_is_there(tmp_path: Path) -> None:
    """A folder that holds something is refused, with the option's name and the mend."""
    (tmp_path / "mine.txt").touch()
    with pytest.raises(BadInput, match=r"--out .*: is not empty; name a new or an empty folder"):
        RunFolder.create("backend_crash", 7, out=tmp_path)


def test_out_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    """No traceback for a path that cannot be a folder."""
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        RunFolder.create("backend_crash", 7, out=tmp_path / "file")
    with pytest.raises(BadInput, match="cannot be written"):
        RunFolder.create("backend_crash", 7, out=tmp_path / "file" / "below")


def test_latest_points_to_the_run_whose_report_was_written_last(root: Path) -> None:
    """Replaced in one step, and relative, so that reports/ can be moved or packed."""
    for seed in (1, 2):
        made = RunFolder.create("backend_crash", seed, root=root)
        assert not (root / "latest").exists() or (root / "latest").resolve() != made.path.resolve()
        made.write_plan({})
        made.write_report(f"run {seed}")
        assert (root / "latest" / "report.html").read_text() == f"run {seed}"
    assert not (root / "latest").readlink().is_absolute()
    assert RunFolder.open(root / "latest").path == made.path.resolve()
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []


def test_no_latest_is_better_than_a_wrong_one(run: RunFolder, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk without links the run goes on, and nobody is led to an older run."""
    run.write_report("old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    newer = RunFolder.create("backend_crash", 8, root=root)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    newer.write_report("new")
    assert not (root / "latest").is_symlink()
    assert newer.shown == newer.path / "report.html"


def test_a_reader_never_sees_half_a_file(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old file whole and nothing beside it."""
    run.write_terminal("first")
    whole = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        whole(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(LabError, match="no space left on the disk; free some") as told:
        run.write_terminal("second")
    assert told.value.exit_code == 4
    assert (run.path / "terminal.txt").read_text() == "first"
    assert sorted(path.name for path in run.path.iterdir()) == ["plan.json", "terminal.txt"]


@pytest.mark.parametrize("name", ["two_arms", "partial", "unknown", "empty"])
def test_a_result_is_read_back_as_it_was_written(run: RunFolder, name: str) -> None:
    """result.json holds every number; a month later it makes the same report."""
    result = make_result.ALL[name]()
    run.write_result(result)
    again = RunFolder.open(run.path).result()
    assert again.to_json() == orjson.loads(orjson.dumps(result.to_json()))


def test_plan_and_versions_are_read_back(run: RunFolder) -> None:
    """Versions are optional: a run that ended early has none."""
    assert run.versions() == {}
    run.write_versions({"engine": "20.10.24"})
    assert (run.plan()["seed"], run.versions()) == ("7", {"engine": "20.10.24"})


def test_trials_are_found_in_order_with_their_histories(run: RunFolder) -> None:
    """trials/001-dns/*.jsonl, numbers beyond 999 too; a folder without a recording is no trial."""
    for number, arm in ((1000, "dns"), (2, "zookeeper-fast"), (1, "dns")):
        recorder = Recorder(run.trial(number, arm), "lab")
        recorder.record("phase", 10, name="up")
        recorder.close()
    run.trial(3, "dns")
    (run.path / "trials" / "notes").mkdir()
    trials = RunFolder.open(run.path).trials()
    assert [(trial.number, trial.arm) for trial in trials] == [(1, "dns"), (2, "zookeeper-fast"), (1000, "dns")]
    assert [event.kind for event in run.history(trials[0])] == ["phase"]


def test_no_trials_is_an_empty_list(run: RunFolder) -> None:
    """A run that was stopped before its first trial can be opened."""
    assert run.trials() == []


def test_a_damaged_history_names_file_and_line(run: RunFolder) -> None:
    """Raw files are read by people too: the message says where to look."""
    at = run.trial(1, "dns")
    (at / "lab.1.jsonl").write_text('{"schema":1,"writer":"lab","incarnation":1,"boot_id":""}\nrubbish\n')
    with pytest.raises(BadInput, match=r"001-dns/lab\.1\.jsonl:2: not an event"):
        run.history(TrialFolder(1, "dns", at))


def test_a_history_of_a_newer_lab_is_refused(run: RunFolder) -> None:
    """By name, with the mend."""
    at = run.trial(1, "dns")
    (at / "lab.1.jsonl").write_text('{"schema":99,"writer":"lab","incarnation":1,"boot_id":""}\n')
    with pytest.raises(BadInput, match="newer lab"):
        run.history(TrialFolder(1, "dns", at))


@pytest.mark.parametrize("name", ["plan.json", "result.json"])
def test_files_of_a_newer_lab_are_refused(run: RunFolder, name: str) -> None:
    """Nothing is half-understood."""
    (run.path / name).write_text('{"schema": 99}')
    with pytest.raises(BadInput, match=rf"{name}: written by a newer lab \(schema 99\)"):
        run.plan() if name == "plan.json" else run.result()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "is not a result"),
        ('{"arms": [1]}', "is not a result"),
        ('{"schema": "x"}', "is not a result"),
    ],
)
def test_a_damaged_result_is_bad_input(run: RunFolder, content: str, said: str) -> None:
    """Never a traceback, always the file."""
    (run.path / "result.json").write_text(content)
    with pytest.raises(BadInput, match=f"result.json: {said}"):
        run.result()


def test_a_missing_result_says_so(run: RunFolder) -> None:
    """A run that was killed before its first trial ended has a plan and no result."""
    with pytest.raises(BadInput, match=r"result\.json: is missing"):
        run.result()


def test_fields_of_a_later_version_are_ignored_and_missing_ones_have_their_defaults(run: RunFolder) -> None:
    """Fields are only ever added: old folders stay readable, and new ones of the same schema too."""
    data = make_result.quiet().to_json()
    data["moon"] = data["arms"][0]["moon"] = "full"
    del data["lab_lag_p99_ms"], data["arms"][0]["phases_covered"]
    (run.path / "result.json").write_bytes(orjson.dumps(data))
    result = run.result()
    assert (result.lab_lag_p99_ms, result.arms[0].phases_covered) == (None, "")


def test_any_way_a_person_names_a_run_opens_it(run: RunFolder, root: Path) -> None:
    """Its folder, the link, or a file in it."""
    run.write_report("<p>")
    for path in (run.path, root / "latest", run.path / "report.html", root / "latest" / "plan.json"):
        assert RunFolder.open(path).path == run.path.resolve()


def test_a_folder_that_may_not_be_read_is_bad_input(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's run: the path and why, no traceback."""

    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(BadInput, match=r"cannot be read \(Permission denied\)"):
        RunFolder.open(run.path)


def test_what_is_not_a_run_folder_is_named_with_a_better_one(run: RunFolder, root: Path, tmp_path: Path) -> None:
    """File, what is wrong, and the mend, in one sentence."""
    run.write_report("<p>")
    with pytest.raises(
        BadInput, match=r"is not a run folder \(it has no plan\.json\); did you mean .*reports/latest\?"
    ):
        RunFolder.open(root)
    with pytest.raises(BadInput, match=r"is not a run folder .*name one, such as reports/latest"):
        RunFolder.open(tmp_path)
    with pytest.raises(BadInput, match=r"nowhere: does not exist"):
        RunFolder.open(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"link: the link points to nothing"):
        RunFolder.open(tmp_path / "link")
