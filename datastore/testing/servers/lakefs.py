"""A lakeFS server, over an S3 server of its own or over the local disk."""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from datastore.testing.servers.asking import ask
from datastore.testing.servers.building import build
from datastore.testing.servers.certificates import issue
from datastore.testing.servers.processes import Command, launch
from datastore.testing.servers.s3 import S3Server, start_versitygw
from datastore.testing.servers.server import Keys, Server, keys_in, prepared

__all__ = ["LakeFSServer", "start_lakefs"]

_BUCKET: Final = "lakefs"
_MARK: Final = "datastore_mark="


class LakeFSServer(Server, frozen=True, kw_only=True, eq=False):
    """A running lakeFS.

    Attributes:
        access_key: Of its administrator.
        secret_key: Of its administrator.
        storage: The S3 server that holds its objects, where presigned URLs lead; None if the local disk does.
    """

    access_key: str
    secret_key: str
    storage: S3Server | None

    def new_repo(self, name: str | None = None, *, default_branch: str = "main") -> str:
        """Make a repository, with a name that was never used if none is given; return its name."""
        made = name or f"repo-{secrets.token_hex(6)}"
        body = {"name": made, "storage_namespace": self.new_namespace(), "default_branch": default_branch}
        self.request("POST", "/repositories", body=body)
        return made

    def repos(self) -> list[str]:
        """Return the names of all repositories, a thousand at most."""
        return [repo["id"] for repo in self.request("GET", "/repositories?amount=1000")["results"]]

    def new_namespace(self) -> str:
        """Return a storage namespace that was never used, which every repository needs."""
        return f"{f's3://{_BUCKET}' if self.storage else 'local:/'}/{secrets.token_hex(8)}"

    def request(self, method: str, path: str, *, body: object = None) -> Any:
        """Call the API, and return the answer's JSON, or its text where it has none.

        Args:
            method: Of HTTP.
            path: Below `/api/v1`, with its query.
            body: To send as JSON, if any.

        Raises:
            Unavailable: The server says no.
        """
        keys = Keys(self.access_key, self.secret_key)
        return _request(method, self.endpoint, path, keys=keys, body=body, ca=self.ca_file)

    def calls(self) -> list[str]:
        """Return the operation ids of all API calls so far, such as `StatObject`, in the order in which they ended.

        Calls that lakeFS turns away before it knows their operation (bad JSON, no such path) are not among them.
        """
        mark = f"{_MARK}{secrets.token_hex(8)}"
        self.request("GET", f"/repositories?amount=1&{mark}")  # when this is in the log, what came before is, too
        ended: list[str] = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = _entry(line)
            if mark in entry.get("path", ""):
                break
            if entry.get("msg") == "HTTP call ended" and _MARK not in entry.get("path", ""):
                ended.append(entry.get("operation_id", ""))
        return ended

    def stop(self) -> None:
        """End the server, and its storage with it."""
        super().stop()
        if self.storage:
            self.storage.stop()


def start_lakefs(
    folder: Path,
    *,
    local: bool = False,
    honest: bool = False,
    tls: bool = False,
    presigned: Callable[[str], str] | None = None,
) -> LakeFSServer:
    """Start lakeFS with one administrator.

    Args:
        folder: For everything that it writes; made if missing. One that was used before is taken up again.
        local: Whether its objects are on the local disk, so that it cannot presign URLs; else they are on a versitygw.
        honest: Whether it waits 3 ms to batch reads of branches, as it does by default; tests are faster without.
        tls: Whether it speaks https.
        presigned: Makes, of the endpoint of its storage, the one that presigned URLs name: a proxy before it.

    Raises:
        NotFound: There is no Go to build it, or no trustme to make certificates.
        Unavailable: It cannot be built, or does not start.
    """
    folder = prepared(folder)
    keys = keys_in(folder)
    certificate = issue(folder / "certificates") if tls else None
    scheme, ca = ("https", certificate.authority) if certificate else ("http", None)
    variables = _variables(folder, keys=keys, honest=honest)
    if certificate:
        variables |= {"TLS_ENABLED": "true", "TLS_CERT_FILE": str(certificate.chain)}
        variables["TLS_KEY_FILE"] = str(certificate.key)
    binary = str(build("lakefs"))
    log = folder / "log"

    def answers(port: int) -> bool:
        _request("GET", f"{scheme}://127.0.0.1:{port}", "/user", keys=keys, ca=ca, greeting=True)
        return True  # and it is the right one: nobody else takes these keys

    storage = None if local else _storage(folder / "storage")
    variables |= _local_blocks(folder) if storage is None else _s3_blocks(storage, presigned)

    def command(port: int) -> Command:
        listen = {"LISTEN_ADDRESS": f"127.0.0.1:{port}"}
        return Command([binary, "run"], {f"LAKEFS_{name}": value for name, value in (variables | listen).items()})

    try:
        running = launch(command, answers, folder=folder, log=log, title="lakefs")
    except BaseException:
        if storage:
            storage.stop()
        raise
    return LakeFSServer(
        kind="lakefs",
        endpoint=f"{scheme}://127.0.0.1:{running.port}",
        folder=folder,
        log=log,
        ca_file=ca,
        running=running,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        storage=storage,
    )


def _storage(folder: Path) -> S3Server:
    storage = start_versitygw(folder)
    if _BUCKET not in storage.buckets():
        storage.new_bucket(_BUCKET)
    return storage


def _variables(folder: Path, *, keys: Keys, honest: bool) -> dict[str, str]:
    return {
        "DATABASE_TYPE": "local",
        "DATABASE_LOCAL_PATH": str(folder / "kv"),
        "DATABASE_LOCAL_SYNC_WRITES": "false",
        "COMMITTED_LOCAL_CACHE_DIR": str(folder / "cache"),
        "AUTH_ENCRYPT_SECRET_KEY": keys.secret_key,
        "INSTALLATION_USER_NAME": "admin",
        "INSTALLATION_ACCESS_KEY_ID": keys.access_key,
        "INSTALLATION_SECRET_ACCESS_KEY": keys.secret_key,
        "STATS_ENABLED": "false",
        "EMAIL_SUBSCRIPTION_ENABLED": "false",
        "UI_ENABLED": "false",
        "SECURITY_CHECK_LATEST_VERSION": "false",
        "SECURITY_AUDIT_CHECK_URL": "http://127.0.0.1:9",  # nobody is there; an empty one is taken for the default
        "LOGGING_FORMAT": "json",
        "LOGGING_AUDIT_LOG_LEVEL": "INFO",
    } | ({} if honest else {"GRAVELER_MAX_BATCH_DELAY": "0s"})


def _local_blocks(folder: Path) -> dict[str, str]:
    return {"BLOCKSTORE_TYPE": "local", "BLOCKSTORE_LOCAL_PATH": str(folder / "data")}


def _s3_blocks(storage: S3Server, presigned: Callable[[str], str] | None) -> dict[str, str]:
    options = {
        "ENDPOINT": storage.endpoint,
        "FORCE_PATH_STYLE": "true",
        "REGION": storage.region,
        "DISCOVER_BUCKET_REGION": "false",
        "CREDENTIALS_ACCESS_KEY_ID": storage.access_key,
        "CREDENTIALS_SECRET_ACCESS_KEY": storage.secret_key,
    } | ({} if presigned is None else {"PRE_SIGNED_ENDPOINT": presigned(storage.endpoint)})
    return {"BLOCKSTORE_TYPE": "s3"} | {f"BLOCKSTORE_S3_{name}": value for name, value in options.items()}


def _request(
    method: str,
    endpoint: str,
    path: str,
    *,
    keys: Keys,
    body: object = None,
    ca: Path | None = None,
    greeting: bool = False,
) -> Any:
    basic = b64encode(f"{keys.access_key}:{keys.secret_key}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    text = ask(method, f"{endpoint}/api/v1{path}", body=data, headers=headers, ca=ca, greeting=greeting).decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def _entry(line: str) -> Mapping[str, str]:
    """Return a line of the log; empty for its banner."""
    if not line.startswith("{"):
        return {}
    try:
        return cast("dict[str, str]", json.loads(line))
    except ValueError:  # half written
        return {}
