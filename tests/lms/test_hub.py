from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from nasmith.errors import ConfigError
from nasmith.lms import hub

NAME, COMMIT = "maker/model-0.5B", "0123456789" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))

    def offline(name: str, **options: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("outgoing traffic has been disabled.\nMore.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    return folder


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("{}")
    return folder


def remember(cache: Path, *names: str) -> Path:
    """Lay files into the cache as the hub's library does."""
    model = cache / "models--maker--model-0.5B"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    return write(model / "snapshots" / COMMIT, *names)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "config.json", "model.safetensors")
    assert hub.model_folder(str(folder)) == folder


def test_a_model_in_the_cache_is_used_and_nobody_asked(cache: Path) -> None:
    folder = remember(cache, "config.json", "tokenizer.json", "model.safetensors")
    assert hub.model_folder(NAME) == folder


def test_a_model_whose_parts_are_not_all_in_the_cache_is_downloaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = remember(cache, "config.json", "a.safetensors"), []
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})
    )

    def download(name: str, **options: Any) -> str:
        asked.append((name, options["allow_patterns"]))
        write(folder, "b.safetensors")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.model_folder(NAME) == folder
    assert asked == [(NAME, hub.WANTED)]


def test_older_weights_are_downloaded_only_where_there_are_no_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, allow_patterns: list[str], **options: Any) -> str:
        return str(write(tmp_path / "got", "pytorch_model.bin" if allow_patterns == ["pytorch_model*"] else "config.json"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.model_folder(NAME) == tmp_path / "got"


def test_a_model_that_cannot_be_had_is_refused_with_what_was_tried_and_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as refused:
        hub.model_folder(NAME)
    for part in (f"{NAME} is no folder", str(cache), "traffic has been disabled", "Give a folder", f"`hf download {NAME}`"):
        assert part in str(refused.value)
    assert "HF_HUB_OFFLINE" not in str(refused.value) and "More" not in str(refused.value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        hub.model_folder(NAME)


def test_whatever_the_network_raises_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = huggingface_hub.errors.HfHubHTTPError.__bases__[0]

    def broken(name: str, **options: Any) -> str:
        raise kind("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(ConfigError, match="no route"):
        hub.model_folder(NAME)


def test_a_download_that_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(write(tmp_path / "got", "config.json")))
    with pytest.raises(ConfigError, match=r"holds no model\.safetensors"):
        hub.model_folder(NAME)


@pytest.mark.parametrize("files", [["model.safetensors"], ["config.json"], []])
def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path, files: list[str]) -> None:
    with pytest.raises(ConfigError, match="holds no"):
        hub.model_folder(str(write(tmp_path / "model", *files)))


@pytest.mark.parametrize("name", ["./missing", "/missing/model", "a/b/c", "~/missing"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        hub.model_folder(name)
