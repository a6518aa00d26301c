"""boto3 with the transfer manager of the AWS Common Runtime.

On a test server it cannot be measured: it drops the endpoint that the client was given (boto/boto3#4839), and where the
endpoint comes from the environment, its resolver takes the port for a part of the host's name.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import awscrt  # noqa: F401 - without it boto3 falls back silently, and would be measured twice
from boto3.s3.transfer import TransferConfig

from benchmarks.clients import with_boto3
from benchmarks.clients.with_boto3 import download, upload
from benchmarks.places import Place

__all__ = ["LABEL", "connect", "download", "upload"]

LABEL = "boto3 + CRT"


def connect(place: Place) -> Any:
    """Make a client whose transfers go by the CRT; it takes addressing and endpoint from its surroundings only."""
    config = Path(tempfile.mkdtemp()) / "config"
    config.write_text("[default]\ns3 =\n    addressing_style = path\n")
    os.environ["AWS_CONFIG_FILE"] = str(config)
    os.environ["AWS_ENDPOINT_URL_S3"] = place.endpoint
    client, bucket, _ = with_boto3.connect(place)
    return client, bucket, TransferConfig(preferred_transfer_client="crt")
