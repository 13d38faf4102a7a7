"""Shows how far a comparison has come: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nasmith.comparing import Progress
from nasmith.report.wording import duration, plural

__all__ = ["Watch", "panel", "watcher"]

_LINES = 10  # of a comparison, where they are printed one after the other


class Watch(AbstractContextManager["Watch"]):
    """Takes note of progress and says nothing.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.progress: Progress | None = None
        self._clock, self._began = clock, clock()

    def __call__(self, progress: Progress) -> None:
        """Take note."""
        self.progress = progress

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave nothing behind."""

    @property
    def done(self) -> int:
        """Finished runs."""
        return sum(self.progress.runs.values()) if self.progress else 0

    @property
    def total(self) -> int:
        """Runs in all."""
        return len(self.progress.runs) * self.progress.seeds if self.progress else 0

    @property
    def elapsed_seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._began

    @property
    def left_seconds(self) -> float | None:
        """A guess by the runs so far; None before one was made."""
        fresh = self.done - (self.progress.found if self.progress else 0)
        return self.elapsed_seconds / fresh * (self.total - self.done) if fresh > 0 else None

    def time(self) -> str:
        """Say what has gone and what is left."""
        left = self.left_seconds
        return f"{duration(self.elapsed_seconds)} gone" + (f", about {duration(left)} left" if left is not None else "")


class _Live(Watch):
    """A panel that redraws itself four times a second."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._render)

    def _render(self) -> Panel | Text:
        return Text("  reading what is there …", style="dim") if self.progress is None else panel(self)

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()


class _Plain(Watch):
    """A line after each tenth of the runs, and one for each run that is made alone."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console, self._shown = console, -1

    def __call__(self, progress: Progress) -> None:
        first, before = self.progress is None, self.done
        super().__call__(progress)
        if first:
            there = f", {progress.found:,} of them are there" if progress.found else ""
            self._print(f"comparison {progress.name}: {plural(self.total, 'run')}{there}")
            self._shown = self.done * _LINES // self.total
        elif self.done > before and self.done * _LINES // self.total > self._shown:
            self._shown = self.done * _LINES // self.total
            self._print(f"{self.done:,} of {plural(self.total, 'run')}; {self.time()}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def watcher(console: Console, *, quiet: bool = False) -> Watch:
    """Return the display that suits the console: live on a terminal, lines elsewhere, nothing where `quiet`."""
    if quiet:
        return Watch()
    return _Live(console) if console.is_terminal and not console.is_dumb_terminal else _Plain(console)


def panel(watch: Watch) -> Panel:
    """Return how far each strategy is, as a panel that fits 80 columns."""
    progress = watch.progress
    assert progress is not None
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="cyan", max_width=30, overflow="ellipsis", no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    for label, done in progress.runs.items():
        bar = ProgressBar(total=progress.seeds, completed=done, complete_style="green", finished_style="green")
        now = f"{progress.evaluated:,}/{progress.evaluations:,} · " if label == progress.running else ""
        grid.add_row(label, bar, f"{now}{done:,} of {progress.seeds:,}")
    return Panel(
        grid,
        title=f"[bold]nasmith[/] · {progress.name}",
        title_align="left",
        subtitle=f"{watch.done:,} of {plural(watch.total, 'run')} · {watch.time()} · Ctrl-C stops and keeps all runs",
        subtitle_align="right",
        border_style="cyan",
        padding=(0, 1),
    )
