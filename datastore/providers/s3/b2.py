"""Backblaze B2: S3 by the rules of its row in `presets`."""

from datastore.provider import Provider
from datastore.providers.s3.opening import Options, open_preset

__all__ = ["Options", "open_mount"]


def open_mount(options: Options) -> Provider:
    """Return the provider of a mount: of one bucket, or of all."""
    return open_preset("b2", options)
