from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasmith.cli.app import app
from nasmith.export import Exported

runner = CliRunner()


def test_a_report_is_written_and_its_path_said(recorded: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["report", "--storage", str(recorded), "-o", str(tmp_path / "r")])
    assert result.exit_code == 0 and str(tmp_path / "r" / "report.html") in result.stdout
    assert (tmp_path / "r" / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_exported_and_its_files_are_listed(recorded: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["export", "quiet-otter", "4", "--storage", str(recorded), "-o", str(tmp_path), "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert listed["candidate"] == 4 and all(Path(path).is_file() for path in listed["files"])
    assert "verify.py" in runner.invoke(app, ["export", "--storage", str(recorded), "-o", str(tmp_path)]).stdout


def test_a_reason_for_no_onnx_is_said(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def exported(records, task, folder, output, candidate, executor):
        asked.append(executor is not None)
        return Exported(4, (output / "weights.safetensors",), "it branches" if executor is not None else "")

    monkeypatch.setattr("nasmith.export.export_model", exported)
    command = ["export", "quiet-otter", "--storage", str(recorded), "-o", str(tmp_path)]
    assert "No ONNX: it branches" in runner.invoke(app, command).stdout
    assert json.loads(runner.invoke(app, [*command, "--json"]).stdout)["why_no_onnx"] == "it branches"
    assert "ONNX" not in runner.invoke(app, [*command, "--no-onnx"]).stdout
    assert asked == [True, True, False]


def test_a_candidate_without_weights_is_an_error(recorded: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["export", "quiet-otter", "44", "--storage", str(recorded), "-o", str(tmp_path / "m")])
    assert result.exit_code == 2 and "was not verified" in result.stderr
    assert not (tmp_path / "m").exists()
