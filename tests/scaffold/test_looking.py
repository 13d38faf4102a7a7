import numpy as np
import pytest

from nasmith.errors import UsageError
from nasmith.problems import Classification, Regression, Segmentation, Sequence
from nasmith.scaffold.looking import look_at_images, look_at_loader, look_at_table, look_at_texts
from scaffold_data import write_images, write_table, write_text_folder


def test_images_are_counted_and_measured(tmp_path):
    found = look_at_images(write_images(tmp_path / "digits"))
    assert found.classes == ("digit-0", "digit-1", "digit-2") and (found.count, found.size, found.grey) == (36, 8, True)


def test_a_table_tells_numbers_from_words_and_classes_from_quantities(tmp_path):
    table = look_at_table(write_table(tmp_path / "wine.csv"))
    assert table.rows == 178 and table.words == ("shop", "quality") and table.distinct["quality"] == 3
    assert table.is_class("quality") and not table.is_class("alcohol")
    other = look_at_table(write_table(tmp_path / "d.csv", "regression"))
    assert not other.is_class("quality")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n1,2\n1\n", r"t\.csv:3: the line has 1 values, and there are 2 columns"),
        ("a\n1\n", r"has 1 column\(s\); two are needed"),
        ("a,b\n1,2\n", "has 1 rows; that is too few"),
        ("a,b,a\n1,2,3\n", r"t\.csv:1: two columns are called 'a'"),
    ],
)
def test_a_table_that_is_none(tmp_path, content, reason):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UsageError, match=reason):
        look_at_table(tmp_path / "t.csv")


def test_a_column_that_is_not_there_names_the_nearest(tmp_path):
    table = look_at_table(write_table(tmp_path / "wine.csv"))
    with pytest.raises(UsageError, match=r"--target: the table has no column 'qualty'. Did you mean 'quality'\?"):
        table.demand("qualty", "--target")


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*none"):
        look_at_table(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"there is no folder .*none. It should hold a folder of images for each class"):
        look_at_images(tmp_path / "none")
    with pytest.raises(UsageError, match=r"images of one class alone \(digit-0\)"):
        look_at_images(write_images(tmp_path / "one", classes=1))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").mkdir()
    with pytest.raises(UsageError, match=r"holds no folder with images"):
        look_at_images(tmp_path / "a")


def test_an_image_that_cannot_be_read(tmp_path):
    folder = write_images(tmp_path / "digits", classes=2)
    (folder / "digit-1" / "0.png").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"digit-1/0\.png cannot be read as an image"):
        look_at_images(folder)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_are_parted_by_what_the_header_is_parted_by(tmp_path, mark):
    lines = [mark.join(["a", "b"]), *(mark.join([f"{n}", "" if n == 3 else "nan" if n == 5 else "2"]) for n in range(12))]
    (tmp_path / "t.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    table = look_at_table(tmp_path / "t.csv")
    assert (table.columns, table.rows, table.words, table.delimiter) == (("a", "b"), 12, (), mark)
    assert table.gaps == {"b": 5} and table.characters["a"] == 14


def test_a_folder_of_texts(tmp_path):
    folder = write_text_folder(tmp_path / "texts")
    assert look_at_texts(folder) == ("bad", "good")
    (folder / "good" / "0.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"good/0\.txt cannot be read as text.*Save it as UTF-8"):
        look_at_texts(folder)
    with pytest.raises(UsageError, match=r"holds no folder with \.txt files"):
        look_at_texts(folder / "good")


X = np.zeros((40, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("targets", "kind", "problem"),
    [
        (np.arange(40) % 2, "", Classification()),
        (np.arange(40) % 2, "regression", Regression()),
        (np.linspace(0, 1, 40), "", Regression()),
        (np.arange(120).reshape(40, 3) % 2, "", Sequence()),
        (np.arange(160).reshape(40, 2, 2) % 2, "", Segmentation()),
    ],
)
def test_targets_of_a_loader_suggest_the_problem(targets, kind, problem):
    inputs = X if targets.ndim < 3 else np.zeros((40, 1, 2, 2), dtype=np.float32)
    assert look_at_loader(lambda: (inputs, targets), "theirs:load", kind) == problem


def test_a_loader_that_gives_nothing_to_learn_from_is_told():
    def fails(path):
        raise AssertionError

    with pytest.raises(UsageError, match=r"theirs:load\(\), called without arguments, raised TypeError"):
        look_at_loader(fails, "theirs:load")
    with pytest.raises(UsageError, match=r"theirs:load\(\) returned something else: train: a DataLoader"):
        look_at_loader(lambda: 3, "theirs:load")
    with pytest.raises(UsageError, match=r"what theirs:load\(\) returned cannot be used: train: x holds NaN"):
        look_at_loader(lambda: (X * np.nan, np.arange(40) % 2), "theirs:load")
