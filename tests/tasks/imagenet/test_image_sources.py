from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.image_sources import decode, open_images


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(source) -> list[tuple[str, bytes]]:
    """Class and bytes of every image."""
    return [(source.classes[label], source.read(place)) for place, label in enumerate(source.labels)]


def test_a_folder_is_read_in_a_fixed_order(images):
    sets = open_images(str(images))
    assert sets.form == "folder" and sets.train.classes == ("cross", "disc", "stripes")
    assert sets.train.labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20 and len(sets.test.labels) == 18
    assert sets.train.name(21) == "train/disc/0001.jpg"
    assert sets.train.read(21) == (images / "train" / "disc" / "0001.jpg").read_bytes()
    again = pickle.loads(pickle.dumps(sets.train))
    assert contents(again) == contents(sets.train)


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_the_test_set_may_have_its_usual_names(images, tmp_path, name):
    shutil.copytree(images, tmp_path / "set")
    (tmp_path / "set" / "val").rename(tmp_path / "set" / name)
    assert len(open_images(str(tmp_path / "set")).test.labels) == 18


def test_folders_of_classes_alone_have_no_test_set(images):
    sets = open_images(str(images / "train"))
    assert len(sets.train.labels) == 60 and sets.test is None


def test_suffixes_in_any_case_and_folders_within_a_class_count_and_other_files_do_not(images, tmp_path):
    shutil.copytree(images / "train", tmp_path / "set")
    disc = tmp_path / "set" / "disc"
    (disc / "more").mkdir()
    (disc / "0000.jpg").rename(disc / "more" / "z.JPEG")
    (disc / "notes.txt").write_text("no image")
    (disc / ".hidden").mkdir()
    assert (open_images(str(tmp_path / "set")).train.labels == 1).sum() == 20


def test_classes_of_one_part_alone_are_told(images, tmp_path):
    shutil.copytree(images, tmp_path / "set")
    (tmp_path / "set" / "val" / "disc").rename(tmp_path / "set" / "val" / "disk")
    with pytest.raises(UsageError, match="train lacks the classes disk, which the other folder has"):
        open_images(str(tmp_path / "set"))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: (path / "a").mkdir(parents=True)])
def test_where_there_are_no_images_the_forms_are_told(tmp_path, make):
    make(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"train/CLASS/\*\.jpg .* WebDataset shards, .* hf:org/name"):
        open_images(str(tmp_path / "nothing"))


def write_shards(
    images: Path, folder: Path, *, label: str = "cls", names: tuple[str, str] = ("train-%03d.tar", "val-%03d.tar")
):
    """Write the images of a folder as shards, by the package that others use."""
    webdataset = pytest.importorskip("webdataset")
    sets = open_images(str(images))
    for source, pattern in ((sets.train, names[0]), (sets.test, names[1])):
        (folder / pattern).parent.mkdir(parents=True, exist_ok=True)
        with webdataset.ShardWriter(str(folder / pattern), maxcount=13, verbose=0) as writer:
            for place in np.random.default_rng(0).permutation(len(source.labels)).tolist():
                value = int(source.labels[place])
                about = {"cls": value} if label == "cls" else {"json": {"label": source.classes[value], "more": 1}}
                writer.write({"__key__": f"part/{place:05}", "jpg": source.read(place), **about})
    return sets


@pytest.mark.parametrize("names", [("train-%03d.tar", "val-%03d.tar"), ("train/%03d.tar", "test/%03d.tar"),
                                   ("set-train-%03d.tar", "set-validation-%03d.tar")])  # fmt: skip
def test_shards_hold_the_same_images(images, tmp_path, names):
    sets = write_shards(images, tmp_path / "shards", names=names)
    found = open_images(str(tmp_path / "shards"))
    assert found.form == "shards" and found.train.classes == found.test.classes == ("0", "1", "2")
    for one, other in ((found.train, sets.train), (found.test, sets.test)):
        renamed = sorted((str(other.classes.index(name)), data) for name, data in contents(other))
        assert sorted(contents(one)) == renamed
    assert found.train.name(0).endswith(".tar: part/" + found.train.name(0)[-5:])
    assert contents(pickle.loads(pickle.dumps(found.train))) == contents(found.train)


def test_labels_may_be_words_in_json(images, tmp_path):
    sets = write_shards(images, tmp_path / "shards", label="json")
    found = open_images(str(tmp_path / "shards"))
    assert found.train.classes == sets.train.classes
    assert sorted(contents(found.train)) == sorted(contents(sets.train))


def test_a_shard_is_indexed_once(images, tmp_path, cache, monkeypatch):
    import tarfile

    write_shards(images, tmp_path / "shards")
    before = contents(open_images(str(tmp_path / "shards")).train)
    assert len(list((cache / "shards").iterdir())) == 7
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened again"))
    assert contents(open_images(str(tmp_path / "shards")).train) == before


def test_numbers_as_labels_are_in_the_order_of_numbers(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    picture = encoded(Image.new("RGB", (8, 8)), "JPEG")
    with webdataset.TarWriter(str(tmp_path / "train-0.tar")) as writer:
        for number in range(12):
            writer.write({"__key__": f"{number}", "jpg": picture, "cls": number})
    assert open_images(str(tmp_path)).train.classes == tuple(map(str, range(12)))


def test_a_shard_that_is_cut_off_is_named(images, tmp_path):
    write_shards(images, tmp_path / "shards")
    victim = tmp_path / "shards" / "train-001.tar"
    victim.write_bytes(victim.read_bytes()[:5000])
    with pytest.raises(UsageError, match=r"the shard .*train-001\.tar is no whole tar file of images"):
        open_images(str(tmp_path / "shards"))


def test_test_shards_alone_and_other_classes_are_told(images, tmp_path):
    write_shards(images, tmp_path / "shards")
    for path in (tmp_path / "shards").glob("train*"):
        path.unlink()
    with pytest.raises(UsageError, match="holds test shards alone"):
        open_images(str(tmp_path / "shards"))


@pytest.mark.parametrize("form", ["disk", "parquet"])
def test_a_data_set_of_hugging_face_holds_the_same_images(images, tmp_path, form):
    datasets = pytest.importorskip("datasets")
    sets = open_images(str(images))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(sets.train.classes))})
    parts = {}
    for name, source in (("train", sets.train), ("test", sets.test)):
        rows = [{"bytes": source.read(place), "path": None} for place in range(len(source.labels))]
        parts[name] = datasets.Dataset.from_dict({"image": rows, "label": source.labels.tolist()}, features=features)
    if form == "disk":
        datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    else:
        for name, part in parts.items():
            (tmp_path / "set").mkdir(exist_ok=True)
            part.to_parquet(tmp_path / "set" / f"{name}.parquet")
    found = open_images(str(tmp_path / "set"))
    assert found.form == "datasets" and found.train.name(3) == "row 3"
    assert contents(found.train) == contents(sets.train) and contents(found.test) == contents(sets.test)
    assert contents(pickle.loads(pickle.dumps(found.train))) == contents(sets.train)


def test_columns_that_are_missing_are_told(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).save_to_disk(tmp_path / "set")
    with pytest.raises(UsageError, match="has the columns text, label; an image and a label are needed"):
        open_images(str(tmp_path / "set"))


def test_the_central_square_is_seen():
    image = Image.new("RGB", (120, 40), (255, 0, 0))
    image.paste((0, 0, 255), (40, 0, 80, 40))
    seen = decode(encoded(image), 20)
    assert seen.shape == (3, 20, 20) and seen.dtype == np.uint8 and seen.flags["C_CONTIGUOUS"]
    assert (seen[2, :, 2:-2] == 255).all() and (seen[0, :, 2:-2] == 0).all()


@pytest.mark.parametrize(
    ("image", "form", "colour"),
    [
        (Image.new("L", (30, 30), 100), "PNG", (100, 100, 100)),
        (Image.new("RGBA", (30, 30), (0, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGB", (30, 30), (10, 200, 30)).convert("P"), "GIF", None),
        (Image.new("CMYK", (30, 30), (0, 0, 0, 0)), "JPEG", (255, 255, 255)),
        (Image.fromarray(np.full((30, 30), 32768, np.uint16)), "PNG", (127, 127, 127)),
        (Image.new("1", (30, 30), 1), "PNG", (255, 255, 255)),
        (Image.new("RGB", (5, 9), (1, 2, 3)), "PNG", (1, 2, 3)),
    ],
)
def test_images_of_any_kind_become_red_green_and_blue(image, form, colour):
    seen = decode(encoded(image, form), 16)
    assert seen.shape == (3, 16, 16)
    if colour is not None:
        assert np.abs(seen.reshape(3, -1).T.astype(int) - colour).max() <= 2


def test_what_is_no_image_cannot_be_read(images):
    whole = next((images / "train" / "disc").iterdir()).read_bytes()
    for data in (b"", b"no image", whole[:200], whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + b"0" * 50):
        assert decode(data, 16) is None
    assert decode(whole, 16) is not None


def test_an_index_with_other_rows_is_json(images, tmp_path, cache):
    write_shards(images, tmp_path / "shards")
    open_images(str(tmp_path / "shards"))
    rows = json.loads(next((cache / "shards").iterdir()).read_text())
    assert all(len(row) == 4 for row in rows)
