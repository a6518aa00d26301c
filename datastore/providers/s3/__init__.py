"""The provider for S3 and what speaks it: AWS, Cloudflare R2, MinIO, Hetzner, B2, Wasabi, Spaces, Tigris, Ceph.

Each verb becomes a signed request (`objects`, `bucket`, `account`), which the engine carries out; `refusals` has what a
service may answer instead, `presets` what each does in its own way.
"""

from datastore.provider import Provider
from datastore.providers.s3.opening import Options, open_preset

__all__ = ["Options", "open_mount"]


def open_mount(options: Options) -> Provider:
    """Return the provider of a mount: of one bucket, or of all."""
    return open_preset("s3", options)
