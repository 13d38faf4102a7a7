"""Times one stored record with SQLite's `synchronous=FULL`, which nasmith uses, and with NORMAL, which a power cut may undo.

    python benchmarks/storing.py --folder .

The folder should be on the disk that runs are stored on: a file system in memory has nothing to wait for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import event

from nasmith.storage.sql import Sql
from nasmith.types import Candidate, Run


def times(folder: Path, level: str, records: int) -> list[float]:
    """Milliseconds of each record, in a new database."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        storage = Sql(Path(place) / "x.sqlite3")
        storage.add_run(Run("run", {}, "0", {}, ""))
        engine = storage._database._open()

        @event.listens_for(engine, "checkout")
        def _configure(connection: object, *_: object) -> None:
            connection.execute(f"PRAGMA synchronous={level}")  # type: ignore[attr-defined]

        found = []
        for number in range(1, records + 1):
            began = time.perf_counter()
            storage.add_candidates("run", [Candidate(number, "x" * 500)])
            found.append(1000 * (time.perf_counter() - began))
        storage.close()
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path.cwd())
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    print("| turn | synchronous | median, ms | p90, ms |", "|---|---|---|---|", sep="\n")
    for turn in range(1, arguments.turns + 1):
        for level in ("FULL", "NORMAL"):
            found = times(arguments.folder, level, arguments.records)
            print(f"| {turn} | {level} | {statistics.median(found):.2f} | {found[len(found) * 9 // 10]:.2f} |")


if __name__ == "__main__":
    main()
