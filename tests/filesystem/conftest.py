"""A place of its own for each test: a store, mounts in memory, a namespace without a past."""

import itertools

import pytest

import datastore as ds
from datastore import namespace
from datastore.fs.system import DatastoreFileSystem

_names = itertools.count()


@pytest.fixture(autouse=True)
def _own_place(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DATASTORE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    stores = [f"{name}: {{provider: memory, name: {name}-{next(_names)}}}" for name in ("mem", "other")]
    (folder / "datastore.yaml").write_text("mounts:\n  " + "\n  ".join(stores) + "\n")
    namespace.reset_current()
    yield
    namespace.reset_current()
    DatastoreFileSystem.clear_instance_cache()


@pytest.fixture
def fs():
    return DatastoreFileSystem()


@pytest.fixture
def mem():
    """The path of an empty mount in memory."""
    return "mem"


@pytest.fixture
def other():
    """The path of a second one."""
    return "other"


@pytest.fixture
def repo():
    return ds.create_repo("garments")


_SERVED = [pytest.param(name, marks=pytest.mark.servers) for name in ("s3", "lake")]


@pytest.fixture(params=["memory", "local", "embedded", *_SERVED])
def base(request, tmp_path):
    """The path of an empty mount of each kind."""
    if request.param == "memory":
        return request.getfixturevalue("mem")
    if request.param in ("s3", "lake"):
        return request.getfixturevalue(request.param)
    if request.param == "local":
        (tmp_path / "disk").mkdir()
        ds.mount("disk", "local", path=str(tmp_path / "disk"))
        return "disk"
    request.getfixturevalue("repo")
    return "garments@main"


@pytest.fixture
def counts(monkeypatch):
    """Count the calls of provider verbs from now on: `counts["head"]`."""
    from collections import Counter

    from datastore.embedded.branch import EmbeddedRef
    from datastore.providers.memory import MemoryProvider

    counter = Counter()
    for cls in (MemoryProvider, EmbeddedRef):
        for verb in ("head", "read", "list", "put", "writer", "delete", "copy", "link"):
            _count(monkeypatch, cls, verb, counter)
    return counter


def _count(monkeypatch, cls, verb, counter):
    original = getattr(cls, verb)

    def counted(self, *args, **kwargs):
        counter[verb] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cls, verb, counted)


@pytest.fixture
def cloud():
    """An S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    from datastore.testing.scripted_s3 import ScriptedS3

    with ScriptedS3() as server:
        keys = {"access_key_id": "key", "secret_access_key": "secret"}
        ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, region="us-east-1", **keys)
        yield server


@pytest.fixture
def s3(versitygw):
    """The path of an empty bucket on a real S3 server."""
    keys = {"access_key_id": versitygw.access_key, "secret_access_key": versitygw.secret_key}
    ds.mount("gate", "s3", bucket=versitygw.new_bucket(), endpoint=versitygw.endpoint, region=versitygw.region, **keys)
    return "gate"


@pytest.fixture
def lake(lakefs):
    """The path of an empty branch on a real lakeFS server."""
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    ds.mount("lake", "lakefs", repo=lakefs.new_repo(), endpoint=lakefs.endpoint, **keys)
    return "lake@main"


@pytest.fixture
def wrapped(monkeypatch):
    """Put a wrapper around the providers of the memory mounts: `wrapped(Wrapper)`."""
    from datastore.providers import memory

    original = memory.open_mount

    def wrap(wrapper):
        monkeypatch.setattr(memory, "open_mount", lambda options: wrapper(original(options)))
        namespace.reset_current()

    return wrap
