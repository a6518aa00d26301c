"""What shares bytes with what, and what becomes of it when somebody writes to a resolved file."""

import mmap
import os

import pytest

import datastore as ds
from datastore.namespace import current
from tests.resolve.helpers import gets, tree, write_to


def inode(path):
    return path.stat().st_ino


def test_the_same_bytes_under_other_names_branches_and_mounts_are_brought_once(cloud, main):
    body = os.urandom(3000)
    cloud.objects.put("bucket", "a.bin", body)
    main.objects.put("b.dat", body)
    first = ds.resolve("ds://cloud/a.bin")
    assert len(gets(cloud)) == 1
    assert ds.resolve(main / "b.dat").read_bytes() == body
    other = ds.repo("garments").create_branch("exp")
    main.commit("One")
    other.objects.put("c.dat", body)
    assert ds.resolve(other / "c.dat").read_bytes() == body
    assert first.read_bytes() == body
    assert len(gets(cloud)) == 1


def test_what_an_embedded_store_has_is_not_asked_for_over_the_network(cloud, main):
    body = os.urandom(3000)
    cloud.objects.put("bucket", "in/a.bin", body)
    ds.resolve("ds://cloud/in/a.bin")
    assert tree(ds.resolve("ds://cloud/in/")) == {"a.bin": body}
    assert len(gets(cloud)) == 1


@pytest.mark.parametrize("link", ["auto", "hard"])
def test_writing_through_a_path_cannot_change_the_store_also_as_root(main, link):
    large = os.urandom(200_000)  # a blob of its own
    main.objects.put("large.bin", large)
    main.objects.put("d/large.bin", large)
    path, folder = ds.resolve(main / "large.bin", link=link), ds.resolve(main / "d/", link=link)
    for file in (path, folder / "large.bin"):
        write_to(file, b"careless")
    with main.objects.read("large.bin") as reader:
        assert reader.read() == large
    assert list(current().store.check(deep=True)) == []
    assert ds.resolve(main / "large.bin", link=link).read_bytes() == large
    assert tree(ds.resolve(main / "d/", link=link)) == {"large.bin": large}


def in_place(path):
    write_to(path, b"careless")


def shorter(path):
    os.truncate(path, 3)


def longer(path):
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"more")


def by_memory(path):
    path.chmod(0o644)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:8] = b"careless"


def by_another_name(path):
    other = path.with_name("another name")
    os.link(path, other)
    in_place(other)
    other.unlink()


def replaced(path):
    other = path.with_name("another file")
    other.write_bytes(b"careless")
    other.replace(path)


def removed(path):
    path.unlink()


HARM = [in_place, shorter, longer, by_memory, by_another_name, replaced, removed]


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("link", ["auto", "hard"])
@pytest.mark.parametrize("kind", ["embedded", "local"])
def test_whatever_is_done_to_a_resolved_path_the_store_has_its_bytes_and_so_has_the_next_path(
    request, place, kind, link, harm
):
    bodies = {"small.bin": os.urandom(1000), "large.bin": os.urandom(200_000)}
    if kind == "embedded":
        root = request.getfixturevalue("main")
    else:
        (place / "data").mkdir()
        root = ds.mount("data", "local", path=str(place / "data"))
    ds.filesystem().pipe({str(root / f"d/{name}"): body for name, body in bodies.items()})
    paths = [ds.resolve(root / f"d/{name}", link=link) for name in bodies]
    for path in [*paths, *ds.resolve(root / "d/", link=link).iterdir()]:
        harm(path)
    assert {name: ds.filesystem().cat_file(str(root / f"d/{name}")) for name in bodies} == bodies
    if kind == "embedded":
        assert list(current().store.check(deep=True)) == []
    assert [ds.resolve(root / f"d/{name}", link=link).read_bytes() for name in bodies] == list(bodies.values())
    assert tree(ds.resolve(root / "d/", link=link)) == bodies


@pytest.mark.parametrize("size", [10, 200_000])
def test_auto_shares_nothing_between_two_paths(main, size):
    body = os.urandom(size)
    for key in ("a.bin", "b.bin", "d/a.bin", "d/b.bin", "e/a.bin"):
        main.objects.put(key, body)
    files = [ds.resolve(main / "a.bin"), ds.resolve(main / "b.bin"), *ds.resolve(main / "d/").iterdir()]
    files += ds.resolve(main / "e/").iterdir()
    assert len({inode(file) for file in files}) == len(files) == 5
    write_to(files[0], b"X")
    assert [file.read_bytes() == body for file in files] == [False, True, True, True, True]


def test_hard_shares_the_inode_and_a_write_is_noticed_before_the_bytes_are_used_again(main, place):
    body = os.urandom(200_000)
    for key in ("a.bin", "b.bin"):
        main.objects.put(key, body)
    a, b = ds.resolve(main / "a.bin", link="hard"), ds.resolve(main / "b.bin", link="hard")
    assert inode(a) == inode(b)
    write_to(a, b"careless")
    assert b.read_bytes() != body  # that is what was asked for
    assert ds.resolve(main / "b.bin", link="hard").read_bytes() == body
    assert ds.resolve(main / "a.bin", link="hard").read_bytes() == body
    assert ds.resolve(main / "a.bin").read_bytes() == body
    assert ds.resolve(main / "a.bin") not in {a, b}


def test_a_file_that_was_only_touched_is_not_brought_again(cloud):
    cloud.objects.put("bucket", "a.bin", b"x" * 100)
    path = ds.resolve("ds://cloud/a.bin")
    os.utime(path, (1, 1))
    before = inode(path)
    assert ds.resolve("ds://cloud/a.bin") == path
    assert (inode(path), len(gets(cloud))) == (before, 1)


def test_a_write_of_the_same_size_is_noticed_and_what_was_written_is_kept_aside(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", b"x" * 100)
    path = ds.resolve("ds://cloud/d/a.bin")
    folder = ds.resolve("ds://cloud/d/")
    write_to(folder / "a.bin", b"y", at=50)
    write_to(path, b"z", at=50)
    assert tree(ds.resolve("ds://cloud/d/")) == {"a.bin": b"x" * 100}
    assert ds.resolve("ds://cloud/d/a.bin").read_bytes() == b"x" * 100
    kept = {file.read_bytes()[50:51] for file in (place / "cache" / "quarantine").iterdir()}
    assert kept >= {b"y", b"z"}


def test_a_file_that_was_deleted_from_a_folder_comes_back(main):
    main.objects.put("d/a", b"1")
    main.objects.put("d/b/c", b"2")
    folder = ds.resolve(main / "d/")
    (folder / "b" / "c").unlink()
    (folder / "b").rmdir()
    assert tree(ds.resolve(main / "d/")) == {"a": b"1", "b/c": b"2"}


def test_verify_finds_what_a_stamp_does_not_show(main):
    main.objects.put("a.bin", b"x" * 100)
    path = ds.resolve(main / "a.bin")
    when = path.stat().st_mtime_ns
    write_to(path, b"bad")
    os.utime(path, ns=(when, when))
    assert ds.resolve(main / "a.bin").read_bytes() != b"x" * 100  # somebody took pains
    assert path in [damaged.path for damaged in ds.cache.verify()]
    assert ds.resolve(main / "a.bin").read_bytes() == b"x" * 100
    assert ds.cache.verify() == []


def test_s24_after_another_boot_files_are_hashed_once_more_before_they_are_believed(main, monkeypatch):
    from datastore.cachestore import stamps

    main.objects.put("a.bin", b"x" * 100)
    main.objects.put("b.bin", b"y" * 100)
    torn, whole = ds.resolve(main / "a.bin"), ds.resolve(main / "b.bin")
    when = torn.stat().st_mtime_ns
    write_to(torn, bytes(100))  # what a power cut leaves of a file that was not synced: its name, size and times
    os.utime(torn, ns=(when, when))
    monkeypatch.setattr(stamps, "_of_boot", lambda: 100)
    assert [ds.resolve(main / key).read_bytes() for key in ("a.bin", "b.bin")] == [b"x" * 100, b"y" * 100]
    hashed = []
    monkeypatch.setattr(stamps, "digest_of_file", hashed.append)
    assert ds.resolve(main / "b.bin") == whole
    assert hashed == []
