"""The trust rule: a configuration file that came with a project does not decide where the user's credentials go."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from datastore.config import Mount, load_file, user_config_dir
from datastore.configfile import fits_endpoint, is_address
from datastore.configlakectl import lakectl
from datastore.errors import ConfigError, UntrustedConfig
from datastore.secret import Secret, is_secret_name, leaves

__all__ = ["check_trust", "endpoints_in_doubt", "fingerprint", "trust"]

_TRUST_FILE: Final = "trusted.json"
# Where the credentials that lie around on this machine were meant to go, by provider; everything else speaks S3.
_AMBIENT: Final[Mapping[str, tuple[str, ...]]] = {"lakefs": (), "r2": ()}
_AMBIENT_S3: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
# Sets that leave nothing for a provider to look up elsewhere.
_COMPLETE: Final = (
    {"access_key_id", "secret_access_key"},
    {"access_key", "secret_key"},
    {"username", "password"},
    {"account_key"},
    {"connection_string"},
    {"sas_token"},
    {"token"},
)
_PLAIN_URL = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#][^\s\\]*)?", re.ASCII)
_PORTS: Final = {"http": "80", "https": "443"}


def endpoints_in_doubt(mount: Mount, environ: Mapping[str, str]) -> list[str]:
    """Return the endpoints that a project's file pairs with credentials which are not its own, as they may be shown.

    Empty if the mount needs no trust: its file is the user's own, it names no endpoint, its endpoints are the ones that
    the ambient credentials were configured for, or the file carries a complete set of credentials itself or wants none.
    """
    if not mount.project or _brings_its_own(mount):
        return []
    names = _AMBIENT.get(mount.provider, _AMBIENT_S3)
    places = [environ.get(name, "") for name in names]
    if mount.provider == "lakefs":
        places.append(lakectl(environ=environ).endpoint)
    ambient = {origin for place in places if (origin := _origin(place)) is not None}
    return sorted({_shown(url) for url in _endpoints(mount).values() if _origin(url) not in ambient})


def fingerprint(mount: Mount) -> str:
    """Return the digest of what the user approves: provider, hosts, variables that are filled in; never a secret."""
    approved = {
        "provider": mount.provider,
        "endpoints": {name: _origin(url) or _shown(url) for name, url in _endpoints(mount).items()},
        "variables": {name: sorted(names) for name, names in mount.variables.items()},
    }
    return hashlib.sha256(json.dumps(approved, sort_keys=True).encode()).hexdigest()


def check_trust(mount: Mount, *, environ: Mapping[str, str] | None = None) -> None:
    """Raise `UntrustedConfig` if opening this mount would send credentials where the user did not approve."""
    doubtful = endpoints_in_doubt(mount, os.environ if environ is None else environ)
    if not doubtful or _read_trust().get(_name(mount.source), {}).get(mount.name) == fingerprint(mount):
        return
    raise UntrustedConfig(
        f"{mount.source}: mount {mount.name!r} would send your credentials to {', '.join(doubtful)}",
        hint="this file came with the project; if you know that host, run: datastore trust",
    )


def trust(path: Path, *, environ: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Approve the endpoints that a project's file names, as they are now; returns them by mount.

    The approval is kept in the user's config folder. An endpoint that is edited later needs a new one.

    Raises:
        ConfigError: The file is wrong, or the approval cannot be written.
    """
    environ = os.environ if environ is None else environ
    file = Path(os.path.abspath(path))  # noqa: PTH100 - the name that discovery gives, links unresolved
    mounts = load_file(file, project=True, environ=environ).mounts.values()
    doubtful = {mount.name: hosts for mount in mounts if (hosts := endpoints_in_doubt(mount, environ))}
    record = _read_trust()
    record[_name(file)] = {mount.name: fingerprint(mount) for mount in mounts if mount.name in doubtful}
    _write_trust(record)
    return doubtful


def _name(path: str | Path) -> str:
    return os.path.realpath(path)


def _endpoints(mount: Mount) -> dict[str, str]:
    """The addresses that the file gives; what a `DATASTORE__…` variable sets is the user's own choice."""
    texts = ((name, value.reveal() if isinstance(value, Secret) else value) for name, value in leaves(mount.options))
    return {
        name: text
        for name, text in texts
        if isinstance(text, str) and is_address(name, text) and name not in mount.overrides
    }


def _brings_its_own(mount: Mount) -> bool:
    secrets = {name for name, value in leaves(mount.options) if isinstance(value, Secret)}
    names = {name.rpartition(".")[2].lower().replace("-", "_") for name in secrets}
    outside = secrets & (mount.variables.keys() | mount.overrides.keys())
    # Whatever else is filled in goes to the endpoint, too: as a bucket, a prefix, a header.
    harmless = all(fits_endpoint(name) and not is_secret_name(name) for name in _all(mount.variables.values()))
    enough = any(complete <= names for complete in _COMPLETE) or mount.options.get("anonymous") is True
    return not outside and harmless and enough


def _all(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return [name for group in groups for name in group]


def _origin(url: str) -> str | None:
    """Return scheme, host and port of a plain address; None for anything that two parsers might read in two ways."""
    match = _PLAIN_URL.fullmatch(url.strip().lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    return f"{scheme}://{host}:{port or _PORTS[scheme]}"


def _shown(url: str) -> str:
    """Return host and port of an address, without anything that could be a secret."""
    place = re.split(r"[/?#\\]", url.rpartition("://")[2], maxsplit=1)[0]
    return place.rpartition("@")[2] or "an unreadable address"


def _read_trust() -> dict[str, dict[str, str]]:
    file = user_config_dir() / _TRUST_FILE
    try:
        record: object = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} cannot be read ({type(error).__name__})", hint="delete it and run: datastore trust"
        ) from None
    if not isinstance(record, dict):
        raise ConfigError(f"{file} does not hold approvals", hint="delete it and run: datastore trust")
    entries = cast("dict[str, object]", record).items()
    return {path: cast("dict[str, str]", mounts) for path, mounts in entries if isinstance(mounts, dict)}


def _write_trust(record: Mapping[str, Mapping[str, str]]) -> None:
    folder = user_config_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=_TRUST_FILE)  # mkstemp makes it 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(record, out, indent=1, sort_keys=True)
        Path(name).replace(folder / _TRUST_FILE)
    except OSError as error:
        raise ConfigError(f"the approval cannot be written to {folder}: {error.strerror}") from None
