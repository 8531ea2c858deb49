"""What a person reads: the terminal's tables and the page, made of results alone."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from rich.console import Console

from lab.report import html, terminal, words
from lab.report.curves import over, value_at
from lab.report.svg import Scale
from lab.result import Estimate, PhaseMean, Result
from tests import make_result

GOLDEN = Path(__file__).parent / "golden"
REPORT = "reports/latest/report.html"
made = pytest.mark.parametrize("result", [make() for make in make_result.ALL.values()], ids=list(make_result.ALL))


class Page(HTMLParser):
    """Reads a page as a browser would, and complains where it is not well formed."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "xlink:href")]
        assert tag not in ("script", "iframe", "object", "link"), f"<{tag}> may load or run something"
        assert not any(name.startswith("on") for name in named), "no script in attributes"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@made
def test_terminal_text_is_as_agreed(result: Result, request: pytest.FixtureRequest) -> None:
    """The plain text of each result, letter for letter; LAB_GOLDEN=write makes the files again, to be read then."""
    name = request.node.callspec.id
    path = GOLDEN / f"terminal_{name}.txt"
    text = terminal.text(result, report=REPORT)
    if os.environ.get("LAB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@made
def test_terminal_text_fits_100_columns_without_colours(result: Result) -> None:
    """What goes into a file or a log has no escape codes, and no line that a narrow window would break."""
    text = terminal.text(result, report=REPORT)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert result.sentence.split(":")[0] in text.replace("\n", " ")


@pytest.mark.parametrize("width", [40, 60, 80, 95, 96, 200])
def test_no_number_is_lost_in_a_narrow_window(width: int) -> None:
    """Whatever the width, every figure of the tables is there; at 80 columns, the usual, all of it also fits."""
    result = make_result.refuted()
    text = terminal.text(result, width=width)
    for arm in result.arms:
        for name, estimate in arm.measures.items():
            assert words.number(estimate.mean, estimate.unit) in text, name
    assert ">= 10.31 s" in text
    if width == 80:
        assert max(len(line) for line in text.splitlines()) <= 80


def test_brackets_in_names_are_text_not_colours() -> None:
    """A claim such as "x [red]" is shown as it is written."""
    result = replace(make_result.two_arms(), sentence="The claim holds [red]in full[/red].")
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    terminal.show(result, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    assert "[red]in full[/red]" in file.getvalue()


@made
def test_a_page_is_well_formed_and_needs_no_network(result: Result) -> None:
    """No script, no address outside, every element closed, every chart well-formed XML with a label."""
    text = html.render(result)
    page = Page(text)
    assert page.open == []
    assert page.addresses == []
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    for chart in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        element = ElementTree.fromstring(chart)
        assert element.get("aria-label") or element.get("aria-hidden")
    assert "nan" not in re.findall(r'(?:x|y|d|width|height|points)="([^"]*)"', text)


@made
def test_a_page_says_the_answer_and_the_sentence(result: Result) -> None:
    """Whatever happened, the page opens with the answer in words (not by colour alone) and why."""
    said = re.sub(r"\s+", " ", "".join(Page(html.render(result)).words))
    assert words.ANSWERS[result.answer] in said
    assert words.typeset(result.sentence) in said


def test_what_people_wrote_is_escaped() -> None:
    """Claims, arms, reasons, notes and settings are text, wherever they turn up: in tables, titles and charts."""
    bad = '<script>alert("1")</script>&'
    result = make_result.partial()
    result.claim = result.sentence = result.scenario = result.reproduce = bad
    result.notes = [bad]
    result.versions = {bad: bad}
    for arm in result.arms:
        if arm.arm == "dns":
            arm.arm, arm.settings, arm.most = bad, {bad: bad}, bad
            arm.phases = {name: [PhaseMean(bad, 3.0, 0, 4, bad)] for name in arm.phases}
            arm.measures["dead_but_listed_s"].worst_where = bad
    for trial in result.trials:
        trial.reasons = [bad]
        if trial.arm == "dns":
            trial.arm = bad
            for change in trial.changes:
                change.node = change.kind = bad
    result.differences[0].second = result.differences[0].words = bad
    result.objectives[0].arm = result.objectives[0].objective = result.objectives[0].sentence = bad
    text = html.render(result)
    Page(text)
    assert "<script" not in text
    assert "alert(&#34;1&#34;)" in text
    assert "alert" in terminal.text(result)


def test_a_censored_worst_is_at_least_and_its_curve_stays_below_all() -> None:
    """Still going on when the window closed: ">= x" in both, and the page never says that 100 % were right."""
    result = make_result.refuted()
    assert ">= 10.31 s" in terminal.text(result)
    text = html.render(result)
    assert "\N{GREATER-THAN OR EQUAL TO} 10.31 s" in text
    assert "dns: 2 of 480 still wrong at the end" in text
    assert re.search(r"dns: half are right after [\d.]+ s, 99 %", text)


def test_trials_that_do_not_count_are_shown_with_their_reasons() -> None:
    """Nobody has to search for why a trial is missing from the means."""
    result = make_result.two_arms()
    result.trials[2].valid, result.trials[2].reasons = "unknown", ["the load stalled for 2.00 s"]
    assert "trial 3 (zookeeper, repeat 2): the load stalled for 2.00 s" in terminal.text(result)
    text = html.render(result)
    assert "the load stalled for 2.00 s" in text
    assert "not valid: counts nowhere" in text
    assert "zookeeper: mean of 3 trials" in text


def test_figures_that_nobody_knows_are_not_zero() -> None:
    """A mean that is unknown reads "unknown", a worst that does not exist "-", with the note that says why."""
    said = terminal.text(make_result.unknown())
    assert re.search(r"dns\s+unknown\s+-\s+-\s+8.41", said)
    assert "no valid trial (dead but listed of dns)" in said


def test_a_measure_and_a_unit_of_a_newer_lab_are_shown_by_their_names() -> None:
    """An unknown measure is no reason to hide a number."""
    result = make_result.two_arms()
    result.arms[0].measures["moons_seen"] = Estimate(2.5, 2, 3, 4, "moons", [2, 3, 2, 3], worst=3)
    result.arms[0].measures["lunar_s"] = Estimate(2.5, 2, 3, 4, "s", [2, 3, 2, 3], worst=3)
    for text in (terminal.text(result), html.render(result)):
        assert "moons seen" in text
        assert "lunar s" in text.lower()


@made
def test_a_result_survives_json(result: Result) -> None:
    """result.json read back is the same result, and makes the same page and the same text."""
    again = Result.from_json(orjson.loads(orjson.dumps(result.to_json())))
    assert again == Result.from_json(again.to_json())
    assert html.render(again) == html.render(result)
    assert terminal.text(again) == terminal.text(result)


def test_a_result_of_a_newer_lab_is_refused() -> None:
    """A page made from half-understood numbers would be a lie."""
    with pytest.raises(ValueError, match="newer lab"):
        Result.from_json({**make_result.empty().to_json(), "schema": 99})


def test_a_curve_over_trials_is_the_mean_and_the_extremes_at_every_step() -> None:
    """Two trials, one right at 1 s and one at 3 s: half are right in between, the band is all of it."""
    curve = over([[[0, 0], [1, 1.0]], [[3, 1.0]]])
    assert curve is not None
    assert [value_at(curve.mean, t) for t in (0.5, 1, 2.9, 3)] == [0, 0.5, 0.5, 1]
    assert (value_at(curve.low, 2), value_at(curve.high, 2)) == (0, 1)
    assert (curve.last_s, curve.right) == (3, 1)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    """Ten thousand clients are drawn with some hundred steps, the first and the last where they were."""
    curve = over([[[step / 1000, step / 10_000] for step in range(1, 10_001)]])
    assert curve is not None
    assert len(curve.mean) <= 600
    assert (curve.mean[0], curve.mean[-1]) == ((0.0, 0.0), (10.0, 1.0))


def test_no_curve_of_nothing() -> None:
    """Trials without a curve make none."""
    assert over([]) is None
    assert over([[]]) is None


@pytest.mark.parametrize(("low", "high"), [(0, 9.3), (-8.2, 18.5), (0, 0.01), (0, 86_400), (3, 3)])
def test_ticks_are_round_few_and_inside(low: float, high: float) -> None:
    """An axis has 1 to 20 ticks, all within it, whatever its length."""
    ticks = Scale(low, high, 0, 100).ticks()
    assert 1 <= len(ticks) <= 20
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (4.314, "s", "4.31 s"),
        (0.0034, "s", "0.003 s"),
        (0, "s", "0.00 s"),
        (-2.391, "s", "-2.39 s"),
        (-0.0001, "s", "0.000 s"),
        (None, "s", "-"),
        (28.5, "attempts", "28.5"),
        (11, "attempts", "11"),
        (1234.5, "requests", "1234"),
        (3.625, "requests", "3.62"),
        (903.2, "client-seconds", "903.20 client-s"),
    ],
)
def test_numbers_are_worded(value: float | None, unit: str, said: str) -> None:
    """Two decimals, three below 0.1, whole counts whole, never a negative zero."""
    assert words.number(value, unit) == said


def test_minus_signs_are_real_on_a_page_and_hyphens_stay() -> None:
    """-2.39 becomes a minus; backend-3, 2026-11-23 and --seed do not."""
    assert words.typeset("a - b: -2.39 s [-2.61, -2.17]").count("\N{MINUS SIGN}") == 4
    assert words.typeset("backend-3 at 2026-11-23 --seed -7").count("\N{MINUS SIGN}") == 1


def test_a_share_that_is_not_all_never_reads_100() -> None:
    """0.9999 is 99 %: somebody was still wrong."""
    assert [words.share(value) for value in (0, 0.5, 0.9999, 1)] == ["0 %", "50 %", "99 %", "100 %"]
