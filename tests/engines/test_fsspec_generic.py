"""`fsspec.generic`: copies between `ds://` and other schemes."""

import fsspec
import pytest
from fsspec.generic import GenericFileSystem, rsync

from tests.engines.helpers import change, committed

FILES = {"a.txt": b"1", "d/b.txt": b"22", "d/e/c.txt": b"333"}


@pytest.fixture
def elsewhere():
    """A folder of fsspec's own file system in memory."""
    memory = fsspec.filesystem("memory")
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture
def filled(base, fs):
    fs.pipe({f"{base}/x/{name}": data for name, data in FILES.items()})
    return base


def test_rsync_there_and_back(filled, fs, elsewhere):
    rsync(f"ds://{committed(filled)}/x", "memory://copy")
    assert {name: elsewhere.cat_file(f"/copy/{name}") for name in FILES} == FILES
    rsync("memory://copy", f"ds://{filled}/back")
    assert fs.cat(f"{filled}/back", recursive=True) == {f"{filled}/back/{name}": data for name, data in FILES.items()}


def test_rsync_brings_what_changed_and_deletes_if_told(filled, fs, elsewhere):
    rsync(f"ds://{filled}/x", "memory://copy")
    change(f"{filled}/x/a.txt", b"longer")
    fs.rm(f"{filled}/x/d/e/c.txt")
    rsync(f"ds://{filled}/x", "memory://copy", delete_missing=True)
    assert elsewhere.cat_file("/copy/a.txt") == b"longer"
    assert not elsewhere.exists("/copy/d/e/c.txt")


def test_rsync_between_two_of_ours(filled, fs, other):
    rsync(f"ds://{filled}/x", f"ds://{other}/y")
    assert fs.cat(f"{other}/y", recursive=True) == {f"{other}/y/{name}": data for name, data in FILES.items()}


def test_rsync_with_a_local_folder(filled, tmp_path):
    rsync(f"ds://{filled}/x", f"file://{tmp_path}/out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES


def test_copies(filled, fs, elsewhere):
    generic = GenericFileSystem()
    generic.copy(f"ds://{filled}/x/a.txt", "memory://a.txt")
    assert elsewhere.cat_file("/a.txt") == b"1"
    generic.copy("memory://a.txt", f"ds://{filled}/back.txt")
    assert fs.cat_file(f"{filled}/back.txt") == b"1"
    assert generic.cat_file(f"ds://{filled}/x/d/b.txt") == b"22"
    assert generic.info(f"ds://{filled}/x/d/b.txt")["size"] == 2
    assert len(generic.find(f"ds://{filled}/x")) == 3


def test_the_real_error_is_told(refused):
    with pytest.raises(PermissionError, match="the credentials have expired"):
        rsync(f"ds://{refused}/x", "memory://copy")
