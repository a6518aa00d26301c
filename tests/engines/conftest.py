"""The places in which engines are tried: a branch of the embedded store, a bucket, a branch of lakeFS."""

# ruff: noqa: F811 - fixtures are asked for by the names under which they are imported

import json
from pathlib import Path

import pytest

from datastore import namespace
from datastore.errors import Forbidden
from tests.crossing import peers
from tests.filesystem.conftest import _own_place, counts, fs, mem, other, repo  # noqa: F401 - fixtures

_SERVED = [pytest.param(name, marks=pytest.mark.servers) for name in ("versitygw", "lakefs")]


@pytest.fixture(params=["repo", *_SERVED])
def base(request):
    """The path of an empty branch or bucket, in a mount of a file: a session's secrets do not travel."""
    place = request.getfixturevalue(request.param)
    return "garments@main" if request.param == "repo" else _mounted(place)


@pytest.fixture
def s3(versitygw):
    """The path of an empty bucket."""
    return _mounted(versitygw)


def _mounted(server):
    versioned = server.kind == "lakefs"
    options = {"provider": "lakefs" if versioned else "s3", **peers.options_of(server)}
    options |= {"repo": server.new_repo()} if versioned else {"bucket": server.new_bucket()}
    with Path("datastore.yaml").open("a") as file:
        file.write(f"  data: {json.dumps(options)}\n")
    namespace.reset_current()
    return "data@main" if versioned else "data"


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
