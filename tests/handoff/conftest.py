"""The places that engines read from: the embedded store, a folder, a bucket, a branch of lakeFS."""

import datasets
import pytest

import datastore as ds
from tests.places import alone

_SERVED = [pytest.param(name, marks=pytest.mark.servers) for name in ("versitygw", "lakefs")]


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """The folder in which the test works; its cache is `home / "cache"`."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HF_DATASETS_CACHE", "DOWNLOADED_DATASETS_PATH", "EXTRACTED_DATASETS_PATH", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, name, folder / "hf" / name)
    datasets.disable_progress_bars()
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def main():
    """The branch of a new repo in the embedded store."""
    return ds.create_repo("garments").branch("main")


def mounted(server):
    """Mount a fresh bucket or repo of a server as "served"; return the URL of what is empty there."""
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "endpoint": server.endpoint}
    if server.kind == "lakefs":
        ds.mount("served", "lakefs", repo=server.new_repo(), **keys)
        return ds.url("ds://served@main/")
    return ds.mount("served", "s3", bucket=server.new_bucket(), region=server.region, **keys).url


@pytest.fixture(params=["embedded", "local", *_SERVED])
def root(request, home):
    """The URL of an empty place of each kind."""
    if request.param == "embedded":
        return request.getfixturevalue("main") / ""
    if request.param == "local":
        (home / "disk").mkdir()
        return ds.mount("disk", "local", path=str(home / "disk")).url
    return mounted(request.getfixturevalue(request.param))


@pytest.fixture(params=["as it is", "too large to be copied"])
def size(request, monkeypatch):
    """Whether copies are small enough to be made."""
    if request.param != "as it is":
        from datastore.handoff import choosing

        monkeypatch.setattr(choosing, "LOCAL", -1)
        monkeypatch.setattr(choosing, "REMOTE", -1)
    return request.param
