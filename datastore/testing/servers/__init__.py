"""Real servers to test against: lakeFS, versitygw, MinIO and toxiproxy, built from source and started on free ports."""

from datastore.testing.servers.building import build
from datastore.testing.servers.lakefs import LakeFSServer, start_lakefs
from datastore.testing.servers.s3 import S3Server, start_minio, start_versitygw
from datastore.testing.servers.server import Server
from datastore.testing.servers.toxiproxy import Proxy, Toxiproxy, start_toxiproxy

__all__ = [
    "LakeFSServer",
    "Proxy",
    "S3Server",
    "Server",
    "Toxiproxy",
    "build",
    "start_lakefs",
    "start_minio",
    "start_toxiproxy",
    "start_versitygw",
]
