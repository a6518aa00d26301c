"""Servers that speak S3: versitygw, whose objects are files of a folder, and MinIO."""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from datastore.testing.servers.asking import ask
from datastore.testing.servers.building import build
from datastore.testing.servers.certificates import Certificate, issue
from datastore.testing.servers.processes import Command, launch
from datastore.testing.servers.server import Keys, Server, keys_in, prepared

__all__ = ["S3Server", "start_minio", "start_versitygw"]

_REGION = "us-east-1"


class S3Server(Server, frozen=True, kw_only=True, eq=False):
    """A running S3 server.

    Attributes:
        access_key: Of its root user.
        secret_key: Of its root user.
        region: To sign for.
    """

    access_key: str
    secret_key: str
    region: ClassVar[str] = _REGION

    def new_bucket(self, name: str | None = None) -> str:
        """Make a bucket, with a name that was never used if none is given; return its name."""
        made = name or f"bucket-{secrets.token_hex(6)}"
        self.request("PUT", f"/{made}")
        return made

    def buckets(self) -> list[str]:
        """Return the names of all buckets."""
        return re.findall(r"<Name>([^<]+)</Name>", self.request("GET", "/").decode())

    def request(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """Send a signed request, and return the body of the answer.

        Args:
            method: Of HTTP.
            path: With its query: `/bucket?versioning`.
            body: To send.
            headers: To send.

        Raises:
            Unavailable: The server says no.
        """
        keys = Keys(self.access_key, self.secret_key)
        return _request(method, self.endpoint + path, keys=keys, body=body, headers=headers, ca=self.ca_file)


def start_versitygw(folder: Path, *, tls: bool = False, versioning: bool = False) -> S3Server:
    """Start versitygw over a folder: its buckets are the folders in `folder/data`.

    Args:
        folder: For everything that it writes; made if missing. One that was used before is taken up again.
        tls: Whether it speaks https.
        versioning: Whether its buckets can be versioned.

    Raises:
        NotFound: There is no Go to build it, or no trustme to make certificates.
        Unavailable: It cannot be built, or does not start.
    """
    folder = prepared(folder)
    keys, data = keys_in(folder), _made(folder / "data")
    backend: list[str] = []
    if not _keeps_attributes(folder):
        backend += ["--sidecar", _made(folder / "attributes")]
    if versioning:
        backend += ["--versioning-dir", _made(folder / "versions")]
    certificate = issue(folder / "certificates") if tls else None
    secure = ["--cert", str(certificate.chain), "--key", str(certificate.key)] if certificate else []
    binary = str(build("versitygw"))

    def command(port: int) -> Command:
        own = ["--port", f"127.0.0.1:{port}", "--region", _REGION, "--keep-alive", "--quiet", *secure]
        variables = {"ROOT_ACCESS_KEY": keys.access_key, "ROOT_SECRET_KEY": keys.secret_key}
        return Command([binary, *own, "posix", *backend, data], variables)

    return _started("versitygw", command, folder=folder, keys=keys, certificate=certificate)


def start_minio(folder: Path, *, tls: bool = False) -> S3Server:
    """Start MinIO over a folder. Its buckets can be versioned.

    Args:
        folder: For everything that it writes; made if missing. One that was used before is taken up again.
        tls: Whether it speaks https.

    Raises:
        NotFound: There is no Go to build it, or no trustme to make certificates.
        Unavailable: It cannot be built, or does not start.
    """
    folder = prepared(folder)
    keys, data = keys_in(folder), _made(folder / "data")
    certificate = issue(folder / "certificates") if tls else None
    secure = ["--certs-dir", str(certificate.chain.parent)] if certificate else []
    binary = str(build("minio"))

    def command(port: int) -> Command:
        variables = {
            "MINIO_ROOT_USER": keys.access_key,
            "MINIO_ROOT_PASSWORD": keys.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",  # it would ask the internet for news
            "MINIO_REGION": _REGION,
        }
        return Command([binary, "server", data, "--address", f"127.0.0.1:{port}", *secure], variables)

    return _started("minio", command, folder=folder, keys=keys, certificate=certificate)


def _made(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    return str(folder)


def _started(
    kind: str, command: Callable[[int], Command], *, folder: Path, keys: Keys, certificate: Certificate | None
) -> S3Server:
    scheme, ca = ("https", certificate.authority) if certificate else ("http", None)
    log = folder / "log"

    def answers(port: int) -> bool:
        _request("GET", f"{scheme}://127.0.0.1:{port}/", keys=keys, ca=ca, greeting=True)
        return True  # and it is the right one: nobody else takes these keys

    running = launch(command, answers, folder=folder, log=log, title=kind)
    return S3Server(
        kind=kind,
        endpoint=f"{scheme}://127.0.0.1:{running.port}",
        folder=folder,
        log=log,
        ca_file=ca,
        running=running,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
    )


def _request(
    method: str,
    url: str,
    *,
    keys: Keys,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    ca: Path | None = None,
    greeting: bool = False,
) -> bytes:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    S3SigV4Auth(Credentials(keys.access_key, keys.secret_key), "s3", _REGION).add_auth(request)
    return ask(method, url, body=body or None, headers=dict(request.headers.items()), ca=ca, greeting=greeting)


def _keeps_attributes(folder: Path) -> bool:
    """Tell whether a folder's disk keeps extended attributes, where versitygw puts what it knows of an object."""
    if not hasattr(os, "setxattr"):
        return True  # macOS, where the usual disks do and Python cannot look
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    finally:
        probe.unlink()
    return True
