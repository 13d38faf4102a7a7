"""Searches logged into an MLflow database, read back by its client."""

from pathlib import Path

import pytest

import nasmith
from nasmith.integrations import IntegrationWarning, MLflow
from toy_runs import toy_search
from tracked_searches import EVALUATIONS, stopped_search

# SQLAlchemy 2.1 warns of how MLflow's own tables are loaded.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One database for all tests: MLflow takes seconds to make one."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def client(uri):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def only_run(client, experiment):
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def test_a_search_is_logged(tmp_path, uri, client):
    result = toy_search(tmp_path / "runs.sqlite3", observers=[MLflow("whole", uri)])
    run = only_run(client, "whole")
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["strategy"] == "evoprompting"
    assert (run.data.params["strategy.rounds"], run.data.params["seed"]) == ("3", "7")
    history = sorted(client.get_metric_history(run.info.run_id, "candidate"), key=lambda metric: metric.step)
    assert [metric.step for metric in history] == list(range(1, EVALUATIONS + 1))
    assert [metric.value for metric in history] == [e.candidate for e in result.evaluations[:EVALUATIONS]]
    assert run.data.metrics["best/fitness"] == result.metrics(result.best())["fitness"]
    verified = [each["test_error"] for each in result.verified(result.best())]
    assert run.data.metrics["verified/test_error"] == pytest.approx(sum(verified) / len(verified))
    ok = sum(e.status == "ok" for e in result.evaluations if e.purpose == "search")
    assert run.data.metrics["status/ok"] == ok
    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert (folder / "best_program.py").read_text() == result.best().text


def test_a_resumed_search_goes_on_in_the_same_run(tmp_path, uri, client):
    stopped_search(tmp_path / "runs.sqlite3", MLflow("resumed", uri))
    assert only_run(client, "resumed").info.status == "KILLED"
    nasmith.resume("run", tmp_path / "runs.sqlite3", observers=[MLflow("resumed", uri)])
    run = only_run(client, "resumed")
    assert run.info.status == "FINISHED"
    steps = sorted(metric.step for metric in client.get_metric_history(run.info.run_id, "candidate"))
    assert steps == list(range(1, EVALUATIONS + 1))


def test_another_run_of_the_same_name_is_another_run(tmp_path, uri, client, monkeypatch):
    import nasmith.api

    class Later(nasmith.api.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone).replace(year=2031)

    toy_search(tmp_path / "first.sqlite3", observers=[MLflow("twice", uri)], budget=nasmith.Budget(evaluations=3))
    monkeypatch.setattr("nasmith.api.datetime", Later)
    toy_search(tmp_path / "second.sqlite3", observers=[MLflow("twice", uri)], budget=nasmith.Budget(evaluations=3))
    assert len(client.search_runs([client.get_experiment_by_name("twice").experiment_id])) == 2


def test_a_server_that_cannot_be_reached_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.warns(IntegrationWarning, match="MLflow gets nothing more of this search, which goes on"):
        result = toy_search(tmp_path / "runs.sqlite3", observers=[MLflow("gone", "http://127.0.0.1:9")])
    assert result.run.finished and len(result.candidates) == EVALUATIONS
