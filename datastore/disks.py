"""Which file system a path is on, because SQLite and locks are only to be trusted on local ones.

Policy and evidence: facts/reliability.md §1.1 ("WAL off local disk") and §2.7.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from datastore.durable import disk_errors
from datastore.errors import UnsupportedOperation

__all__ = ["file_system_of", "is_network", "require_local"]

_NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|9p|virtiofs|fuse\..*|fuse|fuseblk|lustre|gpfs|beegfs|ceph|glusterfs|afs|afpfs|webdav|vboxsf|drvfs|remote"
)


def file_system_of(path: Path) -> str:
    """Return the type of the file system that holds the path (`ext4`, `nfs4`, …); '' where the system does not tell."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    if sys.platform.startswith("linux"):
        return _from_mountinfo(existing, Path("/proc/self/mountinfo"))
    if sys.platform == "darwin":
        return _from_mount_command(existing)
    if sys.platform == "win32":
        return _from_drive_type(existing)
    return ""


def is_network(file_system: str) -> bool:
    """Tell whether the type is one that is served by somebody else."""
    return _NETWORK.fullmatch(file_system) is not None


def require_local(path: Path) -> None:
    """Raise `UnsupportedOperation` if a store on this path could not be written to safely."""
    with disk_errors(path):
        found = file_system_of(path)
    if is_network(found):
        raise UnsupportedOperation(
            f"{path} is on a network or shared file system ({found}), where locks and SQLite corrupt data",
            hint="keep the store on a local disk (DATASTORE_STORE=/local/folder); share data by an S3 or lakeFS mount",
        )


def _from_mountinfo(path: Path, table: Path) -> str:
    device = os.stat(path).st_dev  # noqa: PTH116 - same call, kept beside major and minor
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):  # the newest mount of a device is listed last
        fields, _, tail = line.partition(" - ")
        if fields.split()[2] == wanted:
            return tail.split()[0]
    return ""


def _from_mount_command(path: Path) -> str:
    listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
    best = ("", "")
    for line in listing.splitlines():
        if parsed := re.match(r".* on (.*) \((\w+)", line):
            folder, kind = parsed.groups()
            if path.is_relative_to(folder) and len(folder) > len(best[0]):
                best = (folder, kind)
    return best[1]


def _from_drive_type(path: Path) -> str:
    import ctypes

    drive_remote = 4
    windll = getattr(ctypes, "windll")  # noqa: B009 - exists on Windows only
    return "remote" if windll.kernel32.GetDriveTypeW(path.anchor) == drive_remote else "local"
