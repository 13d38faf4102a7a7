"""Tells whether a file lies on a network drive, where SQLite may lose records."""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["network_drive"]

_NETWORK = {
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "webdav",
}  # fmt: skip
_NETWORK_FUSE = (
    "ceph", "curlftpfs", "davfs", "gcsfuse", "glusterfs", "goofys", "juicefs", "rclone", "s3fs", "smbnetfs", "sshfs",
)  # fmt: skip


def network_drive(path: Path) -> str:
    """Return the type of the network file system that `path` lies on; empty where it is a local disk, or nobody knows."""
    whole = path.resolve()
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return ""
    best, kind = -1, ""
    for mount in mounts:
        depth = len(Path(mount.mountpoint).parts)
        if depth >= best and whole.is_relative_to(mount.mountpoint):  # of two at one place, the later one is seen
            best, kind = depth, mount.fstype.lower()
    name = kind.removeprefix("fuse.")
    return kind if kind in _NETWORK or (name != kind and name.startswith(_NETWORK_FUSE)) else ""
