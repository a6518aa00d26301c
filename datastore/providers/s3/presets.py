"""What each service that speaks S3 does in its own way: one row per service, and where its buckets are.

A row says only what is known. Where a comment says `unknown`, it holds what is safe: no conditional writes, so that
nobody relies on an atomicity that is not there, equal parts, plain Content-MD5. `datastore doctor` compares a row with
what an endpoint really does.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, Literal

from msgspec import Struct

from datastore.errors import ConfigError, nearest

__all__ = [
    "HTTP",
    "NEVER",
    "PRESETS",
    "Conditions",
    "Lifecycle",
    "Preset",
    "bucket_url",
    "endpoint_of",
    "is_aws",
    "preset_of",
]

MIB: Final = 2**20
GIB: Final = 2**30
TIB: Final = 2**40

Addressing = Literal["virtual", "path"]
Lifecycle = Literal["expire", "noncurrent", "markers", "abort"]


class Conditions(Struct, frozen=True):
    """The headers that make one verb conditional; None where the service does not keep the condition.

    Attributes:
        create: Takes `*`: only if the key is free.
        match: Takes an etag: only if that object is there.
    """

    create: str | None = None
    match: str | None = None


HTTP: Final = Conditions("if-none-match", "if-match")
NEVER: Final = Conditions()


class Preset(Struct, frozen=True, kw_only=True):
    """One service. Defaults are those of an endpoint of which nothing is known.

    Attributes:
        name: As the provider is called in a configuration.
        endpoint: Template with `{region}`, or `{account}` and `{jurisdiction}`; None: it has to be given.
        hosts: Pattern of the hosts that belong to it.
        region: What requests are signed for if no region is given; None: one has to be given.
        addressing: Whether the bucket is in the host or in the path of a URL.
        upload_check: Header that proves the body of an upload: `content-md5`, or a precomputed `x-amz-checksum-crc32`;
            never a trailer.
        put: Conditions of PutObject.
        complete: Conditions of CompleteMultipartUpload.
        copy: Conditions on the destination of CopyObject.
        equal_parts: Whether all parts but the last must be equally long, and the last one no longer.
        part_bytes: Least and greatest size of a part; the greatest is that of a single PUT and of a copied part, too.
        parts: How many.
        object_bytes: Size of the largest object.
        copy_bytes: Size of the largest object that CopyObject takes; larger ones are copied in parts.
        copies_across: Whether CopyObject from another bucket can be relied on.
        batch_delete: Whether it has DeleteObjects.
        metadata_bytes: What names and values of user metadata may come to.
        lifecycle: Which kinds of rules it keeps.
        versioning: Whether buckets can keep versions; None: unknown.
        encryption: Whether it takes the SSE headers (S3 and KMS; SSE-C: `customer_keys`).
        customer_keys: Whether it takes SSE-C.
        requester_pays: Whether it takes `x-amz-request-payer`.
        rewrite_seconds: Least time between two writes of one key.
    """

    name: str
    endpoint: str | None = None
    hosts: str = r"(?!)"
    region: str | None = "us-east-1"
    addressing: Addressing = "path"
    upload_check: Literal["content-md5", "x-amz-checksum-crc32"] = "content-md5"
    put: Conditions = NEVER
    complete: Conditions = NEVER
    copy: Conditions = NEVER
    equal_parts: bool = True
    part_bytes: tuple[int, int] = (5 * MIB, 5 * GIB)
    parts: int = 10_000
    object_bytes: int = 5 * TIB
    copy_bytes: int = 5 * GIB
    copies_across: bool = True
    batch_delete: bool = True
    metadata_bytes: int = 2048
    lifecycle: frozenset[Lifecycle] = frozenset()
    versioning: bool | None = None
    encryption: bool = False
    customer_keys: bool = False
    requester_pays: bool = False
    rewrite_seconds: float = 0.0

    def owns(self, host: str) -> bool:
        """Tell whether a host (without its port) is one of this service's."""
        return re.fullmatch(self.hosts, host.lower(), re.ASCII) is not None


_AWS: Final = Preset(
    name="s3",
    endpoint="https://s3.{region}.amazonaws.com",
    # Strict, because credentials go to what it matches: others have names below amazonaws.com, too.
    hosts=r"(?:[a-z0-9._-]+\.)?s3(?:-accelerate|-fips)?(?:\.dualstack)?(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?(?:\.vpce)?"
    r"\.amazonaws\.com(?:\.cn)?",
    addressing="virtual",
    upload_check="x-amz-checksum-crc32",  # facts/media.md §2.1: AWS keeps it with the object; §1.3: a plain header
    put=HTTP,  # facts/media.md §2.1: botocore model, and 409 ConditionalRequestConflict for a race
    complete=HTTP,  # facts/media.md §2.1
    # facts/media.md §2.1: the model takes conditions on the destination, the user guide says 501: not relied on
    copy=NEVER,
    equal_parts=False,
    object_bytes=48_800 * GIB,  # facts/media.md §2.1: 48.8 TiB
    lifecycle=frozenset({"expire", "noncurrent", "markers", "abort"}),
    versioning=True,
    encryption=True,
    customer_keys=True,
    requester_pays=True,
)

_R2: Final = Preset(
    name="r2",
    endpoint="https://{account}{jurisdiction}.r2.cloudflarestorage.com",  # facts/media.md §1.1
    hosts=r"(?:[a-z0-9.-]+\.)?r2\.cloudflarestorage\.com",
    region="auto",  # facts/media.md §1.1
    addressing="path",  # facts/media.md §1.4
    upload_check="content-md5",  # facts/media.md §1.3: accepted everywhere; trailers get 501
    put=HTTP,  # facts/media.md §1.2
    complete=NEVER,  # facts/media.md §1.2: not documented
    copy=Conditions("cf-copy-destination-if-none-match", "cf-copy-destination-if-match"),  # facts/media.md §1.2
    equal_parts=True,  # facts/media.md §1.1: 10048 otherwise
    part_bytes=(5 * MIB, 4_995 * GIB // 1000),  # facts/media.md §1.1: 4.995 GiB
    object_bytes=4_995 * TIB // 1000,  # facts/media.md §1.1
    copy_bytes=4_995 * GIB // 1000,
    metadata_bytes=8192,  # facts/media.md §1.1
    lifecycle=frozenset({"expire", "abort"}),  # facts/media.md §1.5
    versioning=False,  # facts/media.md §1.2
    customer_keys=True,  # facts/media.md §1.2
    rewrite_seconds=1.0,  # facts/media.md §1.1: 429 TooManyRequests (10058)
)

_MINIO: Final = Preset(
    name="minio",
    addressing="path",
    upload_check="x-amz-checksum-crc32",  # a real one checks it, over plain http too: tests/providers/s3
    put=HTTP,  # facts/media.md §2.2
    complete=HTTP,  # tests/providers/s3/test_probing.py asks a real one
    equal_parts=False,
    lifecycle=frozenset({"expire", "noncurrent", "markers"}),  # facts/media.md §7
    versioning=True,
    customer_keys=False,  # over TLS only
)

_HETZNER: Final = Preset(
    name="hetzner",
    endpoint="https://{region}.your-objectstorage.com",
    hosts=r"(?:[a-z0-9.-]+\.)?[a-z0-9-]+\.your-objectstorage\.com",
    region=None,  # fsn1, nbg1, hel1: a bucket is in one of them
    # Ceph behind it; two public notes of 2026 say that conditions are not kept: conservative
    copies_across=False,  # Hetzner, list of supported actions: "may fail, even if the buckets are in the same location"
    lifecycle=frozenset({"expire", "noncurrent", "abort"}),  # the same list: of noncurrent rules only NoncurrentDays
    versioning=True,
    customer_keys=True,  # the same list: SSE-C only
)

_B2: Final = Preset(
    name="b2",
    endpoint="https://s3.{region}.backblazeb2.com",
    hosts=r"(?:.+\.)?s3\.[a-z0-9-]+\.backblazeb2\.com",
    region=None,  # us-west-004, eu-central-003, …: part of the endpoint that B2 shows
    # conditions: 501 NotImplemented (obsidian-s3-sync#78 and #84, 2026)
    versioning=True,  # always on: a delete hides
    customer_keys=True,
)

_WASABI: Final = Preset(
    name="wasabi",
    endpoint="https://s3.{region}.wasabisys.com",  # Wasabi, service URLs (2026-03)
    hosts=r"(?:.+\.)?s3(?:\.[a-z0-9-]+)?\.wasabisys\.com",
    # conditions, lifecycle: unknown
    versioning=True,
)

_SPACES: Final = Preset(
    name="spaces",
    endpoint="https://{region}.digitaloceanspaces.com",
    hosts=r"(?:[a-z0-9.-]+\.)?[a-z0-9-]+\.digitaloceanspaces\.com",
    region=None,  # nyc3, fra1, …
    # conditions: a public note of 2026 says that they are not kept
    copies_across=False,  # Spaces, S3 compatibility: not across regions and clusters
    lifecycle=frozenset({"expire", "abort"}),  # Spaces, S3 compatibility
    versioning=True,
    customer_keys=True,
)

_TIGRIS: Final = Preset(
    name="tigris",
    endpoint="https://t3.storage.dev",
    hosts=r"(?:[a-z0-9.-]+\.)?(?:t3\.storage\.dev|fly\.storage\.tigris\.dev)",
    region="auto",
    addressing="virtual",
    put=HTTP,  # Tigris, conditional operations; strong in single- and multi-region buckets
    # conditions of complete and copy, lifecycle: unknown
)

# Conditions of Ceph's gateway hold for PutObject without versions, for parts from Tentacle on (ceph#64830): which
# release answers cannot be seen, so that none is relied on.
_CEPH: Final = Preset(name="ceph", lifecycle=frozenset({"expire", "noncurrent", "abort"}), versioning=True)

_CUSTOM: Final = Preset(name="custom")

PRESETS: Final[Mapping[str, Preset]] = {
    row.name: row for row in (_AWS, _R2, _MINIO, _HETZNER, _B2, _WASABI, _SPACES, _TIGRIS, _CEPH, _CUSTOM)
}
"""The rows by name; `custom` is an endpoint of which nothing is known."""

_REGION: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_JURISDICTIONS: Final = ("eu", "fedramp")
_ENDPOINT: Final = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[^\s?#\\@]*)?", re.ASCII)
_IN_HOST: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)


def preset_of(name: str, *, endpoint: str | None = None) -> Preset:
    """Return the row for a provider; that of `s3` with an endpoint of its own goes by the endpoint's host.

    >>> preset_of("s3").name, preset_of("s3", endpoint="https://s3.eu-west-2.wasabisys.com").name
    ('s3', 'wasabi')
    >>> preset_of("s3", endpoint="http://127.0.0.1:7070").name
    'custom'
    """
    if name != "s3" or endpoint is None:
        return PRESETS[name]
    host = _parts(endpoint)[1]
    return next((row for row in PRESETS.values() if row.owns(host)), _CUSTOM)


def is_aws(endpoint: str) -> bool:
    """Tell whether an endpoint is AWS's own, over TLS."""
    scheme, host, _ = _parts(endpoint)
    return scheme == "https" and _AWS.owns(host)


def endpoint_of(
    preset: Preset,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    account: str | None = None,
    jurisdiction: str | None = None,
) -> str:
    """Return the address of the service, without a slash at its end.

    Args:
        preset: The row.
        endpoint: Address that was configured; it counts before everything else.
        region: Region that was configured.
        account: Id of an R2 account.
        jurisdiction: Of an R2 bucket: `eu` or `fedramp`; None for none.

    Raises:
        ConfigError: Something is missing, or is not what it has to be; nothing else can get into the host.

    >>> endpoint_of(PRESETS["s3"], region="eu-central-1")
    'https://s3.eu-central-1.amazonaws.com'
    >>> endpoint_of(PRESETS["r2"], account="0" * 32, jurisdiction="eu")
    'https://00000000000000000000000000000000.eu.r2.cloudflarestorage.com'
    """
    if endpoint is not None:
        scheme, host, rest = _parts(endpoint)
        return f"{scheme}://{host}{rest}".rstrip("/")
    if preset.endpoint is None:
        raise ConfigError(
            f"provider {preset.name!r} needs the option 'endpoint'", hint="endpoint: https://host:port of the server"
        )
    if "{account}" in preset.endpoint:
        return preset.endpoint.format(account=_account(account), jurisdiction=_jurisdiction(jurisdiction))
    place = region or preset.region
    if place is None:
        raise ConfigError(f"provider {preset.name!r} needs the option 'region'", hint="it is part of the endpoint")
    china = preset is _AWS and place.startswith("cn-")
    made = preset.endpoint.format(region=place) + (".cn" if china else "")
    if not _REGION.fullmatch(place) or not preset.owns(made.partition("://")[2]):
        raise ConfigError(f"region {place[:80]!r} is no region", hint="such as eu-central-1")
    return made


def bucket_url(endpoint: str, bucket: str, *, addressing: Addressing) -> str:
    """Return the address of a bucket, without a slash at its end.

    A name that cannot be part of a host under a wildcard certificate (dots, capitals), and an endpoint that is a bare
    address, take the path.

    >>> bucket_url("https://s3.eu-central-1.amazonaws.com", "raw", addressing="virtual")
    'https://raw.s3.eu-central-1.amazonaws.com'
    >>> bucket_url("http://127.0.0.1:9000", "raw", addressing="virtual")
    'http://127.0.0.1:9000/raw'
    """
    scheme, host, rest = _parts(endpoint)
    plain = _IN_HOST.fullmatch(bucket) and "." in host and not _is_address(host)
    if addressing == "virtual" and plain:
        return f"{scheme}://{bucket}.{host}{rest}".rstrip("/")
    return f"{scheme}://{host}{rest}".rstrip("/") + f"/{bucket}"


def _parts(endpoint: str) -> tuple[str, str, str]:
    """Return scheme, host and what follows it."""
    match = _ENDPOINT.fullmatch(endpoint.strip())
    if match is None:
        raise ConfigError("the endpoint is no http(s) address", hint="endpoint: https://s3.example.com")
    scheme, host, port, path = match.groups()
    return scheme, host.lower(), (port or "") + (path or "")


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _account(account: str | None) -> str:
    if account is None:
        raise ConfigError("provider 'r2' needs the option 'account_id'", hint="or set R2_ACCOUNT_ID")
    if not _ACCOUNT.fullmatch(account):
        raise ConfigError("option 'account_id' is not 32 hexadecimal digits", hint="Cloudflare's dashboard shows it")
    return account


def _jurisdiction(jurisdiction: str | None) -> str:
    if jurisdiction is None:
        return ""
    if jurisdiction not in _JURISDICTIONS:
        raise ConfigError(
            f"R2 has no jurisdiction {jurisdiction[:80]!r}",
            hint=nearest(jurisdiction, _JURISDICTIONS, what="jurisdictions"),
        )
    return f".{jurisdiction}"
