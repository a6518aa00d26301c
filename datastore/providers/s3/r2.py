"""Cloudflare R2: S3 by the rules of its row in `presets`, with an account for an endpoint."""

from datastore.provider import Provider
from datastore.providers.s3.opening import R2Options as Options
from datastore.providers.s3.opening import open_preset

__all__ = ["Options", "open_mount"]


def open_mount(options: Options) -> Provider:
    """Return the provider of a mount: of one bucket, or of all."""
    return open_preset("r2", options)
