"""Shows a running search: a live panel on a terminal, plain lines elsewhere. Observers of the loop's events."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasmith.cli.tracker import Tracker
from nasmith.events import Asked, Called, Evaluated, Event, Finished, Started, Stopping, Tuned, TuningProgress, Verifying
from nasmith.report.wording import containment, counts, dollars, duration, metrics, number, plural, shows_fitness
from nasmith.types import Objective, Status, Suggestion, Tune, Tuning

__all__ = ["STATUS_STYLES", "LiveProgress", "PlainProgress", "Silent", "observer", "panel"]

STATUS_STYLES = {
    Status.OK: "green",
    Status.DUPLICATE: "cyan",
    Status.INVALID: "yellow",
    Status.FAILED: "magenta",
    Status.TIMEOUT: "blue",
    Status.OOM: "red",
    Status.KILLED: "red",
    Status.ERROR: "bold red",
}
"""One colour per status, the same in every table."""


class Silent(AbstractContextManager["Silent"]):
    """An observer that says nothing and still counts."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def __call__(self, event: Event) -> None:
        """Count one event."""
        self.tracker.note(event)

    def heard(self, line: str) -> None:
        """Take what a training under way says of itself."""
        self.tracker.training = line

    def __enter__(self) -> Self:
        """Listen to trainings that say how far they are."""
        self._ear = _Ear(self.heard)
        self._ear.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave nothing behind."""
        self._ear.close()


class _Ear(logging.Handler):
    """Hands on what nasmith logs for people. A search that waits for a training emits no event meanwhile."""

    def __init__(self, hand_on: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._hand_on, self._logger = hand_on, logging.getLogger("nasmith")

    def open(self) -> None:
        """Begin to listen."""
        self._former = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a message on."""
        self._hand_on(record.getMessage())

    def close(self) -> None:
        """Listen no more."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._former)
        super().close()


class LiveProgress(Silent):
    """A panel that redraws itself four times a second, below a log of new bests and tunings.

    Args:
        tracker: Where the totals are kept.
        console: The terminal.
        objectives: The metrics to show for the best.
    """

    def __init__(self, tracker: Tracker, console: Console, objectives: Sequence[Objective]) -> None:
        super().__init__(tracker)
        self._console, self._objectives = console, objectives
        self._echo = _Echo()
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._render)

    def _render(self) -> RenderableType:
        if self.tracker.run is None:
            return Text("  checking the seeds and starting the workers …", style="dim")
        return panel(self.tracker, self._objectives)

    def __enter__(self) -> Self:
        """Begin to draw."""
        super().__enter__()
        self._echo.hide()
        self._live.start()
        return self

    def __call__(self, event: Event) -> None:
        """Count one event, and log it above the panel where it is worth a line."""
        before = self.tracker.best
        super().__call__(event)
        line = _log_line(event, self.tracker, self._objectives, improved=self.tracker.best is not before)
        if line is not None:
            self._console.print(line)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop drawing and clear the panel."""
        self._live.stop()
        self._echo.restore()
        super().__exit__(kind, error, trace)


class _Echo:
    """Keeps a terminal from printing "^C" into the panel, which would leave half a panel behind."""

    def __init__(self) -> None:
        self._former: list[Any] | None = None

    def hide(self) -> None:
        """Print no control characters from now on; does nothing where standard input is no terminal."""
        try:
            import termios
        except ImportError:  # Windows
            return
        try:
            attributes = termios.tcgetattr(sys.stdin)
        except (OSError, ValueError, termios.error):  # a pipe, a closed or a replaced standard input
            return
        self._former = list(attributes)
        attributes[3] &= ~termios.ECHOCTL
        termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)

    def restore(self) -> None:
        """Do as the terminal did before."""
        if self._former is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._former)


class PlainProgress(Silent):
    """One line for each event that a reader of a log wants, with the time since the start.

    Args:
        tracker: Where the totals are kept.
        console: Where the lines go.
        objectives: The metrics to show.
        every: A line of totals after so many children.
    """

    def __init__(self, tracker: Tracker, console: Console, objectives: Sequence[Objective], every: int = 16) -> None:
        super().__init__(tracker)
        self._console, self._objectives, self._every = console, objectives, every
        self._quarter = 0

    def __call__(self, event: Event) -> None:
        """Count one event and print its line, if it has one."""
        before = self.tracker.best
        super().__call__(event)
        improved = self.tracker.best is not before
        line = _log_line(event, self.tracker, self._objectives, improved=improved)
        text = line.plain if line is not None else self._extra(event)
        if text:
            self._print(text)

    def heard(self, line: str) -> None:
        """Print what a training under way says of itself."""
        super().heard(line)
        self._print(line)

    def _print(self, text: str) -> None:
        elapsed = duration(self.tracker.elapsed_seconds)
        self._console.print(f"[{elapsed:>7}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _extra(self, event: Event) -> str:
        tracker = self.tracker
        if isinstance(event, Asked):
            self._quarter = 0
            if isinstance(event.action, Suggestion):
                return ""
            return f"{_round(tracker)}: {tracker.doing}" if not isinstance(event.action, Tune) else tracker.doing
        if isinstance(event, TuningProgress):
            quarter = 4 * event.done // max(1, event.total)
            if quarter > self._quarter:
                self._quarter = quarter
                return f"tuning: {event.done} of {plural(event.total, 'step')}"
        if isinstance(event, Evaluated):
            if event.evaluation.purpose == "verify" and tracker.looked_up:
                return ""
            if event.evaluation.purpose == "verify":
                return f"verified {tracker.verified} of {tracker.to_verify}: {_evaluated(event, self._objectives)}"
            if event.candidate.operator == "seed":
                return f"seed {event.candidate.label}: {_evaluated(event, self._objectives)}"
            if tracker.children % self._every == 0:
                return _totals(tracker)
        return ""


def observer(
    tracker: Tracker, console: Console, objectives: Sequence[Objective], *, quiet: bool = False
) -> Silent | LiveProgress | PlainProgress:
    """Return the display that suits the console: live on a terminal, lines elsewhere, nothing where `quiet`."""
    if quiet:
        return Silent(tracker)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(tracker, console, objectives)
    return PlainProgress(tracker, console, objectives)


def _round(tracker: Tracker) -> str:
    return f"round {tracker.round + 1}" + (f" of {tracker.rounds}" if tracker.rounds else "")


def _evaluated(event: Evaluated, objectives: Sequence[Objective]) -> str:
    if event.evaluation.status is not Status.OK:
        return f"{event.evaluation.status.value}: {event.evaluation.message}"
    text = metrics(event.evaluation.metrics, objectives)
    return f"{text}, fitness {number(event.fitness)}" if event.fitness is not None and shows_fitness(objectives) else text


def _faults(tracker: Tracker) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in tracker.faults.items() if count)


def _totals(tracker: Tracker) -> str:
    planned = f" of {tracker.planned:,}" if tracker.planned else ""
    left = tracker.left_seconds
    tail = "" if left is None else f"; about {duration(left)} left"
    spent = f"; {dollars(tracker.usd)}" if tracker.usd else ""
    faults = f"; language model: {_faults(tracker)}" if tracker.faults.total() else ""
    return f"{tracker.children:,}{planned} children ({counts(tracker.statuses)}){spent}{faults}{tail}"


def _tuning(tuning: Tuning) -> str:
    losses = f"loss {tuning.losses[0]:.2f} → {tuning.losses[-1]:.2f}" if tuning.losses else "no losses"
    outcome = "" if tuning.accepted else f"; not taken over: {tuning.message or 'the loss did not fall'}"
    return f"learned from {plural(tuning.examples, 'child')} of round {tuning.round + 1}: {losses}{outcome}"


def _log_line(event: Event, tracker: Tracker, objectives: Sequence[Objective], *, improved: bool) -> Text | None:
    """Return the events that every display logs, as text."""
    if isinstance(event, Started):
        verb = "resuming" if event.resumed else "starting"
        planned = f", {plural(event.planned, 'child')} planned" if event.planned else ""
        text = Text(f"{verb} run {event.run.name}: {plural(event.slots, 'worker')}{planned}", "bold")
        warning = containment(event.run.config)
        return text.append(f"\n{warning}", "bold red") if warning else text
    if isinstance(event, Evaluated) and improved and not event.replayed:
        name = (f"new best #{event.candidate.id}", "green"), (f" ({event.candidate.operator}) ", "dim")
        return Text.assemble(*name, _evaluated(event, objectives))
    if isinstance(event, Evaluated) and event.evaluation.status is Status.ERROR and not event.replayed:
        return Text(f"error in #{event.candidate.id}: {event.evaluation.message}", "red")
    if isinstance(event, Called) and tracker.faults[event.call.outcome] == 1:  # later ones are counted
        return Text(f"language model, {event.call.outcome}: {event.call.message}", "yellow")
    if isinstance(event, Tuned) and not event.replayed:
        return Text(_tuning(event.tuning), "default" if event.tuning.accepted else "yellow")
    if isinstance(event, Stopping):
        return Text("stopping: what runs is finished and stored; Ctrl-C again stops now, and loses nothing stored", "yellow")
    if isinstance(event, Verifying) and tracker.looked_up:
        return Text(f"looking up {plural(len(event.candidates), 'design')}", "bold")
    if isinstance(event, Verifying):
        return Text(f"verifying {plural(len(event.candidates), 'model')} with {plural(event.seeds, 'new seed')} each", "bold")
    if isinstance(event, Finished):
        return Text(f"{event.reason} after {duration(tracker.elapsed_seconds)}", "bold")
    return None


def _status_text(tracker: Tracker) -> Text:
    text = Text()
    for status in Status:
        if tracker.statuses[status]:
            text.append(" · " if text else "").append(f"{status.value} ", STATUS_STYLES[status])
            text.append(f"{tracker.statuses[status]:,}", "bold")
    return text or Text("none yet", "dim")


def _bar(done: float, total: float, label: str) -> RenderableType:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(
        ProgressBar(total=max(1, total), completed=min(done, total), complete_style="green", finished_style="green"), label
    )
    return row


def _standing(event: Evaluated | None, objectives: Sequence[Objective]) -> Text:
    if event is None:
        return Text("none yet", "dim")
    name = f"#{event.candidate.id}" + (f" {event.candidate.label}" if event.candidate.label else "")
    return Text.assemble((name + " ", "bold"), _evaluated(event, objectives))


def panel(tracker: Tracker, objectives: Sequence[Objective]) -> Panel:
    """Return the totals as a panel that fits 80 columns."""
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(ratio=1)
    done = tracker.children
    label = f"{done:,} of {tracker.planned:,} children" if tracker.planned else f"{done:,} children"
    grid.add_row("Search", _bar(done, tracker.planned or max(1, done), label))
    if tracker.to_verify:
        of = f"{tracker.verified} of {plural(tracker.to_verify, 'training')}"
        grid.add_row("Verifying", _bar(tracker.verified, tracker.to_verify, of))
    else:
        words = f"{_round(tracker).removeprefix('round ')}, prompt {tracker.prompts}"
        grid.add_row("Round", words if tracker.prompts else "the seeds are trained first")
    grid.add_row("Children", _status_text(tracker))
    busy = tracker.busy_workers
    waiting = tracker.busy.total() - busy
    queue = f", {waiting} waiting" if waiting else ""
    grid.add_row(
        "Workers",
        Text("■" * busy, "green")
        .append("□" * (tracker.slots - busy), "dim")
        .append(f" {busy} of {tracker.slots} busy{queue}", "default"),
    )
    if tracker.training:
        grid.add_row("Training", Text(tracker.training, overflow="ellipsis", no_wrap=True))
    speed = f"{tracker.tokens_per_second:,.0f} tokens/s · " if tracker.tokens_per_second else ""
    speed = f"{speed}{tracker.tokens:,} tokens" if tracker.tokens else "no reply yet"
    spent = Text(speed + (f" · {dollars(tracker.usd)}" if tracker.usd else ""), "dim")
    if tracker.faults.total():
        spent.append(f" · {_faults(tracker)}", "yellow")
    grid.add_row("LM", Group(Text(tracker.doing, overflow="ellipsis", no_wrap=True), spent))
    if tracker.tuning is not None:
        step = f"{tracker.tuning.done} of {plural(tracker.tuning.total, 'step')}"
        grid.add_row("Tuning", _bar(tracker.tuning.done, tracker.tuning.total, step))
    elif tracker.tuned is not None:
        grid.add_row("Tuning", Text(_tuning(tracker.tuned), overflow="ellipsis", no_wrap=True))
    grid.add_row("Best", _standing(tracker.best, objectives))
    grid.add_row("Best seed", _standing(tracker.best_seed, objectives))
    left = tracker.left_seconds
    name = tracker.run.name if tracker.run else ""
    time = duration(tracker.elapsed_seconds) + (f" gone, about {duration(left)} left" if left is not None else " gone")
    return Panel(
        grid,
        title=f"[bold]nasmith[/] · {name}",
        title_align="left",
        subtitle=f"{time} · Ctrl-C stops and keeps everything",
        subtitle_align="right",
        border_style="cyan",
        padding=(0, 1),
    )
