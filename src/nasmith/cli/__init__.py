"""The command line: `nasmith search`, `resume`, `runs`, `show`, `report`, `export`, `tasks`, `lms`, `strategies`, `doctor`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process."""
    import sys
    import threading
    import traceback

    from nasmith.cli.app import app
    from nasmith.redaction import redacted

    def say(kind: object, error: BaseException | None, *_: object) -> None:
        """Print what Python prints for a bug, without the values of secret variables."""
        if error is not None:
            sys.stderr.write(redacted("".join(traceback.format_exception(error))))

    sys.excepthook = say
    threading.excepthook = lambda arguments: say(arguments.exc_type, arguments.exc_value)
    app(prog_name="nasmith")
