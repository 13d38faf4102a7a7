"""Makes the documentation's pictures of a terminal from a real search: one of the live panel, one of the end.

    python docs/pictures.py docs/images -- nasmith search mnist1d --rounds 2 --budget-minutes 10

Needs tmux. The search runs as given, in a terminal of 80 columns; nothing in the pictures is made up.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
import subprocess
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

SESSION = "nasmith-pictures"
ROWS, COLUMNS = 40, 80
DONE = "__nasmith_pictures_done__"


def tmux(*words: str) -> str:
    """Run a tmux command and return what it prints."""
    return subprocess.run(["tmux", *words], capture_output=True, text=True, check=True).stdout


def picture(screen: str, command: str, path: Path) -> None:
    """Write a terminal's screen, colours included, as SVG without fonts from the network."""
    lines = [line for line in screen.rstrip().splitlines() if DONE not in line]
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), command))
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title="nasmith")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")
    print(path)


def main() -> None:
    """Run the command, look at its screen every second, and keep two looks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at", type=float, default=0.6, help="share of the children made at the picture of the panel")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    words = [word for word in options.command if word != "--"]
    options.folder.mkdir(parents=True, exist_ok=True)
    tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(ROWS), f"{shlex.join(words)}; echo {DONE}; sleep 60")
    panel = ""
    try:
        while DONE not in (screen := tmux("capture-pane", "-p", "-e", "-t", SESSION)):
            made = re.search(r"([\d,]+) of ([\d,]+) children", re.sub(r"\x1b\[[\d;]*m", "", screen))
            if made and int(made[1].replace(",", "")) <= options.at * int(made[2].replace(",", "")):
                panel = screen
            time.sleep(1)
    finally:
        tmux("kill-session", "-t", SESSION)
    command = shlex.join(words)
    if panel:
        picture(panel, command, options.folder / "progress.svg")
    picture(screen, command, options.folder / "summary.svg")


if __name__ == "__main__":
    main()
