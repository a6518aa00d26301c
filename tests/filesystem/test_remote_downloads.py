"""Many objects from a network into files: whole or not at all, each in as few requests as it takes."""

import os
from contextlib import closing, suppress
from pathlib import Path

import fsspec
import pytest

from datastore.bulk.reading import download_objects, read_objects
from datastore.errors import DatastoreError, Forbidden, HeadMoved, IntegrityError, NotFound, Unavailable
from datastore.namespace import current
from datastore.testing.scripted_s3 import Cut, Swapped, refused
from datastore.values import ByteRange, digest_of

MIB = 1 << 20
BIG = os.urandom(17 * MIB + 5)


def _tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _open_files():
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            yield str(Path(f"/proc/self/fd/{fd}").readlink())


@pytest.fixture
def small(cloud):
    objects = {f"in/{n % 7}/{n}.bin": b"%d" % n * 50 for n in range(1, 40)}
    for key, body in objects.items():
        cloud.objects.put("bucket", key, body)
    return objects


@pytest.fixture
def listed(cloud):
    """The provider of the mount, and the infos of everything in it."""

    def listed():
        provider = current().target("cloud/x").provider
        return provider, [info for page in provider.list() for info in page.objects]

    return listed


def test_a_folder_comes_with_one_listing_and_one_request_for_each_object(cloud, fs, small, tmp_path):
    cloud.objects.put("bucket", "in/empty", b"")
    fs.get("cloud/in", str(tmp_path / "out"), recursive=True)
    assert _tree(tmp_path / "out") == {**{key[3:]: body for key, body in small.items()}, "empty": b""}
    assert len(cloud.asked("ListObjectsV2")) == 1
    assert len(cloud.asked("GetObject")) == len(small)
    assert len(cloud.requests) == 1 + len(small)


def test_patterns_and_single_objects_come_too(cloud, fs, small, tmp_path):
    fs.get("cloud/in/*/1*.bin", str(tmp_path) + "/")
    assert _tree(tmp_path) == {key[3:]: body for key, body in small.items() if key[5:].startswith("1")}
    fs.get("cloud/in/1/1.bin", str(tmp_path / "one"))
    fs.get(["cloud/in/1/1.bin", "cloud/in/2/2.bin"], [str(tmp_path / "a"), str(tmp_path / "b")])
    assert [(tmp_path / name).read_bytes() for name in ("one", "a", "b")] == [b"1" * 50, b"1" * 50, b"2" * 50]


def test_large_objects_come_in_parallel_ranges_of_one_version(cloud, fs, tmp_path):
    cloud.objects.put("bucket", "d/big", BIG)
    cloud.objects.put("bucket", "d/small", b"1")
    fs.get("cloud/d", str(tmp_path), recursive=True)
    assert (tmp_path / "d" / "big").read_bytes() == BIG
    fs.get("cloud/d/big", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == BIG
    parts = [request for request in cloud.asked("GetObject") if request.key == "d/big"]
    assert len(parts) == 6
    assert all("if-match" in request.headers for request in parts)


def test_what_fails_is_told_and_leaves_nothing(cloud, fs, small, tmp_path):
    cloud.objects.put("bucket", "in/0/big", BIG)
    cloud.on("GetObject", "in/0/big", refused(403, "AccessDenied"), nth=2)
    with pytest.raises(Forbidden, match="in/0/big"):
        fs.get("cloud/in", str(tmp_path / "out"), recursive=True)
    found = _tree(tmp_path / "out")
    assert found.items() <= {key[3:]: body for key, body in small.items()}.items()


def test_errors_are_told_of_each_object_and_the_others_come(cloud, small, listed, tmp_path):
    for n, kind in enumerate(["AccessDenied", "NoSuchKey"], start=1):
        cloud.on("GetObject", f"in/{n}/{n}.bin", refused(403 if n == 1 else 404, kind))
    provider, infos = listed()
    (tmp_path / "in/3/3.bin").mkdir(parents=True)
    results = dict(download_objects(provider, [(info, tmp_path / info.key) for info in infos]))
    failed = {infos[number].key: type(error) for number, error in results.items() if error}
    assert failed == {"in/1/1.bin": Forbidden, "in/2/2.bin": HeadMoved, "in/3/3.bin": IsADirectoryError}
    assert len(results) == len(infos)
    assert _tree(tmp_path) == {key: body for key, body in small.items() if key not in failed}


@pytest.mark.parametrize("after", [0, 1, 5 * MIB, 17 * MIB])
def test_a_connection_that_breaks_is_no_matter(cloud, fs, tmp_path, after):
    cloud.objects.put("bucket", "d/big", BIG)
    cloud.objects.put("bucket", "d/small", BIG[:1000])
    cloud.on("GetObject", ".*", Cut(after=after), times=3)
    fs.get("cloud/d", str(tmp_path), recursive=True)
    assert _tree(tmp_path / "d") == {"big": BIG, "small": BIG[:1000]}


def test_what_is_written_after_it_was_listed_comes_as_it_is_now(cloud, fs, small, tmp_path):
    cloud.on("GetObject", "in/1/1.bin", Swapped(b"other"))
    fs.get("cloud/in", str(tmp_path / "out"), recursive=True)
    assert _tree(tmp_path / "out") == {**{key[3:]: body for key, body in small.items()}, "1/1.bin": b"other"}


def test_what_is_deleted_after_it_was_listed_is_not_found(cloud, fs, small, tmp_path):
    cloud.on("GetObject", "in/1/1.bin", refused(404, "NoSuchKey"), times=9)
    with pytest.raises(NotFound, match=r"in/1/1\.bin"):
        fs.get("cloud/in", str(tmp_path / "out"), recursive=True)


def test_two_versions_are_never_mixed(cloud, listed, tmp_path):
    cloud.objects.put("bucket", "big", BIG)
    provider, infos = listed()
    cloud.on("GetObject", "big", Swapped(bytes(len(BIG))), nth=2)
    [(_, error)] = download_objects(provider, [(infos[0], tmp_path / "big")])
    assert isinstance(error, HeadMoved)
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_not_those_of_the_digest_are_not_published(cloud, listed, tmp_path):
    from msgspec.structs import replace

    for key, body in (("big", BIG), ("small", b"1" * 100)):
        cloud.objects.put("bucket", key, body)
    provider, infos = listed()
    right = [replace(info, digest=digest_of(BIG if info.key == "big" else b"1" * 100)) for info in infos]
    assert [error for _, error in download_objects(provider, [(info, tmp_path / info.key) for info in right])] == [
        None,
        None,
    ]
    wrong = [(replace(info, digest=digest_of(b"2")), tmp_path / f"wrong-{info.key}") for info in infos]
    assert {type(error) for _, error in download_objects(provider, wrong)} == {IntegrityError}
    assert _tree(tmp_path) == {"big": BIG, "small": b"1" * 100}


def test_giving_up_leaves_no_part_and_no_open_file(cloud, listed, tmp_path):
    for n in range(5):
        cloud.objects.put("bucket", f"big{n}", BIG)
        cloud.objects.put("bucket", f"small{n}", b"1")
    provider, infos = listed()
    with closing(download_objects(provider, [(info, tmp_path / info.key) for info in infos])) as results:
        next(results)
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {info.key for info in infos}
    assert all((tmp_path / name).stat().st_size in {1, len(BIG)} for name in names)
    assert not [link for link in _open_files() if link.startswith(str(tmp_path))]


def test_files_are_open_only_while_they_are_filled(cloud, listed, tmp_path, monkeypatch):
    from datastore import partfile

    for n in range(100):
        cloud.objects.put("bucket", f"{n:03}", BIG[: MIB + n])
    opened = set()
    most = 0
    original = partfile.PartFile.__init__
    closing_one = partfile.PartFile.publish

    def init(self, target):
        nonlocal most
        original(self, target)
        opened.add(self)
        most = max(most, len(opened))

    def publish(self):
        closing_one(self)
        opened.discard(self)

    monkeypatch.setattr(partfile.PartFile, "__init__", init)
    monkeypatch.setattr(partfile.PartFile, "publish", publish)
    provider, infos = listed()
    assert {error for _, error in download_objects(provider, [(info, tmp_path / info.key) for info in infos])} == {None}
    assert 1 <= most <= 64
    assert not opened


def test_progress_is_told_in_the_callers_thread(cloud, fs, tmp_path):
    import threading

    cloud.objects.put("bucket", "d/big", BIG)
    cloud.objects.put("bucket", "d/small", b"1" * 10)
    threads, branches = set(), {}

    class Branch(fsspec.callbacks.Callback):
        closed = False

        def call(self, *args, **kwargs):
            threads.add(threading.get_ident())

        def close(self):
            self.closed = True

    class Told(Branch):
        def branched(self, path_1, path_2, **kwargs):
            branches[path_1] = Branch()
            return branches[path_1]

    told = Told()
    fs.get("cloud/d", str(tmp_path), recursive=True, callback=told)
    assert (told.size, told.value) == (3, 3)  # with the folder
    assert {path: (branch.size, branch.value, branch.closed) for path, branch in branches.items()} == {
        "cloud/d/big": (len(BIG), len(BIG), True),
        "cloud/d/small": (10, 10, True),
    }
    assert threads == {threading.get_ident()}


def test_links_are_followed_and_devices_written(cloud, listed, tmp_path):
    for key in ("a", "b", "c", "d"):
        cloud.objects.put("bucket", key, key.encode() * 9)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_bytes(b"old")
    for name, target in (("a", "elsewhere/file"), ("b", "new/file")):
        (tmp_path / name).symlink_to(tmp_path / target)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    provider, infos = listed()
    targets = [tmp_path / "a", tmp_path / "b", tmp_path / "pipe", "/dev/null"]
    assert {error for _, error in download_objects(provider, list(zip(infos, targets, strict=True)))} == {None}
    assert os.read(reader, 100) == b"c" * 9
    os.close(reader)
    assert (tmp_path / "elsewhere/file").read_bytes() == b"a" * 9
    assert (tmp_path / "new/file").read_bytes() == b"b" * 9
    assert (tmp_path / "a").is_symlink()


def test_names_cannot_lead_out_of_the_folder(cloud, fs, tmp_path):
    cloud.objects.put("bucket", "d/../../evil", b"1")
    cloud.objects.put("bucket", "d/good", b"1")
    with pytest.raises(ValueError, match="outside"):
        fs.get("cloud/d", str(tmp_path / "deep" / "out"), recursive=True)
    assert not list(tmp_path.rglob("evil"))


def test_a_disk_that_is_full_is_said(cloud, listed, tmp_path):
    cloud.objects.put("bucket", "big", BIG)
    provider, infos = listed()
    with pytest.raises(OSError, match="space"):
        for _, error in download_objects(provider, [(infos[0], "/dev/full")]):
            if error:
                raise error


def test_a_server_that_goes_away_is_an_error_soon(cloud, fs, small, tmp_path, monkeypatch):
    provider = current().target("cloud/x").provider
    infos = [info for page in provider.list() for info in page.objects]
    cloud.on("GetObject", ".*", refused(500, "InternalError"), times=10**9)
    monkeypatch.setattr("datastore.http.loop._chance", lambda: 0.0)
    results = dict(read_objects(provider, [(info, None) for info in infos[:5]]))
    assert all(isinstance(error, DatastoreError) for error in results.values())
    assert any(isinstance(error, Unavailable) for error in results.values())


def test_ranges_are_those_of_python(cloud, listed):
    cloud.objects.put("bucket", "big", BIG)
    provider, infos = listed()
    spans = [ByteRange(0, 9), ByteRange(-3), ByteRange(5), ByteRange(3, 3), ByteRange(10**9), ByteRange(1, -1), None]
    found = dict(read_objects(provider, [(infos[0], span) for span in spans]))
    assert [found[number] for number in range(len(spans))] == [
        BIG[slice(*(span or ByteRange()).bounds(len(BIG)))] for span in spans
    ]
