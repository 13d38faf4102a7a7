from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import nasmith
from nasmith import analysis
from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.protocols import Storage
from nasmith.report.page import render, write_report
from nasmith.storage.memory import Memory
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Status
from objective_toys import LoneToy, ScoreToy


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def records(recorded_storage: Storage) -> analysis.Records:
    return analysis.read(recorded_storage, "quiet-otter")


@pytest.fixture(scope="module")
def page(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    from nasmith.storage.sql import Sql

    storage = Sql(recorded, read_only=True)
    written = write_report(analysis.read(storage, "quiet-otter"), Mnist1d(), tmp_path_factory.mktemp("page"))
    storage.close()
    assert all(path.stat().st_size > 1000 for path in written)
    return written[0].read_text(encoding="utf-8")


def test_the_page_loads_nothing(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    for tag, attributes in tags.found:
        assert tag not in {"link", "iframe", "img", "object", "embed"}
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "url(http" not in page and "@import" not in page
    assert "default-src 'none'" in page


def test_what_a_candidate_wrote_is_text_and_not_markup(records: analysis.Records) -> None:
    hostile = "<script>alert(1)</script>"
    candidates = {
        i: replace(c, text=f"def Model():\n    return '{hostile}'\n", label=hostile if c.label else "", operator=c.operator)
        for i, c in records.candidates.items()
    }
    evaluations = tuple(e if e.status is Status.OK else replace(e, message=f"raises {hostile}") for e in records.evaluations)
    environment = {"python": hostile}
    changed = replace(
        records, candidates=candidates, evaluations=evaluations, run=replace(records.run, environment=environment, name=hostile)
    )
    page = render(changed, Mnist1d())
    assert hostile not in page and "&lt;script&gt;" in page
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.found].count("script") == 1


def test_only_the_pages_own_script_may_run(page: str) -> None:
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = re.search(r"script-src 'sha256-([^']+)'", page)
    assert script is not None and allowed is not None
    assert base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode() == allowed[1]


def test_the_same_records_give_the_same_files(records: analysis.Records, tmp_path: Path) -> None:
    first = write_report(records, Mnist1d(), tmp_path / "a")
    second = write_report(records, Mnist1d(), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    names = ["pareto.png", "progress.png", "report.html", "statuses.png", "trade-off.png", "tuning.png"]
    assert sorted(path.name for path in first) == names


def test_the_page_says_what_was_found_and_flags_what_did_not_hold(page: str) -> None:
    assert "Best verified model: #" in page and "of the 4 seeds" in page
    assert page.count("flagged</span>") == 1
    assert analysis.FLAG_RULE in page.replace("&#39;", "'")
    assert "output has shape" in page and "name: mnist1d" in page
    assert len(page) < 5_000_000


def test_a_run_without_a_sandbox_is_marked(records: analysis.Records, page: str) -> None:
    config = {**records.run.config, "executor": {"name": "processes", "options": {"sandbox": "off"}}}
    open_page = render(replace(records, run=replace(records.run, config=config)), Mnist1d())
    assert "the sandbox is off: candidates run with your rights" in open_page
    assert "the sandbox is off" not in page


def test_a_run_that_has_only_begun_has_a_page(records: analysis.Records) -> None:
    empty = replace(records, candidates={}, evaluations=(), completions={}, tunings={}, run=replace(records.run, finished=""))
    page = render(empty, Mnist1d())
    assert "No child could be trained yet" in page and "unfinished" in page


def test_a_folder_that_cannot_be_written_is_named(records: analysis.Records, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write"):
        write_report(records, Mnist1d(), tmp_path / "file")


def test_each_seed_is_held_against_what_was_found(page: str) -> None:
    assert page.count("<h3>The seed #") == 4
    for seed, found in (
        ("#4 reference_cnn", "none of 5 children that were verified has better params"),
        ("#3 mlp", "do not overlap"),
    ):
        part = page.partition(f"<h3>The seed {seed}: params</h3>")[2].partition("<h3>")[0]
        assert "Held against it by validation data, means over 3 trainings with new seeds." in part and found in part
    assert page.count('<h2 id="trade-off">Against the seeds</h2>') == 1


@pytest.mark.parametrize("verified", [0, 2])
@pytest.mark.parametrize("task", [ScoreToy(), LoneToy()])
def test_other_objectives_have_a_page(task: ToyTask, verified: int, tmp_path: Path) -> None:
    storage = Memory()
    what = nasmith.Verification(best=verified, front=0, seeds=2, baselines=verified > 0)
    nasmith.search(task, ToyLM(), RandomSearch(12), Inline(), storage, name="run", seed=3, verify=what)
    records = analysis.read(storage, "run")
    page = write_report(records, task, tmp_path)[0].read_text()
    assert "Against the seeds</h2>" in page and "test set" not in page and "test error" not in page
    assert ("by what the search saw" in page) is (verified == 0)
    assert (tmp_path / "trade-off.png").is_file() is (verified > 0 and len(task.objectives) > 1)
    assert (tmp_path / "pareto.png").is_file() is (len(task.objectives) > 1)
    assert (">fitness<" in page) is (len(task.objectives) > 1 and verified > 0)


def test_a_search_of_designs_is_told_as_one(tmp_path):
    import nasmith
    from nasmith import analysis
    from nasmith.report.page import render
    from nasmith.testing import ToySpaceTask

    result = nasmith.search(ToySpaceTask(), strategy="nasmith", storage=tmp_path / "runs.sqlite3", name="run")
    page = render(analysis.read(result.storage, "run"), ToySpaceTask())
    assert "Best design by what the search saw: #1, design 2222, accuracy 92.000" in page
    assert "looked up when the search was over" in page and "Language models wrote" not in page and "new seeds" not in page
