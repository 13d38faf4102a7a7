"""A folder of ShinkaEvolve as a task: `initial.py`, `evaluate.py`, and what `run_evo.py` says of the task."""

from __future__ import annotations

import ast
from functools import cached_property

from nasmith.tasks.foreign import folder_files
from nasmith.tasks.foreign.foreign_task import ForeignTask
from nasmith.tasks.foreign.script_workload import ScriptWorkload

__all__ = ["Shinka"]

_RUN_FILE, _SETTINGS_FILE = "run_evo.py", "shinka.yaml"
_MESSAGE, _GENERATIONS = "task_sys_msg", "num_generations"


class Shinka(ForeignTask):
    """A folder of ShinkaEvolve, run as it is. Its evaluator is trusted, and sits beside the program: a program can lie to it.

    `evaluate.py` is run as a script; it writes `metrics.json` and `correct.json`. What is not correct has no score. Of a
    `run_evo.py` only the texts `task_sys_msg` and the number `num_generations` are read, where they stand there as they are;
    nothing in it is run.

    Args:
        path: The folder.
    """

    SYSTEM, PROGRAM, EVALUATOR = "ShinkaEvolve", "initial.py", "evaluate.py"

    def workload(self) -> ScriptWorkload:
        """How programs are evaluated."""
        tree = folder_files.parsed(self._folder / self.EVALUATOR)
        return ScriptWorkload(
            folder=str(self._folder),
            readable=tuple(folder_files.readable(self._folder)),
            links=tuple(folder_files.linked(self._folder)),
            guarded=folder_files.guarded(tree),
            imports=tuple(folder_files.imports(tree)),
        )

    def check(self) -> None:
        """Look at the folder's files, without running them.

        Raises:
            UsageError: Something is missing or wrong; the message names the file, the line, and what to do.
        """
        self._check_files()
        _ = self._fixed, self._said, folder_files.parsed(self._folder / self.EVALUATOR)

    def ignored(self) -> list[str]:
        """Return the files of the folder whose settings have no meaning here."""
        return [name for name in (_RUN_FILE, _SETTINGS_FILE) if (self._folder / name).is_file()]

    def notes(self) -> list[str]:
        """Return what people should know before a search."""
        notes = ["The evaluator runs beside each program, in the sandbox: a program could lie about its score."]
        read = [name for name in (_MESSAGE, _GENERATIONS) if name in self._said]
        for file in self.ignored():
            but = f", but for {' and '.join(read)}" if file == _RUN_FILE and read else ""
            notes.append(f"The settings in {file} are ignored{but}.")
        return notes

    def message(self) -> str:
        """`task_sys_msg`."""
        return str(self._said.get(_MESSAGE, ""))

    def planned(self) -> int | None:
        """`num_generations`."""
        count = self._said.get(_GENERATIONS)
        return count if isinstance(count, int) and count > 0 else None

    @cached_property
    def _said(self) -> dict[str, str | int]:
        """Constants that `run_evo.py` passes by the two names, directly or through a variable."""
        path = self._folder / _RUN_FILE
        if not path.is_file():
            return {}
        tree = folder_files.parsed(path)
        constants: dict[str, ast.expr] = {}
        for line in tree.body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                constants[line.targets[0].id] = line.value
        said: dict[str, str | int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in (_MESSAGE, _GENERATIONS):
                value = constants.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str | int):
                    said[node.arg] = value.value
        return said
