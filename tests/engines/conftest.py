"""The places in which engines are tried: a branch of the embedded store, a bucket, a branch of lakeFS."""

# ruff: noqa: F811 - fixtures are asked for by the names under which they are imported

import pytest

from datastore.errors import Forbidden
from tests.filesystem.conftest import _own_place, counts, fs, lake, mem, other, repo, s3  # noqa: F401 - fixtures

_SERVED = [pytest.param(name, marks=pytest.mark.servers) for name in ("s3", "lake")]


@pytest.fixture(params=["branch", *_SERVED])
def base(request):
    """The path of an empty branch, or of a bucket: every kind of place that answers in its own way."""
    if request.param == "branch":
        request.getfixturevalue("repo")
        return "garments@main"
    return request.getfixturevalue(request.param)


@pytest.fixture
def url(base):
    return f"ds://{base}"


@pytest.fixture
def branch(repo):
    """The path of an empty branch in the embedded store."""
    return "garments@main"


@pytest.fixture
def refused(mem, monkeypatch):
    """The path of a mount whose objects nobody may read."""
    from datastore.providers.memory import MemoryProvider

    def refuse(self, *args, **options):
        raise Forbidden("the credentials have expired")

    for verb in ("head", "read", "list"):
        monkeypatch.setattr(MemoryProvider, verb, refuse)
    return mem
