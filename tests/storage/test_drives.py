from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from nasmith.storage.drives import network_drive

Mount = namedtuple("Mount", "mountpoint fstype")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/runs/x.sqlite3", ""),
        ("/mnt/share/x.sqlite3", "nfs4"),
        ("/mnt/share/local/x.sqlite3", ""),
        ("/mnt/shareholder/x.sqlite3", ""),
        ("/mnt/far/not/made/yet/x.sqlite3", "fuse.sshfs"),
        ("/mnt/disk/x.sqlite3", ""),
        ("/mnt/twice/x.sqlite3", "cifs"),
    ],
)
def test_the_innermost_and_last_mount_decides(path: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        Mount("/", "ext4"),
        Mount("/mnt/share/local", "xfs"),
        Mount("/mnt/share", "nfs4"),
        Mount("/mnt/far", "fuse.sshfs"),
        Mount("/mnt/disk", "fuse.ntfs-3g"),
        Mount("/mnt/twice", "ext4"),
        Mount("/mnt/twice", "cifs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert network_drive(Path(path)) == kind


def test_nobody_knows_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(all: bool) -> list[Mount]:
        raise PermissionError

    monkeypatch.setattr(psutil, "disk_partitions", fail)
    assert network_drive(Path("/x")) == ""
