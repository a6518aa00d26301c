"""The tools that people have already, each set up by its own manual."""

import subprocess
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import s3fs
from botocore.config import Config

import datastore as ds
from datastore.testing.servers import build


@dataclass
class Place:
    """One bucket or one branch, as `ds://` has it and as others have it.

    `bucket` and `folder` are for S3 (of lakeFS: its S3 gateway): an object is `bucket` / `folder` + key.
    """

    server: Any
    url: ds.DatasetURL
    bucket: str
    folder: str
    home: Path


def bucket_on(server, home: Path) -> Place:
    """A fresh bucket, mounted."""
    bucket = server.new_bucket()
    mount = ds.mount(
        "crossing", provider="minio" if server.kind == "minio" else "s3", **options_of(server), bucket=bucket
    )
    return Place(server, mount.url, bucket, "", home)


def branch_on(server, home: Path) -> Place:
    """A fresh repo's main branch, mounted."""
    repo = server.new_repo()
    ds.mount("crossing", provider="lakefs", **options_of(server), repo=repo)
    return Place(server, ds.url("ds://crossing@main/"), repo, "main/", home)


def options_of(server) -> dict[str, str]:
    """What any mount of a server says."""
    return {
        "endpoint": server.endpoint,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }


class Boto3:
    """boto3, of lakeFS through its S3 gateway."""

    def __init__(self, place: Place):
        self.place = place
        self.client = boto3.client(
            "s3",
            endpoint_url=place.server.endpoint,
            aws_access_key_id=place.server.access_key,
            aws_secret_access_key=place.server.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def at(self, key):
        return {"Bucket": self.place.bucket, "Key": self.place.folder + key}

    def read(self, key):
        return self.client.get_object(**self.at(key))["Body"].read()

    def write(self, key, data):
        self.client.put_object(**self.at(key), Body=data)

    def write_file(self, key, file: Path):
        self.client.upload_file(str(file), *self.at(key).values())  # in parts from 8 MiB on

    def content_type(self, key):
        return self.client.head_object(**self.at(key))["ContentType"]

    def metadata(self, key):
        """As a reader of mail would see it: boto3 shows the encoded words of RFC 2047 as they are."""
        found = self.client.head_object(**self.at(key))["Metadata"]
        return {name: str(make_header(decode_header(value))) for name, value in found.items()}


class S3FS:
    """s3fs, of lakeFS through its S3 gateway."""

    def __init__(self, place: Place):
        self.place = place
        self.fs = s3fs.S3FileSystem(
            key=place.server.access_key,
            secret=place.server.secret_key,
            endpoint_url=place.server.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            config_kwargs={"s3": {"addressing_style": "path"}},
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def at(self, key):
        return f"{self.place.bucket}/{self.place.folder}{key}"

    def read(self, key):
        return self.fs.cat_file(self.at(key))

    def write(self, key, data):
        self.fs.pipe_file(self.at(key), data)

    def write_file(self, key, file: Path):
        self.fs.put_file(str(file), self.at(key), chunksize=5 << 20)

    def content_type(self, key):
        return self.fs.info(self.at(key))["ContentType"]


class LakeFSSpec:
    """lakefs-spec, the other file system for lakeFS."""

    def __init__(self, place: Place):
        from lakefs_spec import LakeFSFileSystem

        self.place = place
        self.fs = LakeFSFileSystem(
            host=place.server.endpoint,
            username=place.server.access_key,
            password=place.server.secret_key,
            create_branch_ok=False,
            skip_instance_cache=True,
        )

    def at(self, key):
        return f"lakefs://{self.place.bucket}/{self.place.folder}{key}"

    def read(self, key):
        return self.fs.cat_file(self.at(key))

    def write(self, key, data):
        self.fs.pipe_file(self.at(key), data)

    def write_file(self, key, file: Path):
        self.fs.put_file(str(file), self.at(key))

    def content_type(self, key):
        return self.fs.info(self.at(key))["content-type"]


class Lakectl:
    """lakectl, the program that comes with lakeFS; in its URIs keys are quoted as in any URL."""

    def __init__(self, place: Place):
        self.place = place
        self.program = build("lakectl")

    def at(self, key):
        return f"lakefs://{self.place.bucket}/{self.place.folder}{quote(key)}"

    def run(self, *arguments, **how):
        environment = {
            "HOME": str(self.place.home),
            "LAKECTL_SERVER_ENDPOINT_URL": self.place.server.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": self.place.server.access_key,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": self.place.server.secret_key,
        }
        command = [self.program, "--no-color", *arguments]
        done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120, **how)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def read(self, key):
        return self.run("fs", "cat", self.presign, self.at(key))

    def write(self, key, data):
        self.run("fs", "upload", "--no-progress", self.presign, "--source", "-", self.at(key), input=data)

    def write_file(self, key, file: Path):
        self.run("fs", "upload", "--no-progress", self.presign, "--source", str(file), self.at(key))

    @property
    def presign(self):
        return f"--pre-sign={str(self.place.server.storage is not None).lower()}"


PEERS = {"boto3": Boto3, "s3fs": S3FS, "lakefs-spec": LakeFSSpec, "lakectl": Lakectl}
