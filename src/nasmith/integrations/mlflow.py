"""Logs a search to MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from nasmith.events import Event
from nasmith.integrations.following import Following, clean, flat, identity, needs
from nasmith.types import Run

__all__ = ["MLflow"]

_TAG = "nasmith.run"
_BATCH = 100  # parameters that a server takes at a time
_LONGEST = 500  # characters of a parameter, which every version takes; the whole configuration is an artifact


class MLflow:
    """An observer that logs a search as one MLflow run; a resumed search goes on in it, found by its tag "nasmith.run".

    Args:
        experiment: Made where it is missing.
        uri: The tracking server, or a database such as "sqlite:///mlflow.db"; None for what MLflow is set up with.

    Raises:
        MissingDependencyError: MLflow is not installed.
    """

    def __init__(self, experiment: str = "nasmith", uri: str | None = None) -> None:
        needs("MLflow", "mlflow.tracking", "mlflow")
        self._following = Following("MLflow", _Runs(experiment, uri))

    def __call__(self, event: Event) -> None:
        """Take in an event of the search."""
        self._following(event)


class _Runs:
    """The `Tracker`: one MLflow run at a time."""

    def __init__(self, experiment: str, uri: str | None) -> None:
        self._experiment, self._uri = experiment, uri
        self._client: Any = None
        self._id = ""

    def begin(self, run: Run, resumed: bool) -> bool:
        from mlflow.tracking import MlflowClient

        self._client = client = MlflowClient(tracking_uri=self._uri)
        found = client.get_experiment_by_name(self._experiment)
        experiment = found.experiment_id if found is not None else client.create_experiment(self._experiment)
        former = client.search_runs([experiment], f"tags.`{_TAG}` = '{identity(run)}'", max_results=1)
        if former:
            self._id = former[0].info.run_id
            client.update_run(self._id, status="RUNNING")
            return True
        tags = {_TAG: identity(run), "nasmith.version": run.version}
        self._id = client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        self._describe(run)
        return False

    def _describe(self, run: Run) -> None:
        from mlflow.entities import Param

        parameters = [Param(key, value[:_LONGEST]) for key, value in flat(run.config).items()]
        for first in range(0, len(parameters), _BATCH):
            self._client.log_batch(self._id, params=parameters[first : first + _BATCH])
        self._client.log_dict(self._id, clean(run.config), "config.json")

    def log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(_name(key), value, now, step) for key, value in values.items()])

    def write(self, name: str, text: str) -> None:
        self._client.log_text(self._id, text, name)

    def end(self, complete: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if complete else "KILLED")


def _name(metric: str) -> str:
    """Return a metric's name in the characters that MLflow takes."""
    return "".join(character if character.isalnum() or character in "_-. /" else "_" for character in metric)
