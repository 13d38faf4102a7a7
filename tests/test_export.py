from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from nasmith import analysis
from nasmith.errors import ConfigError, StorageError, UnknownNameError, UsageError
from nasmith.export import choose_weights, export_model, write_for_user
from nasmith.protocols import Storage
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Candidate, Evaluation, Status


@pytest.fixture
def records(recorded_storage: Storage) -> analysis.Records:
    return analysis.read(recorded_storage, "quiet-otter")


def test_the_best_verified_child_is_exported_as_a_module_that_imports(
    records: analysis.Records, recorded_storage: Storage, tmp_path: Path
) -> None:
    exported = export_model(records, Mnist1d(), recorded_storage.folder("quiet-otter"), tmp_path / "new" / "folder")
    winners = [item for item in analysis.verified(records, Mnist1d()) if item.candidate.operator != "seed"]
    assert exported.candidate == winners[0].candidate.id
    assert sorted(path.name for path in exported.files) == ["README.md", "evaluate.py", "model.py", "weights.safetensors"]
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


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write"):
        write_for_user(tmp_path / "file" / "model.py", b"")
