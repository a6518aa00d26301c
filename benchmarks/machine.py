"""What a run has to say of itself: the day, the machine, and the versions of all that took part."""

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

__all__ = ["described"]

_DISTRIBUTIONS = {
    "ours": "datastore-sdk",
    "with_boto3": "boto3",
    "with_boto3_crt": "awscrt",
    "with_curl": "pycurl",
    "with_dvc": "dvc",
    "with_fsspec_local": "fsspec",
    "with_dvc_checkout": "dvc",
    "with_hf": "datasets",
    "with_hf_hub": "huggingface_hub",
    "with_lakefs_spec": "lakefs-spec",
    "with_obstore": "obstore",
    "with_oxen": "oxenai",
    "with_pooch": "pooch",
    "with_pyarrow": "pyarrow",
    "with_s3fs": "s3fs",
    "with_simplecache": "fsspec",
    "stream_hf": "datasets",
    "stream_mosaic": "mosaicml-streaming",
}
_COMMANDS = {
    "with_git": ("git", "--version"),
    "with_rclone": ("rclone", "version"),
    "with_restic": ("restic", "version"),
}


def described(clients: Iterable[str], folder: Path, *, rounds: int) -> str:
    """Return a line about a run of these clients in a folder."""
    today = dt.datetime.now(tz=dt.UTC).date()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = "".join(f", {version}" for version in map(_version, clients) if version)
    how = f"median of {rounds} runs" if rounds > 1 else "one run"
    return f"{today}, {os.cpu_count()} cores, {python}, {_file_system(folder)}, {how}{versions}."


def _version(client: str) -> str:
    if (command := _COMMANDS.get(client)) and shutil.which(command[0]):
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return f"{command[0]} {re.findall(r'[0-9][0-9.]+[0-9]', text)[0]}"
    name = _DISTRIBUTIONS.get(client)
    try:
        return f"{name} {metadata.version(name)}" if name else ""
    except metadata.PackageNotFoundError:
        return ""


def _file_system(folder: Path) -> str:
    """The kind of file system that holds a folder, as Linux tells it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return platform.system()
    held = [(len(place), kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    return max(held)[1]
