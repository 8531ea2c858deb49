"""What is happening, while it happens: one live line in a terminal, one line a phase without one.

Takes the engine's reports (lab.protocols.Progress), a dict each, told apart by `what`:
    building  {image, step, of, most_s}                                   an image is being built
    up        {arm, pods, limit_s}                                        an arm's stack starts
    trial     {number, of, arm, repeat}                                   a trial begins
    phase     {name, limit_s, detail, left_s, trial, of, arm, repeat}     sent again while it goes on; `left_s` is the
              run's where it differs from the phase's `limit_s`, and what is missing is taken from the last `trial`
    judged    {trial, valid, reasons}                                     a trial was judged
    note      {text}                                                      anything a person should know
A report of another kind is shown by its `text`, or its fields, so that a newer engine is never silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lab import clock
from lab.protocols import Fields, Progress

_PHASES = ("up", "ready", "baseline", "strike", "hold", "heal", "settle", "final", "collect")
_QUIET_S = 15.0
"""Without a terminal: seconds after which a phase that goes on says a changed detail."""


@contextmanager
def progress(console: Console | None = None) -> Iterator[Progress]:
    """Show reports until the block ends. `console`: where; default standard error, so that results can be piped."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    line = LiveLine(console)
    with Live(console=console, get_renderable=line.render, refresh_per_second=5, transient=True):
        yield line


class _Follower:
    """Remembers which trial goes on, so that its phases need not say it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start_ns = clock.now_ns()
        self._trial: Fields = {}

    def whole(self, report: Fields) -> Fields:
        """The report with what the last `trial` said; a replaced trial counts in order, not by its number."""
        what = report.get("what")
        if what == "trial":
            self._trial = {"trial": report.get("number"), **{key: report.get(key) for key in ("of", "arm", "repeat")}}
        return {**report, **self._trial} if what in ("trial", "phase") else report


class Lines(_Follower):
    """One line a phase with the seconds since the start; for logs and CI."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._shown: tuple[object, ...] = ()
        self._detail = ""
        self._last_ns = self._start_ns

    def __call__(self, report: Fields) -> None:
        now_ns, report = clock.now_ns(), self.whole(report)
        what, detail = report.get("what"), str(report.get("detail") or "")
        if what == "trial":
            return  # its phases name it
        key = (what, *(report.get(name) for name in _KEYS.get(str(what), tuple(report))))
        if key == self._shown:
            quiet_s = (now_ns - self._last_ns) / clock.S
            if detail == self._detail or quiet_s < _QUIET_S:
                return
        self._shown, self._detail, self._last_ns = key, detail, now_ns
        line = f"{(now_ns - self._start_ns) / clock.S:8.1f} s  {words_of(report)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


_KEYS: dict[str, tuple[str, ...]] = {"phase": ("name", "trial"), "building": ("image", "step"), "judged": ("trial",)}


class LiveLine(_Follower):
    """One line that is drawn again and again; notes and trials that do not count stay above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._report: Fields = {}
        self._since_ns = self._start_ns

    def __call__(self, report: Fields) -> None:
        what, report = report.get("what"), self.whole(report)
        if what == "note" or (what == "judged" and report.get("valid") != "yes"):
            self._console.print(words_of(report), markup=False, highlight=False)
        elif what == "trial":
            self._take({**report, "what": "phase", "name": "begins"})
        elif what != "judged":
            self._take(report)

    def render(self) -> Table:
        """The line as it is now."""
        report, now_ns = self._report, clock.now_ns()
        passed_s = (now_ns - self._since_ns) / clock.S
        left = left_of(report, passed_s)
        elapsed = minutes((now_ns - self._start_ns) / clock.S)
        wide = 20 if self._console.width >= 100 else 10
        said = Text(words_of(report, times=False))
        # Only the words give way in a narrow terminal: how long it may still take is what people look for.
        said.truncate(max(8, self._console.width - wide - len(left) - len(elapsed) - 8), overflow="ellipsis")
        line = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(total=1, completed=done(report), width=wide, pulse="trial" not in report)
        line.add_row(bar, said, Text(left, style="bold"), Text(elapsed, style="dim"))
        return line

    def _take(self, report: Fields) -> None:
        self._report, self._since_ns = report, clock.now_ns()


def words_of(report: Fields, *, times: bool = True) -> str:
    """A report as one line of text; with `times`, also how long it takes at most."""
    what = report.get("what")
    if not report:
        return "starting"
    if what == "note":
        return str(report.get("text", ""))
    if what == "judged":
        reasons = "; ".join(str(reason) for reason in report.get("reasons") or ())
        said = "valid" if report.get("valid") == "yes" else f"not valid ({report.get('valid')})"
        return f"trial {report.get('trial')} {said}" + (f": {reasons}" if reasons else "")
    if what == "up":
        return f"starting {report.get('pods', 'the')} pods of {report.get('arm', 'a stack')}{_limit(report, times)}"
    if what == "building":
        step = f"  step {report['step']}/{report['of']}" if report.get("step") and report.get("of") else ""
        return f"building {report.get('image', 'an image')}{step}{_limit(report, times)}"
    if what == "phase":
        detail = f" ({report['detail']})" if report.get("detail") else ""
        line = f"{_trial(report)}{report.get('name', '')}{detail}"
        if not times:
            return line
        left = "" if report.get("left_s") in (None, report.get("limit_s")) else f"  {left_of(report, 0.0)}"
        return line + _most(report.get("limit_s")) + left
    fields = ", ".join(f"{name} {value}" for name, value in report.items() if name not in ("what", "text"))
    return f"{what}  {report.get('text') or fields}".rstrip()


def done(report: Fields) -> float:
    """The share of the run that lies behind, 0 to 1, by trials and their phases."""
    trial, of, name = report.get("trial"), report.get("of"), report.get("name")
    if not trial or not of:
        return 0.0
    inside = _PHASES.index(name) / len(_PHASES) if name in _PHASES else 0.0
    return min(1.0, (int(trial) - 1 + inside) / int(of))


def left_of(report: Fields, passed_s: float) -> str:
    """ "<= 00:58 left" of the run; "<= 00:11 for this" where only the phase's own limit is known; else ""."""
    left_s, limit_s = report.get("left_s"), report.get("limit_s", report.get("most_s"))
    known_s = limit_s if left_s is None else left_s
    if known_s is None:
        return ""
    whose = "for this" if left_s is None or left_s == limit_s else "left"
    return f"<= {minutes(max(0.0, float(known_s) - passed_s))} {whose}"


def minutes(seconds: float) -> str:
    """ "00:58"."""
    whole = int(seconds + 0.5)
    return f"{whole // 60:02d}:{whole % 60:02d}"


def _limit(report: Fields, times: bool) -> str:
    return _most(report.get("most_s", report.get("limit_s"))) if times else ""


def _most(limit_s: object) -> str:
    return f"  at most {limit_s:.3g} s" if isinstance(limit_s, (int, float)) and limit_s > 0 else ""


def _trial(report: Fields) -> str:
    if not report.get("trial"):
        return ""
    arm = f"{report.get('arm', '')} repeat {report.get('repeat', '')}".strip()
    return f"trial {report['trial']}/{report.get('of', '?')}  {arm}  "
