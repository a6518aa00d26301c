"""From the options of a mount to its provider; nothing is asked for yet."""

from typing import Literal

from msgspec import Struct

from datastore.configaws import aws_environment, aws_region, r2_environment
from datastore.errors import ConfigError
from datastore.provider import Provider
from datastore.providers.s3.account import S3Account, check_bucket
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.credentials import credential_source
from datastore.providers.s3.encryption import encryption_of
from datastore.providers.s3.presets import Preset, endpoint_of, preset_of
from datastore.providers.s3.site import Site
from datastore.secret import Secret

__all__ = ["Options", "R2Options", "open_preset"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mount may say.

    Attributes:
        bucket: Which bucket; without one, all of them are there, and keys begin with the bucket's name.
        prefix: Folder in the bucket that is the mount's root.
        endpoint: Address of the service, `https://host:port`, where it does not follow from provider and region.
        region: Region of the bucket.
        profile: Profile of AWS's tools, whose credentials are used.
        role_arn: Role to assume.
        access_key_id: Name of a key, instead of what the machine has.
        secret_access_key: Its secret.
        session_token: Goes along with temporary keys.
        anonymous: Whether requests are not signed, for public buckets.
        requester_pays: Whether you pay for what you read from a bucket of others.
        addressing: `virtual` (bucket in the host) or `path`, where it is not as the provider usually has it.
        sse: `AES256` or `aws:kms`: how the service is to encrypt what is written.
        sse_kms_key_id: Which key of KMS.
        sse_customer_key: A key of your own, 32 bytes in base64, for everything written and read.
        public_url: Where the objects can be read by everybody, such as a CDN in front of the bucket.
    """

    bucket: str | None = None
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    anonymous: bool = False
    requester_pays: bool = False
    addressing: Literal["virtual", "path"] | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    sse_customer_key: Secret | None = None
    public_url: str | None = None


class R2Options(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mount of Cloudflare R2 may say besides.

    Attributes:
        account_id: 32 hex digits; else `R2_ACCOUNT_ID`.
        jurisdiction: `eu` or `fedramp`, of a bucket that is bound to one.
    """

    account_id: str | None = None
    jurisdiction: str | None = None


def open_preset(name: str, options: Options) -> Provider:
    """Return the provider of a mount.

    Args:
        name: Of the provider: `s3` or one that narrows it.
        options: What the mount says.

    Raises:
        ConfigError: Options are missing, contradict each other, or mean nothing to this service.
    """
    endpoint = options.endpoint or (aws_environment().endpoint if name == "s3" else "") or None
    preset = preset_of(name, endpoint=endpoint)
    address = _address(preset, endpoint, options)
    region = _region(preset, options)
    source = credential_source(
        preset,
        address,
        named=options.endpoint is not None,
        region=region,
        access_key_id=options.access_key_id,
        secret_access_key=options.secret_access_key,
        session_token=options.session_token,
        anonymous=options.anonymous,
        profile=options.profile,
        role_arn=options.role_arn,
    )
    if options.sse_customer_key is not None and not address.startswith("https://"):
        raise ConfigError("option 'sse_customer_key' would be sent in the clear", hint="use an https endpoint")
    if options.requester_pays and not preset.requester_pays:
        raise ConfigError(f"provider {preset.name!r} takes no option 'requester_pays'", hint="leave it out")
    site = Site(
        preset=preset,
        endpoint=address,
        authorizer=S3Authorizer(source, region=region),
        addressing=options.addressing or preset.addressing,
        requester_pays=options.requester_pays,
        encryption=encryption_of(
            preset, sse=options.sse, key_id=options.sse_kms_key_id, customer_key=options.sse_customer_key
        ),
    )
    if options.bucket is None:
        if options.prefix or options.public_url:
            named = "prefix" if options.prefix else "public_url"
            raise ConfigError(f"option {named!r} means nothing without a bucket", hint="give the mount its bucket")
        return S3Account(site)
    bucket = _bucket(options.bucket)
    return S3Provider(site, bucket, prefix=_prefix(options.prefix), public_url=options.public_url)


def _address(preset: Preset, endpoint: str | None, options: Options) -> str:
    if isinstance(options, R2Options):
        account = options.account_id or r2_environment().account_id or None
        return endpoint_of(preset, endpoint=endpoint, account=account, jurisdiction=options.jurisdiction)
    return endpoint_of(
        preset, endpoint=endpoint, region=_region(preset, options) if preset.name == "s3" else options.region
    )


def _region(preset: Preset, options: Options) -> str:
    if options.region:
        return options.region
    known = None
    if preset.name in {"s3", "custom"}:
        known = aws_region(options.profile)
    return known or preset.region or "us-east-1"


def _bucket(name: str) -> str:
    if not check_bucket(name):
        raise ConfigError(f"option 'bucket' is no bucket's name: {name[:80]!r}", hint="a folder in it goes to 'prefix'")
    return name


def _prefix(text: str) -> str:
    prefix = text if not text or text.endswith("/") else f"{text}/"
    if any(segment in {"", ".", ".."} for segment in prefix.split("/")[:-1]):
        raise ConfigError(f"option 'prefix' is no folder: {text[:80]!r}", hint="such as 2026/raw/")
    return prefix
