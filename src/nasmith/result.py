"""What a run has come to: programs, metrics, tables and pictures, for people who work in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from html import escape
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nasmith import registry
from nasmith.analysis import Records, read
from nasmith.errors import MissingDependencyError, UnknownNameError, UsageError
from nasmith.population import Scored, front, top
from nasmith.protocols import Storage, Task
from nasmith.report.wording import counts, metrics, plural
from nasmith.types import Candidate, Evaluation, Run, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from nasmith.export import Exported

__all__ = ["Result"]

_OWN_COLUMNS = ("id", "label", "operator", "parents", "round", "status", "seed", "seconds", "message", "verified")
_SHOWN_SEEDS = 5


class Result:
    """What a run has come to so far.

    The records are read when they are first asked for, and then kept: a result does not change while it is looked at. Of a run
    that still goes on, `nasmith.load` gives a newer one.

    In a notebook, a result shows itself as a table.

    Args:
        run: The run.
        storage: Where its records are.
        task: The run's task.
    """

    def __init__(self, run: Run, storage: Storage, task: Task) -> None:
        self.run, self.storage, self.task = run, storage, task

    def __repr__(self) -> str:
        best = self.best()
        found = "no child was trained" if best is None else f"best #{best.id}: {_values(self, best)}"
        state = "" if self.run.finished else ", unfinished"
        return f"<Result of {self.run.name}: {plural(len(self.candidates), 'candidate')}, {found}{state}>"

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """All evaluations, in the order in which they were made."""
        return self.storage.evaluations(self.run.name)

    @cached_property
    def candidates(self) -> dict[int, Candidate]:
        """All programs by id, seeds first."""
        _ = self.evaluations  # first: of a run that goes on, each of their candidates is then stored
        return {candidate.id: candidate for candidate in self.storage.candidates(self.run.name)}

    def best(self) -> Candidate | None:
        """The fittest child by its search evaluation; None where no child could be trained."""
        children = [scored for scored in self._scored() if self.candidates[scored.id].step >= 0]
        return self.candidates[top(children, 1)[0].id] if children else None

    def front(self) -> list[Candidate]:
        """The Pareto front of the task's objectives, seeds included, in order of id."""
        return [self.candidates[scored.id] for scored in front(self._scored(), self.task.objectives)]

    def metrics(self, candidate: Candidate | int) -> Mapping[str, float]:
        """The metrics of a candidate's search evaluation; empty where it has none."""
        evaluation = self._searched.get(_number(candidate))
        return {} if evaluation is None else dict(evaluation.metrics)

    def verified(self, candidate: Candidate | int) -> list[Mapping[str, float]]:
        """The metrics of each verification, test error included; one for each new seed."""
        number = _number(candidate)
        return [
            dict(e.metrics)
            for e in self.evaluations
            if e.candidate == number and e.purpose == "verify" and e.status is Status.OK
        ]

    def to_dataframe(self) -> DataFrame:
        """Return a row for each candidate, in order of id: how it was made, how its search evaluation ended, its metrics.

        Metrics have their own names; one that is called as another column is, such as "seed", has "metric_" before it. Column
        "verified" counts the trainings with new seeds, and "verified_<metric>" is a metric's mean over them. What a candidate
        does not have is missing (NaN or None).

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError('pandas is not installed: pip install "nasmith[dataframe]"') from error
        rows = [_row(each, self._searched.get(each.id), self.verified(each)) for each in self.candidates.values()]
        names = dict.fromkeys(name for row in rows for name in row)
        means = [name for name in names if name.startswith("verified_")]
        measured = [name for name in names if name not in _OWN_COLUMNS and name not in means]
        return pandas.DataFrame(rows, columns=[*_OWN_COLUMNS[:6], *measured, *_OWN_COLUMNS[6:], *means])

    def plot(self, drawing: str | None = None) -> Figure:
        """Draw the trade-off between the objectives: children, seeds, front, and what was verified. A notebook shows it.

        Args:
            drawing: Another drawing of the report: "progress", "statuses" or "tuning". By default "pareto", and where there is
                one objective alone, "progress".

        Raises:
            UnknownNameError: There is no such drawing of this run.
            UsageError: Nothing was evaluated yet.
        """
        from nasmith.report.plots import draw_all, styled

        with styled():
            figures = {each.name: each.figure for each in draw_all(_records(self), self.task)}
        if not figures:
            raise UsageError(f"run {self.run.name!r} has nothing to draw yet: no candidate was evaluated.")
        if drawing is not None and drawing not in figures:
            raise UnknownNameError(f"drawing of run {self.run.name!r}:", drawing, figures)
        figure = figures[drawing or next(iter(figures))]
        # Notebooks know the figures of pyplot, which keeps them all alive; of any other object they ask for this method.
        figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
        return figure

    def report(self, folder: str | Path) -> Path:
        """Write the report, one HTML file that needs no network with pictures beside it, into a folder; return its path.

        Raises:
            ConfigError: The folder cannot be written.
        """
        from nasmith.report.page import write_report

        return write_report(_records(self), self.task, Path(folder))[0]

    def export(self, folder: str | Path, candidate: Candidate | int | None = None, *, onnx: bool = True) -> Exported:
        """Write a verified model into a folder, in files that need no nasmith: source, weights, scores, a script that verifies.

        Args:
            folder: Made where it is missing.
            candidate: By default the best verified child.
            onnx: Whether to write ONNX too, where the task can. That runs the program, where candidates are run.

        Raises:
            UsageError: The candidate was not verified, or the folder cannot be written.
            StorageError: The weights are not in the run's folder any more.
        """
        from nasmith.export import export_model

        config, name = self.run.config, self.run.name
        if config.get("verify", {}).get("best") == 0:
            raise UsageError(
                f"run {name!r} verifies nothing (verify: best is 0), so that nasmith has no trained weights of it."
            )
        executor = registry.create("executors", config["executor"]["name"], config["executor"]["options"]) if onnx else None
        chosen = None if candidate is None else _number(candidate)
        return export_model(_records(self), self.task, self.storage.folder(name), Path(folder), chosen, executor)

    def _repr_html_(self) -> str:
        """Return a small table for notebooks; all that a program or a user wrote is escaped."""
        best = self.best()
        rows = [("task", self.task.name), ("state", "finished" if self.run.finished else "unfinished: it can be resumed")]
        rows.append(("best", "no child was trained" if best is None else f"#{best.id} {_values(self, best)}"))
        if best is not None and (trainings := self.verified(best)):
            means = ", ".join(f"{name} {value:.4g}" for name, value in _means(trainings).items() if name != "fitness")
            rows.append(("verified", f"{means} (mean of {plural(len(trainings), 'new seed')})"))
        seeds = [candidate for candidate in self.candidates.values() if candidate.step < 0]
        rows += [(f"seed {seed.label}", _values(self, seed)) for seed in seeds[:_SHOWN_SEEDS]]
        if len(seeds) > _SHOWN_SEEDS:
            rows.append(("", f"and {plural(len(seeds) - _SHOWN_SEEDS, 'seed')} more"))
        statuses = Counter(e.status for i, e in self._searched.items() if self.candidates[i].step >= 0)
        rows.append(("children", counts(statuses) or "none"))
        cells = "".join(
            f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(value)}</td></tr>'
            for name, value in rows
        )
        return f"<table><caption>nasmith run {escape(self.run.name)}</caption><tbody>{cells}</tbody></table>"

    @cached_property
    def _searched(self) -> dict[int, Evaluation]:
        """The search evaluation of each candidate that has one."""
        return {e.candidate: e for e in reversed(self.evaluations) if e.purpose == "search"}

    def _scored(self) -> list[Scored]:
        return [Scored(e.candidate, e.metrics) for e in self.evaluations if e.purpose == "search" and "fitness" in e.metrics]


def _number(candidate: Candidate | int) -> int:
    return candidate if isinstance(candidate, int) else candidate.id


def _records(result: Result) -> Records:
    """Return all records of a run, with those that its result has shown already."""
    found = read(result.storage, result.run.name)
    return replace(found, run=result.run, candidates=result.candidates, evaluations=tuple(result.evaluations))


def _values(result: Result, candidate: Candidate) -> str:
    """Say a candidate's objectives, or how its evaluation ended."""
    evaluation = result._searched.get(candidate.id)
    if evaluation is None:
        return "not evaluated yet"
    return metrics(evaluation.metrics, result.task.objectives) or evaluation.status.value


def _row(candidate: Candidate, evaluation: Evaluation | None, trainings: list[Mapping[str, float]]) -> dict[str, Any]:
    """Return a candidate's row of the table, by column; its evaluation is that of the search."""
    row: dict[str, Any] = {
        "id": candidate.id, "label": candidate.label, "operator": candidate.operator, "parents": candidate.parents,
        "round": candidate.round, "verified": len(trainings),
    }  # fmt: skip
    if evaluation is not None:
        row |= {"status": evaluation.status.value, "seed": evaluation.seed, "seconds": evaluation.seconds}
        row |= {"message": evaluation.message}
        row |= {f"metric_{name}" if name in _OWN_COLUMNS else name: value for name, value in evaluation.metrics.items()}
    return row | {f"verified_{name}": value for name, value in _means(trainings).items()}


def _means(trainings: list[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric that all trainings have."""
    shared = [name for name in (trainings[0] if trainings else ()) if all(name in training for training in trainings)]
    return {name: fmean(training[name] for training in trainings) for name in shared}


def _png(figure: Figure) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
