import pytest

from nasmith.errors import UsageError
from nasmith.scaffold.looking import look_at_images, look_at_table
from scaffold_data import write_images, write_table


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
