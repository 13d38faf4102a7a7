"""The command line: `nasmith search`, `resume`, `compare`, `runs`, `show`, `report`, `export`, `tasks`, `lms`, `doctor`, …."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process."""
    from nasmith.cli.app import app

    app(prog_name="nasmith")
