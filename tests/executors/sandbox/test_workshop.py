from nasmith.executors.sandbox.workshop import clear, make, oversized


def test_a_folder_is_empty_whatever_was_there_and_its_owners_alone(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "old").write_text("old")
    folder = make(tmp_path, None)
    assert folder.is_dir() and list(folder.iterdir()) == [] and folder.stat().st_mode & 0o777 == 0o700


def test_what_a_job_left_is_removed_links_and_closed_folders_too(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    place = tmp_path / "place"
    place.mkdir()
    folder = make(place, None)
    (folder / "link").symlink_to(outside)
    deep = folder
    for _ in range(40):
        deep = deep / "d"
        deep.mkdir()
    (deep / "file").write_text("x")
    (folder / "closed").mkdir()
    (folder / "closed" / "file").write_text("x")
    (folder / "closed").chmod(0)
    clear(place)
    assert list(place.iterdir()) == [] and (outside / "kept").read_text() == "kept"


def test_a_folder_that_holds_too_much_is_noticed(tmp_path):
    assert not oversized(tmp_path, 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 20_000)
    assert oversized(tmp_path, 10_000) and not oversized(tmp_path, 100_000)
