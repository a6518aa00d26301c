"""How a service is asked to encrypt what it keeps, with keys of its own or with the customer's."""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from datastore.calls import Authorize, HttpRequest, HttpResponse, Signed
from datastore.errors import ConfigError
from datastore.providers.s3.presets import Preset
from datastore.secret import Secret

__all__ = ["Encryption", "encryption_of"]


class Encryption(Struct, frozen=True):
    """What a mount wants.

    Attributes:
        algorithm: `AES256` or `aws:kms` with keys of the service; None for the customer's key.
        key_id: Which key of KMS; None for its default.
        customer_key: 32 bytes as base64, which go with each request about an object; the service does not keep them.
    """

    algorithm: Literal["AES256", "aws:kms"] | None = None
    key_id: str | None = None
    customer_key: Secret | None = None

    def writing(self) -> Mapping[str, str]:
        """Return the headers of whatever makes an object, without secrets."""
        if self.algorithm is None:
            return {}
        headers = {"x-amz-server-side-encryption": self.algorithm}
        if self.key_id is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self.key_id
        return headers

    def sealing(self, authorize: Authorize) -> Authorize:
        """Return what also hands over the customer's key, when a request is on its way."""
        return authorize if self.customer_key is None else _Sealing(authorize, self.customer_key)


class _Sealing:
    """Adds the customer's key to what is signed: no request shows it before."""

    def __init__(self, authorize: Authorize, key: Secret) -> None:
        self._authorize = authorize
        self._key = key

    def __call__(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:
        headers = {**request.headers, **_key_headers(self._key, "x-amz-server-side-encryption-customer-")}
        if "x-amz-copy-source" in headers:
            headers |= _key_headers(self._key, "x-amz-copy-source-server-side-encryption-customer-")
        return self._authorize(structs.replace(request, headers=headers), previous)


def _key_headers(key: Secret, prefix: str) -> dict[str, str]:
    text = key.reveal()
    md5 = hashlib.md5(b64decode(text), usedforsecurity=False).digest()
    return {f"{prefix}algorithm": "AES256", f"{prefix}key": text, f"{prefix}key-md5": b64encode(md5).decode()}


def encryption_of(
    preset: Preset, *, sse: str | None, key_id: str | None, customer_key: Secret | None
) -> Encryption | None:
    """Return what the options of a mount ask for, None for nothing; raise `ConfigError` if that cannot be had."""
    if customer_key is not None:
        return _with_customer_key(preset, customer_key, alone=sse is None and key_id is None)
    if sse is None:
        if key_id is not None:
            raise ConfigError("option 'sse_kms_key_id' means nothing without sse", hint="sse: aws:kms")
        return None
    if sse not in {"AES256", "aws:kms"}:
        raise ConfigError(f"option 'sse' cannot be {sse[:40]!r}", hint="AES256 or aws:kms")
    if key_id is not None and sse != "aws:kms":
        raise ConfigError("option 'sse_kms_key_id' goes with sse: aws:kms", hint="leave it out")
    if not preset.encryption:
        raise ConfigError(
            f"provider {preset.name!r} takes no option 'sse'", hint="it encrypts by itself, or not at all"
        )
    return Encryption("AES256" if sse == "AES256" else "aws:kms", key_id)


def _with_customer_key(preset: Preset, key: Secret, *, alone: bool) -> Encryption:
    if not alone:
        raise ConfigError("options 'sse' and 'sse_customer_key' contradict each other", hint="keep one of them")
    if not preset.customer_keys:
        raise ConfigError(f"provider {preset.name!r} takes no option 'sse_customer_key'", hint="leave it out")
    try:
        size = len(b64decode(key.reveal(), validate=True))
    except ValueError:
        size = 0
    if size != 32:
        raise ConfigError("option 'sse_customer_key' is not 32 bytes in base64", hint="openssl rand -base64 32")
    return Encryption(customer_key=key)
