"""rclone, as a command."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.clients import fresh
from benchmarks.places import Place, S3Place

LABEL = "rclone"


def connect(place: Place) -> Any:
    """Describe the remote in the environment."""
    assert isinstance(place, S3Place)
    if shutil.which("rclone") is None:
        raise SystemExit("rclone is not on the PATH")
    os.environ.pop("AWS_CA_BUNDLE", None)  # this rclone cannot start with it
    os.environ.update(
        RCLONE_CONFIG="/dev/null",
        RCLONE_S3_PROVIDER="Other",
        RCLONE_S3_ENDPOINT=place.endpoint,
        RCLONE_S3_ACCESS_KEY_ID=place.access_key,
        RCLONE_S3_SECRET_ACCESS_KEY=place.secret_key,
        RCLONE_S3_REGION=place.region,
    )
    return place.bucket


def _rclone(*arguments: str) -> None:
    subprocess.run(["rclone", "--s3-no-check-bucket", *arguments], check=True, stdout=subprocess.DEVNULL)


def download(connection: Any, folder: Path) -> None:
    _rclone("copyto", f":s3:{connection}/big", str(folder / "big"), "--multi-thread-streams=8")


def upload(connection: Any, folder: Path) -> None:
    _rclone(
        "copyto",
        str(folder.parent / "source" / "big"),
        f":s3:{connection}/scratch/{fresh()}/big",
        "--s3-upload-concurrency=8",
    )


def list_keys(connection: Any, folder: Path) -> None:
    _rclone("lsf", "-R", f":s3:{connection}/names")


def get_many(connection: Any, folder: Path) -> None:
    _rclone("copy", f":s3:{connection}/small", str(folder), "--transfers=32", "--checkers=32")


def put_many(connection: Any, folder: Path) -> None:
    _rclone(
        "copy", str(folder.parent / "source" / "small"), f":s3:{connection}/scratch/{fresh()}/small", "--transfers=32"
    )
