"""A disk that is really full: a small tmpfs."""

import contextlib
import os
import subprocess
from datetime import timedelta

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.errors import Unavailable
from datastore.testing.versioning_tools import contents, request, save, staged

SIZE = 6 << 20


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if hasattr(os, "geteuid") and os.geteuid() == 0
        else None
    )
    if done is None or done.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {done.stderr.strip() if done else 'this is another user'}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(repo, *, size):
    """Put objects until the disk is full; return those that were acknowledged."""
    kept = {}
    with pytest.raises(Unavailable, match="full"):
        for number in range(100_000):
            body = number.to_bytes(4, "big") * (size // 4)
            repo.at("main").put(f"fill/{number}", body)
            kept[f"fill/{number}"] = body
    return kept


def fill_to_the_last_block(folder):
    rest = folder / "rest"
    with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return rest


@pytest.mark.parametrize("size", [64, 4000, 300_000])
def test_a_full_disk_loses_nothing_and_writes_resume_after_space_returns(small_disk, size):
    spare = small_disk / "spare"
    spare.write_bytes(bytes(1 << 20))
    store = EmbeddedStore(small_disk / "store")
    repo = store.create_repo("garments")
    first = save(repo, "main", {"a.txt": b"acknowledged"})
    kept = fill(repo, size=size)
    rest = fill_to_the_last_block(small_disk)
    with pytest.raises(Unavailable):
        repo.at("main").put("large", bytes(500_000))
    done = []
    for name, verb in {
        "commit": lambda: repo.commit("main", request("May not fit")),
        "tag": lambda: repo.create_tag("v1", "main~1"),
        "delete": lambda: repo.at("main").delete(["a.txt"]),
    }.items():
        with contextlib.suppress(Unavailable):  # no other error
            verb()
            done.append(name)
    shown = {**kept, **({} if "delete" in done else {"a.txt": b"acknowledged"})}
    again = EmbeddedStore(store.path)
    found = again.repo("garments")
    assert contents(found.at(first.id)) == {"a.txt": b"acknowledged"}
    assert contents(found.at("main")) == shown
    assert len(list(found.log("main"))) == (3 if "commit" in done else 2)
    assert [tag.name for tag in found.tags()] == (["v1"] if "tag" in done else [])
    assert list(again.check(deep=True)) == []
    again.close()
    spare.unlink()
    rest.unlink()
    repo.at("main").put("after.txt", b"space has returned")
    made = repo.commit("main", request("After"))
    assert contents(repo.at(made.id)) == {**shown, "after.txt": b"space has returned"}
    assert staged(repo) == {}
    assert list(store.check(deep=True)) == []
    store.close()


def test_collect_runs_on_a_full_disk(small_disk):
    store = EmbeddedStore(small_disk / "store")
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"acknowledged"})
    fill(repo, size=300_000)
    repo.reset("main")
    fill_to_the_last_block(small_disk)
    store.collect(grace=timedelta(0))
    repo.at("main").put("after.txt", bytes(300_000))
    repo.commit("main", request("After"))
    assert sorted(contents(repo.at("main@"))) == ["a.txt", "after.txt"]
    assert list(store.check(deep=True)) == []
    store.close()


def test_collect_in_a_new_process_finds_its_ballast_on_a_full_disk(small_disk):
    store = EmbeddedStore(small_disk / "store")
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"acknowledged"})
    repo.at("main").put("wasted.txt", bytes(1_000_000))
    repo.reset("main")
    store.close()  # the last one to close it: the files of its log go, and there will be no room to make them
    fill_to_the_last_block(small_disk)
    store = EmbeddedStore(small_disk / "store")
    with pytest.raises(Unavailable, match="is full"):
        store.repo("garments")
    store.collect(grace=timedelta(0))
    repo = store.repo("garments")
    repo.at("main").put("after.txt", bytes(300_000))
    repo.commit("main", request("After"))
    assert sorted(contents(repo.at("main@"))) == ["a.txt", "after.txt"]
    assert list(store.check(deep=True)) == []
    store.close()
