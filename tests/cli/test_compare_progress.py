from __future__ import annotations

import io

from rich.console import Console

from nasmith.cli.compare_progress import Watch, panel, watcher
from nasmith.comparing import Progress


def progress(done: int, found: int = 0, running: str = "") -> Progress:
    return Progress("compare-toy-1", {"random": done, "clever": found}, 10, 100, running, 42 if running else 0, found)


def test_time_is_guessed_by_the_runs_that_were_made() -> None:
    now = [0.0]
    watch = Watch(clock=lambda: now[0])
    watch(progress(0, found=5))
    assert (watch.done, watch.total, watch.left_seconds) == (5, 20, None)
    now[0] = 30.0
    watch(progress(3, found=5))
    assert watch.left_seconds == 30 / 3 * 12
    assert watch.time() == "0:30 gone, about 2:00 left"


def test_a_log_gets_a_line_for_each_tenth() -> None:
    screen = Console(file=io.StringIO(), width=80)
    with watcher(screen) as watch:
        for done in range(11):
            watch(progress(done, found=10))
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert lines[0] == "comparison compare-toy-1: 20 runs, 10 of them are there"
    assert lines[1].startswith("12 of 20 runs; ") and lines[-1].startswith("20 of 20 runs; ") and len(lines) == 6


def test_the_panel_fits_80_columns_and_shows_where_a_run_is() -> None:
    watch = Watch()
    watch(progress(4, found=2, running="clever"))
    screen = Console(file=io.StringIO(), width=80)
    screen.print(panel(watch))
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "compare-toy-1" in text and "4 of 10" in text and "42/100 · 2 of 10" in text and "6 of 20 runs" in text


def test_a_terminal_is_drawn_on_and_left_clean() -> None:
    screen = Console(file=io.StringIO(), width=80, force_terminal=True)
    with watcher(screen) as watch:
        watch(progress(4))
    assert isinstance(screen.file, io.StringIO)
    assert "nasmith" in screen.file.getvalue()
    with watcher(screen, quiet=True) as quiet:
        quiet(progress(4))
    assert type(quiet) is Watch
