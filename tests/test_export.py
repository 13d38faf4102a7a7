from __future__ import annotations

import errno
import importlib.util
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import nasmith
from folder_toys import SMALL, write_folder
from nasmith import analysis
from nasmith.errors import ConfigError, StorageError, UnknownNameError, UsageError
from nasmith.executors.inline import Inline
from nasmith.executors.processes import Processes
from nasmith.export import choose_weights, export_model, write_for_user
from nasmith.files import write_whole
from nasmith.lms.scripted import Scripted
from nasmith.modelcard import FILES
from nasmith.protocols import Storage
from nasmith.strategies.random_search import RandomSearch
from nasmith.tasks.folder import Folder
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Candidate, Evaluation, Job, Outcome, Status


@pytest.fixture
def records(recorded_storage: Storage) -> analysis.Records:
    return analysis.read(recorded_storage, "quiet-otter")


def test_the_best_verified_child_is_exported_as_a_module_that_imports(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    exported = export_model(records, Mnist1d(), recorded_storage.folder("quiet-otter"), tmp_path / "new" / "folder")
    winners = [item for item in analysis.verified(records, Mnist1d()) if item.candidate.operator != "seed"]
    assert exported.candidate == winners[0].candidate.id
    names = ["README.md", "model.py", "scores.json", "verify.py", "weights.safetensors"]
    assert sorted(path.name for path in exported.files) == names
    spec = importlib.util.spec_from_file_location("exported_model", tmp_path / "new" / "folder" / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert len(list(module.Model().children())) == 7
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir() if path.name.endswith(".part")] == []


def test_the_weights_are_those_with_the_best_validation_error_whatever_the_test_says() -> None:
    def made(seed: int, val: float, test: float) -> Evaluation:
        metrics = {"params": 10.0, "val_error": val, "test_error": test}
        return Evaluation(2, Status.OK, metrics, seed, purpose="verify", weights=f"w{seed}")

    evaluations = (made(1, 0.3, 0.1), made(2, 0.2, 0.4), made(3, 0.25, 0.0))
    item = analysis.Verified(Candidate(2, ""), None, evaluations, (), {}, {}, 0.0, 0.0, False)
    assert choose_weights(item, Mnist1d()).seed == 2


def test_the_exported_weights_are_the_stored_ones(records: analysis.Records, recorded_storage: Storage, tmp_path: Path) -> None:
    export_model(records, Mnist1d(), recorded_storage.folder("quiet-otter"), tmp_path)
    assert (load_file(tmp_path / "weights.safetensors")["0.weight"] == 0).all()  # seed 0 has the lowest validation error


def test_a_candidate_that_was_not_verified_is_refused_with_those_that_were(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    folder = recorded_storage.folder("quiet-otter")
    unverified = next(i for i in records.candidates if not any(e.purpose == "verify" for e in records.of(i)))
    with pytest.raises(UsageError, match=r"was not verified.*Verified: .*4"):
        export_model(records, Mnist1d(), folder, tmp_path, unverified)
    with pytest.raises(UnknownNameError, match="1 to 44"):
        export_model(records, Mnist1d(), folder, tmp_path, 999)
    assert list(tmp_path.iterdir()) == []


def test_lost_weights_are_named(records: analysis.Records, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"weights.*cannot be read"):
        export_model(records, Mnist1d(), tmp_path / "moved", tmp_path / "out")


def test_a_flagged_model_says_so_in_its_readme(records: analysis.Records, recorded_storage: Storage, tmp_path: Path) -> None:
    flagged = next(item for item in analysis.verified(records, Mnist1d()) if item.flagged)
    export_model(records, Mnist1d(), recorded_storage.folder("quiet-otter"), tmp_path, flagged.candidate.id)
    assert "Flagged" in (tmp_path / "README.md").read_text()


def test_an_earlier_export_leaves_nothing_behind_in_the_same_folder(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    folder = recorded_storage.folder("quiet-otter")
    export_model(records, Mnist1d(), folder, tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"of the model before")
    (tmp_path / "notes.txt").write_text("mine")
    export_model(records, Mnist1d(), folder, tmp_path, 4)
    assert not (tmp_path / "model.onnx").exists() and (tmp_path / "notes.txt").read_text() == "mine"
    assert "Candidate 4 of" in (tmp_path / "README.md").read_text()


def test_files_of_the_same_name_in_a_folder_that_is_no_export_stay(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "test.safetensors").write_bytes(b"mine")
    export_model(records, Mnist1d(), recorded_storage.folder("quiet-otter"), tmp_path)
    assert (tmp_path / "test.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize("exists", [True, False])
def test_a_disk_that_is_full_leaves_what_was_there(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == "README.md":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(path, data)

    folder, output = recorded_storage.folder("quiet-otter"), tmp_path / "model"
    if exists:
        export_model(records, Mnist1d(), folder, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()} if exists else None
    monkeypatch.setattr("nasmith.export.write_whole", full)
    with pytest.raises(ConfigError, match="No space left"):
        export_model(records, Mnist1d(), folder, output, 4)
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if exists else [])
    assert before is None or {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_a_run_whose_children_all_failed_says_which_seeds_there_are(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    folder = recorded_storage.folder("quiet-otter")
    seeds = tuple(e for e in records.evaluations if e.candidate <= 4)
    with pytest.raises(UsageError, match=r"no child .* was verified.*one of 4, 1, 3, 2 "):
        export_model(replace(records, evaluations=seeds), Mnist1d(), folder, tmp_path)
    with pytest.raises(UsageError, match="verified no model"):
        export_model(replace(records, evaluations=()), Mnist1d(), folder, tmp_path)
    with pytest.raises(UsageError, match="nasmith resume quiet-otter"):
        export_model(replace(records, evaluations=(), run=replace(records.run, finished="")), Mnist1d(), folder, tmp_path)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> nasmith.Result:
    """A finished search of a user's own folder, by a language model that knows two programs."""
    folder = write_folder(tmp_path_factory.mktemp("own") / "heaps")
    bodies = [SMALL.replace("8", width).partition("\n")[2] for width in ("4", "6")]
    what = nasmith.Verification(best=1, front=0, seeds=2)
    storage = folder.parent / "runs.sqlite3"
    return nasmith.search(Folder(str(folder)), Scripted(bodies), RandomSearch(2), Inline(), storage, name="own", verify=what)


def test_a_users_own_model_is_verified_without_nasmith_and_is_the_same_as_onnx(own: nasmith.Result, tmp_path: Path) -> None:
    exported = export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path / "model", executor=Inline())
    names = {path.name for path in exported.files}
    assert names == {*FILES, "README.md"} - {"graph_network.py", "predict.py"} and exported.why_no_onnx == ""
    # a fresh interpreter in which nobody can import nasmith
    code = "import runpy, sys; sys.modules['nasmith'] = None; runpy.run_path('verify.py', run_name='__main__')"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "model", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("reproduced\n") and "test error: " in ran.stdout

    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx", providers=["CPUExecutionProvider"])
    x = load_file(tmp_path / "model" / "test.safetensors")["x"]
    state = {name: torch.from_numpy(value) for name, value in load_file(tmp_path / "model" / "weights.safetensors").items()}
    hidden = torch.relu(torch.from_numpy(x) @ state["0.weight"].T + state["0.bias"])
    outputs = hidden @ state["2.weight"].T + state["2.bias"]
    assert np.allclose(session.run(None, {"x": x})[0], outputs.numpy(), atol=1e-5)


@pytest.mark.slow
def test_onnx_is_made_in_the_sandbox_that_candidates_run_in(own: nasmith.Result, tmp_path: Path) -> None:
    executor = Processes(workers=1, timeout_seconds=120)
    exported = export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path, executor=executor)
    assert exported.why_no_onnx == ""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.zeros((5, 4), dtype=np.float32)})[0].shape == (5, 3)


def test_a_program_that_cannot_be_onnx_is_exported_with_the_reason(own: nasmith.Result, tmp_path: Path) -> None:
    class Refusing(Inline):
        def submit(self, job: Job) -> Future[Outcome]:
            future: Future[Outcome] = Future()
            future.set_result(Outcome(Status.INVALID, message=f"{job.action}: it branches\non its input"))
            return future

    exported = export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path, executor=Refusing())
    assert exported.why_no_onnx == "export: it branches on its input"
    assert "There is no ONNX file: export: it branches on its input." in (tmp_path / "README.md").read_text()
    assert not (tmp_path / "model.onnx").exists() and (tmp_path / "verify.py").is_file()


def test_without_a_sandbox_all_but_onnx_is_exported(own: nasmith.Result, tmp_path: Path) -> None:
    class Homeless(Inline):
        def start(self, workload: object, data: object = None) -> None:
            raise UsageError("there is no sandbox here")

    exported = export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path, executor=Homeless())
    assert exported.why_no_onnx == "there is no sandbox here" and (tmp_path / "weights.safetensors").is_file()


def test_nobody_who_wants_no_onnx_is_told_of_it(own: nasmith.Result, tmp_path: Path) -> None:
    exported = export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path)
    assert exported.why_no_onnx == "" and "ONNX" not in (tmp_path / "README.md").read_text()


def test_the_seed_can_be_exported_too(own: nasmith.Result, tmp_path: Path) -> None:
    export_model(read_own(own), own.task, own.storage.folder("own"), tmp_path, 1)
    assert "The seed program 'large' of the task." in (tmp_path / "model.py").read_text()


def read_own(result: nasmith.Result) -> analysis.Records:
    return analysis.read(result.storage, "own")


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write"):
        write_for_user(tmp_path / "file" / "model.py", b"")
