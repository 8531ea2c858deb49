"""What a person reads of a run about writes: the terminal's tables and the page, made of results alone."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from lab.report import accounts, html, terminal, words
from lab.report.waterfall import step_class
from lab.result import Result
from tests import make_failovers
from tests.make_writes import estimate
from tests.test_report import Page

GOLDEN = Path(__file__).parent / "golden"
REPORT = "reports/latest/report.html"
MADE = {name: make() for name, make in make_failovers.ALL.items()}
made = pytest.mark.parametrize("result", MADE.values(), ids=list(MADE))


@made
@pytest.mark.parametrize("width", [100, 80])
def test_terminal_text_is_as_agreed(result: Result, width: int, request: pytest.FixtureRequest) -> None:
    """The plain text of each result, letter for letter; LAB_GOLDEN=write makes the files again, to be read then."""
    name = request.node.callspec.id.partition("-")[2]
    path = GOLDEN / f"terminal_writes_{name}_{width}.txt"
    text = terminal.text(result, report=REPORT, width=width)
    if os.environ.get("LAB_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text


@made
@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_number_is_lost_at_any_width(result: Result, width: int) -> None:
    """Every outage, bound, step and loss is in the text, however narrow the window."""
    text = terminal.text(result, width=width)
    for route in result.routes:
        shown = [route.outage.worst, route.bound_high_s, *(step.mean_s for step in route.steps)]
        for value in shown:
            assert words.bare(value, "s") in text
    for of in result.losses:
        assert accounts.lost(of) in text


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_digit_is_lost_of_long_names_and_large_counts(width: int) -> None:
    """A table that does not fit is wider than the window, but every figure stands in it whole."""
    result = make_failovers.split_brain()
    result.routes[0].arm = result.losses[0].arm = "asynchronous without a fence"
    result.losses[0].account.lost["writes"] = result.losses[0].account.kept["writes"] = 1_234_567
    result.losses[0].split_brain_each = [1_234_567, 2_345_678]
    text = terminal.text(result, width=width)
    assert "1,234,567 of 2,469,134" in text
    assert "2,345,678" in text
    assert "1.85 + 0.1 s" in text
    assert "0.097 s" in text


def test_nothing_lost_is_a_finding_and_not_asked_is_not() -> None:
    """Zero says of how many; without a valid trial it is unknown, never zero."""
    assert re.search(r"sync +dns +0 of 1\d,\d{3} +0 +0 +0 0 0 0", terminal.text(MADE["crash"]))
    unknown = terminal.text(MADE["nothing_valid"])
    assert re.search(r"async +dns +unknown", unknown)
    assert not re.search(r"\b0 of \d", unknown.partition("lost (RPO)")[2].partition("Unknown:")[0])


def test_what_was_asked_is_unknown_where_no_route_was_seen() -> None:
    """Without a valid trial nobody knows of routes; the measures that were asked about are there all the same."""
    text = terminal.text(MADE["never_seen"])
    assert re.search(r"no write was acknowledged\n.*\n.*\nasync +unknown", text)
    assert "No write was acknowledged" in html.render(MADE["never_seen"])


def test_marks_that_no_eye_could_tell_apart_stand_together() -> None:
    """What happened within some milliseconds shares its line; the strike needs no time beside it."""
    page = html.render(MADE["split_brain"])
    assert re.search(r">chosen 0\.\d\d s, promoted 0\.\d\d s</text>", page)
    assert ">partition</text>" in page


def test_all_that_was_promised_is_outlined() -> None:
    """Also steps that came to nothing, when they add up to the bound; else none, rather than a wrong sum."""
    result = make_failovers.crash()
    dns = result.routes[1]
    dns.steps = [step for step in dns.steps if step.name != "propagation"]
    assert [step.name for step in accounts.promised(result, dns)][3:] == ["publication", "propagation", "client"]
    dns.bound_high_s = 99.0
    assert accounts.promised(result, dns) == []


def test_what_never_came_back_is_at_least() -> None:
    """A censored outage reads ">=" in its mean, its trial and the worst seen."""
    text = terminal.text(MADE["in_place"], width=120)
    assert re.search(r"haproxy +>= 3.50 s +1.53 1.53 1.53 >=9.42 +>= 9.42 s", text)


def test_a_restart_in_place_is_not_called_a_failover() -> None:
    """Trials that were something else than a failover are named with what they were."""
    text = terminal.text(MADE["in_place"])
    assert "patroni (haproxy): 3 restart in place (trials 1, 2, 3), 1 failover" in text
    assert "restart in place, moved by loop_wait_s (1)" in text


def test_a_split_brain_says_who_acknowledged() -> None:
    """Counts per server where there was one, and the sentence of a zero where there was none."""
    text = terminal.text(MADE["split_brain"])
    assert "postgres1 185, postgres2 1,600" in text
    assert "No write of fenced (multi_host reconnecting) was acknowledged by a losing primary: 0 in 2 trials." in text


def test_many_sentences_are_shortened_and_counted() -> None:
    """A few sentences, every arm having its turn, and how many more there are."""
    shown, left = accounts.few(MADE["crash"], 3)
    assert (len(shown), left) == (3, 5)
    assert [trial.trial for trial, _ in shown] == sorted(trial.trial for trial, _ in shown)


def test_unavailability_that_came_and_went_has_its_column() -> None:
    """Where writes were unavailable longer than the outage, both are there; else one is enough."""
    result = make_failovers.crash()
    assert "came and went" not in terminal.text(result)
    route = result.routes[0]
    route.unavailable = replace(route.unavailable, mean=2.5)
    assert re.search(r"came and went\n(.*\n)?async +multi_host .* 2\.50 s\n", terminal.text(result, width=120))


@made
def test_a_page_is_well_formed_and_needs_no_network(result: Result) -> None:
    """No script, no address outside, every element closed, every chart well-formed XML with a label or hidden."""
    text = html.render(result)
    page = Page(text)
    assert page.open == []
    assert page.addresses == []
    assert not re.search(r"https?://|@import|url\(", text)
    for chart in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        element = ElementTree.fromstring(chart)
        assert element.get("aria-label") or element.get("aria-hidden")
        assert not any(float(box.get("width", "0")) < 0 for box in element.iter("rect"))
    assert "nan" not in re.findall(r'(?:x|y|d|width|height|points)="([^"]*)"', text)


@made
def test_a_page_has_every_number_of_the_tables(result: Result) -> None:
    """Outages, steps of every trial, bounds, losses, classes, who acknowledged: nothing is only in a drawing."""
    said = re.sub(r"\s+", " ", " ".join(Page(html.render(result)).words))
    for route in result.routes:
        for value in (accounts.mean(route.outage), words.worst(route.outage), accounts.each(result, route)):
            assert words.typeset(value) in said
        assert words.bound(route.bound_high_s, route.allowance_s) in said
        for step in route.steps:
            assert f"{words.number(step.mean_s, 's')} {words.number(step.worst_s, 's')}" in said
            assert " ".join(words.bare(value, "s", step.mean_s) for value in step.each) in said
            assert accounts.promise(step) in said
            assert step.moved_by in said
    for of in result.losses:
        assert " ".join(accounts.counted(of, value) for value in accounts.classes(of)) in said
        assert accounts.lost(of) in said
        if any(of.split_brain_each):
            assert accounts.by_node(of) in said
    for _, sentence in accounts.sentences(result):
        assert words.typeset(sentence) in said


@made
def test_a_result_survives_json(result: Result) -> None:
    """result.json read back makes the same page and the same text."""
    again = Result.from_json(orjson.loads(orjson.dumps(result.to_json())))
    assert html.render(again) == html.render(result)
    assert terminal.text(again) == terminal.text(result)


def test_what_people_and_servers_wrote_is_escaped() -> None:
    """Names of arms, routes, steps, servers and what happened are text, in tables, titles and charts."""
    bad = '<script>alert("1")</script>&'
    result = make_failovers.split_brain()
    for route in result.routes:
        route.arm = route.route = route.fault = route.largest = route.outage.worst_where = bad
        route.kinds = {bad: 1}
        for step in route.steps:
            step.name = step.moved_by = bad
    for of in result.losses:
        of.arm = of.route = of.account.source = bad
        of.split_brain_by_node = {bad: 1}
    for trial in result.trials:
        trial.arm, trial.sentences = bad, [bad]
        for one in trial.waterfalls:
            one.route = one.fault = one.node = one.kind = one.served_after = bad
            for part in one.steps:
                part.name = bad
        for lane in trial.lanes:
            lane.node = bad
            lane.spans = [[0, 1, bad, bad]]
            lane.marks.append([0.5, bad])
    for arm in result.arms:
        arm.arm = bad
    text = html.render(result)
    Page(text)
    assert "<script" not in text
    assert "alert(&#34;1&#34;)" in text
    assert "alert" in terminal.text(result)


def test_a_step_has_one_colour_wherever_it_is_drawn() -> None:
    """Every class of a step that a page uses has a colour in the light and in the dark."""
    style = (Path(html.__file__).parent / "style.css").read_text()
    for name in (*accounts.STEPS, "a step of a newer lab"):
        variable = re.search(rf"\.{step_class(name)} \{{ --s: var\((--[a-z-]+)\)", style)
        assert variable, name
        assert style.count(f"{variable[1]}: #") == 2


def test_the_worst_trial_of_every_arm_stands_open() -> None:
    """Split-brain lanes: the most acknowledged beside the promoted primary comes first, the others are folded."""
    result = make_failovers.split_brain()
    page = html.render(result)
    open_, _, folded = page.partition("second by second")[2].partition("<details>")
    assert "trial 1: 40 acknowledged writes lost, 94 acknowledged by a losing primary" in open_
    assert "trial 2: 0 acknowledged writes lost" in open_
    assert "trial 4: 61 acknowledged writes lost, 91 acknowledged" in folded
    assert "a losing primary acknowledged for 1.57 s" in open_


def test_no_outage_has_no_waterfall() -> None:
    """A route that no strike interrupted says so; there is nothing to split."""
    result = make_failovers.split_brain()
    for route in result.routes:
        route.steps, route.first_failure_s, route.largest = [], None, ""
        route.outage = estimate([0.0, 0.0])
    for text in (html.render(result), terminal.text(result)):
        assert "none failed" in text
        assert "here the outage goes" not in text
        assert "where it goes" not in text


def test_a_bound_far_away_is_told_at_the_edge() -> None:
    """A bound ten times beyond what was seen does not press the bars flat."""
    result = make_failovers.crash()
    for route in result.routes:
        route.bound_high_s = 60.0
    assert "bound 60.00 + 0.1 s after the first failure: beyond the edge" in html.render(result)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 B"), (812, "812 B"), (16_400, "16.4 kB"), (999_960, "1.0 MB"), (3.1e9, "3.1 GB")],
)
def test_bytes_are_worded(value: float, said: str) -> None:
    """A kB is 1000 bytes; a unit never has more than three digits before the point."""
    assert words.size(value) == said
