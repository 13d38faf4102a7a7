from __future__ import annotations

import io
import logging
from dataclasses import replace

import pytest
from rich.console import Console

from nasmith.cli.progress import STATUS_STYLES, LiveProgress, PlainProgress, Silent, observer, panel
from nasmith.cli.tracker import Tracker
from nasmith.events import (
    Asked,
    Evaluated,
    Event,
    Finished,
    Proposed,
    Replied,
    Started,
    Stopping,
    Submitted,
    Tuned,
    TuningProgress,
    Verifying,
)
from nasmith.types import Brief, Candidate, Completion, Evaluation, Objective, Run, Sampling, Status, Tune, Tuning

OBJECTIVES = (Objective("params", "minimize", log=True), Objective("val_error", "minimize"))
RUN = Run("quiet-otter", {}, "0", {}, "2026-01-01T00:00:00+00:00")


def events() -> list[Event]:
    seed = Candidate(1, "text", label="reference_cnn")
    good, bad = Candidate(5, "a", (1, 1), "infill", step=0), Candidate(6, "b", (1, 1), "infill", step=0)
    metrics = {"params": 4210.0, "val_error": 0.062}
    return [
        Started(RUN, False, 2, 2, 1),
        Submitted(seed),
        Evaluated(seed, Evaluation(1, Status.OK, {"params": 5210.0, "val_error": 0.076}), -396.0),
        Asked(0, Brief("infill", (1, 1), ({}, {}), {}, Sampling(2, 0.4, 0))),
        Replied(0, (Completion("p", "a", "m", 9, 50, seconds=0.5), Completion("p", "b", "m", 0, 50, seconds=0.5))),
        Proposed(good),
        Proposed(bad),
        Submitted(good),
        Evaluated(good, Evaluation(5, Status.OK, metrics), -261.0),
        Evaluated(bad, Evaluation(6, Status.INVALID, message="does not parse: line 3")),
        Asked(1, Tune(0, (5,), 0)),
        *(TuningProgress(0, done, 8) for done in range(1, 9)),
        Tuned(Tuning(0, 1, (1.3, 1.4), False, message="the loss did not fall")),
        Stopping(),
        Verifying((5,), 1),
        Evaluated(good, Evaluation(5, Status.OK, {**metrics, "test_error": 0.07}, purpose="verify"), -261.0),
        Finished("the strategy is done", True),
    ]


def plain() -> str:
    file = io.StringIO()
    display = PlainProgress(Tracker(clock=lambda: 61.0), Console(file=file, width=80), OBJECTIVES, every=2)
    with display:
        for event in events():
            display(event)
    return file.getvalue()


def test_a_log_says_what_a_reader_wants_one_line_each() -> None:
    lines = [line.partition("] ")[2] for line in plain().splitlines()]
    assert lines == [
        "starting run quiet-otter: 2 workers, 2 children planned",
        "seed reference_cnn: 5,210 params, val error 0.0760, fitness -396",
        "round 1 of 1: writing 2 children: infill of #1 and #1",
        "new best #5 (infill) 4,210 params, val error 0.0620, fitness -261",
        "2 of 2 children (ok 1, invalid 1)",
        "learning from 1 children",
        *(f"tuning: {done} of 8 steps" for done in (2, 4, 6, 8)),
        "learned from 1 child of round 1: loss 1.30 → 1.40; not taken over: the loss did not fall",
        "stopping: what runs is finished and stored; Ctrl-C again stops now, and loses nothing stored",
        "verifying 1 model with 1 new seed each",
        "verified 1 of 1: 4,210 params, val error 0.0620, fitness -261",
        "the strategy is done after 0:00",
    ]


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        ({"name": "processes", "options": {"sandbox": "off"}}, "the sandbox is off: candidates run with your rights"),
        ({"name": "inline", "options": {}}, "no sandbox: candidates run in this very process"),
        ({"name": "processes", "options": {"sandbox": "strict"}}, ""),
    ],
)
def test_every_start_without_a_sandbox_says_so(executor: dict[str, object], said: str) -> None:
    for resumed in (False, True):
        file = io.StringIO()
        with PlainProgress(Tracker(clock=lambda: 61.0), Console(file=file, width=80), OBJECTIVES, every=2) as display:
            display(Started(replace(RUN, config={"executor": executor}), resumed, 2, 2, 1))
        words = " ".join(file.getvalue().split())
        assert (said in words) if said else ("sandbox" not in words)


def test_what_is_read_again_from_the_storage_is_not_logged_as_new() -> None:
    file = io.StringIO()
    display = PlainProgress(Tracker(), Console(file=file, width=80), OBJECTIVES)
    display(Evaluated(Candidate(5, "a", (1,), "infill", step=0), Evaluation(5, Status.OK), -1.0, replayed=True))
    assert file.getvalue() == ""


@pytest.mark.parametrize("until", range(1, 24))
def test_the_panel_fits_80_columns_at_every_moment(until: int) -> None:
    tracker = Tracker()
    for event in events()[:until]:
        tracker.note(event)
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(panel(tracker, OBJECTIVES))
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "quiet-otter" in lines[0] and len(lines) <= 13


def test_the_panel_shows_what_matters() -> None:
    tracker = Tracker(clock=lambda: 0.0)
    for event in events()[:12]:
        tracker.note(event)
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(panel(tracker, OBJECTIVES))
    text = console.export_text()
    for words in ("2 of 2 children", "ok 1 · invalid 1", "0 of 2 busy", "100 tokens/s", "#5 4,210 params", "#1 reference_cnn"):
        assert words in text
    assert "1 of 8 steps" in text


def test_one_objective_alone_is_shown_without_a_fitness() -> None:
    objectives = (Objective("combined_score", "maximize"),)
    tracker = Tracker()
    child = Evaluated(Candidate(5, "", (1,), "infill"), Evaluation(5, Status.OK, {"combined_score": 0.5}), 0.5)
    for event in (events()[0], child):
        tracker.note(event)
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(panel(tracker, objectives))
    text = console.export_text()
    assert "#5 combined score 0.5000" in text and "fitness" not in text


def test_markup_in_messages_is_shown_as_it_is() -> None:
    file = io.StringIO()
    display = PlainProgress(Tracker(), Console(file=file, width=80), OBJECTIVES)
    display(Evaluated(Candidate(1, "s", label="[bold]x[/]"), Evaluation(1, Status.FAILED, message="[/nonsense] [red]")))
    assert "[bold]x[/]: failed: [/nonsense] [red]" in file.getvalue()


def test_the_display_suits_the_console() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "xterm"})
    assert isinstance(observer(Tracker(), terminal, OBJECTIVES), LiveProgress)
    assert isinstance(observer(Tracker(), Console(file=io.StringIO()), OBJECTIVES), PlainProgress)
    assert type(observer(Tracker(), terminal, OBJECTIVES, quiet=True)) is Silent


def test_the_live_display_logs_new_bests_and_leaves_the_terminal_clean() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with LiveProgress(Tracker(), console, OBJECTIVES) as display:
        for event in events():
            display(event)
    text = file.getvalue()
    assert "new best #5" in text and "\x1b[?25h" in text[text.rindex("\x1b[?25l") :]  # the cursor is shown again


def test_every_status_has_a_style() -> None:
    assert set(STATUS_STYLES) == set(Status)


def test_what_a_training_says_of_itself_is_printed_and_shown_until_it_is_evaluated():
    file = io.StringIO()
    logger = logging.getLogger("nasmith.somewhere")
    former = logging.getLogger("nasmith").level
    display = PlainProgress(Tracker(clock=lambda: 61.0), Console(file=file, width=80), OBJECTIVES)
    with display:
        display(events()[0])
        logger.info("epoch 3/20, 812 images/s, 12 min left")
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(panel(display.tracker, OBJECTIVES))
        shown = console.export_text()
        display(events()[2])
        assert display.tracker.training == ""
    assert "epoch 3/20, 812 images/s, 12 min left" in file.getvalue() and "epoch 3/20, 812" in shown
    assert max(map(len, shown.splitlines())) <= 80
    logger.info("nobody listens any more")
    assert "nobody" not in file.getvalue() and logging.getLogger("nasmith").level == former
