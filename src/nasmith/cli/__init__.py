"""The command line: `nasmith search`, `resume`, `runs`, `show`, `report`, `export`, `tasks`, `lms`, `strategies`, `doctor`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process."""
    from nasmith.cli.app import app

    app(prog_name="nasmith")
