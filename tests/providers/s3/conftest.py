"""Both S3 servers, one after the other, for tests that are about every service."""

import pytest

from tests.providers.s3.sites import bucket_of

_SERVERS = [pytest.param(name, marks=pytest.mark.servers) for name in ("versitygw", "minio")]


@pytest.fixture(params=_SERVERS)
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def provider(server):
    """A fresh bucket, in which no upload may stay behind."""
    provider = bucket_of(server)
    yield provider
    assert provider.uploads() == []
