"""Copies, moves, uploads, downloads: the cheapest way, verified, with progress, and without losing anything."""

import os
import stat
import tracemalloc
from pathlib import Path

import fsspec
import msgspec
import pytest
from fsspec.callbacks import Callback

import datastore as ds
from datastore.errors import IntegrityError, NotFound, UnsupportedOperation, ValidationError
from datastore.fs.system import DatastoreFileSystem
from datastore.providers.memory import MemoryProvider
from datastore.streams import BytesReader
from datastore.transfer import copy_object, download_object
from tests.filesystem.helpers import Wrapper


class _Progress(Callback):
    """Keeps what it is told, and the same of its branches."""

    def __init__(self):
        super().__init__()
        self.children = []

    def branched(self, path_1, path_2, **kwargs):
        self.children.append(_Progress())
        return self.children[-1]


class _Lying(Wrapper):
    """Readers give other bytes than the info says."""

    data = b"wrong"

    def read(self, key, **options):
        return BytesReader(self.head(key), self.data)


def left(fs, base):
    return [name[len(base) + 1 :] for name in fs.find(base)]


# transfer


def test_a_copy_within_one_provider_moves_no_bytes(counts):
    provider = MemoryProvider()
    provider.put("a.csv", b"1")
    counts.clear()
    assert copy_object(provider, "a.csv", provider, "b.csv").size == 1
    assert counts == {"copy": 1}


def test_a_stream_keeps_attributes_and_retypes_by_extension():
    source, target = Wrapper(MemoryProvider()), Wrapper(MemoryProvider())
    source.put("a.csv", b"1", attributes=msgspec.convert({"metadata": {"run": "1"}}, type=_attributes()))
    source.put("b.csv", b"1", attributes=msgspec.convert({"content_type": "text/x-own"}, type=_attributes()))
    assert copy_object(source, "a.csv", target, "a.json").content_type == "application/json"
    assert target.head("a.json").metadata == {"run": "1"}
    assert copy_object(source, "b.csv", target, "b.json").content_type == "text/x-own"


def _attributes():
    from datastore.values import Attributes

    return Attributes


@pytest.mark.parametrize("data", [b"wrong", b"sho", b"too long for it", b""])
def test_a_stream_of_other_bytes_is_never_published(data):
    source, target = _Lying(MemoryProvider()), Wrapper(MemoryProvider())
    source.data = data
    source.put("a", b"right")
    with pytest.raises(IntegrityError):
        copy_object(source, "a", target, "b")
    with pytest.raises(NotFound):
        target.head("b")


def test_a_target_that_keeps_something_else_is_noticed():
    class Broken(Wrapper):
        def put(self, key, body, **options):
            b"".join(body)
            return super().put(key, b"else", **options)

    source = Wrapper(MemoryProvider())
    source.put("a", b"right")
    with pytest.raises(IntegrityError, match="not what was written"):
        copy_object(source, "a", Broken(MemoryProvider()), "b")


def test_create_does_not_overwrite(fs, mem, other):
    fs.pipe({f"{mem}/a": b"1", f"{other}/b": b"2"})
    with pytest.raises(FileExistsError):
        fs.cp_file(f"{mem}/a", f"{other}/b", mode="create")
    assert fs.cat_file(f"{other}/b") == b"2"


def test_memory_stays_bounded_between_stores(repo, tmp_path):
    (tmp_path / "disk").mkdir()
    ds.mount("disk", "local", path=str(tmp_path / "disk"))
    fs = DatastoreFileSystem()
    (tmp_path / "big").write_bytes(os.urandom(1 << 20) * 64)
    fs.put_file(str(tmp_path / "big"), "disk/big")
    tracemalloc.start()
    fs.cp_file("disk/big", "garments@main/big")
    fs.get_file("garments@main/big", str(tmp_path / "again"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fs.size("garments@main/big") == 64 << 20
    assert peak < 16 << 20


# copies


@pytest.mark.parametrize("to", ["garments@main/b", "garments@exp/b", "shoes@main/b"])
def test_within_one_store_bytes_are_linked(fs, repo, counts, to, monkeypatch):
    ds.create_repo("shoes")
    repo.create_branch("exp")
    fs.pipe_file("garments@main/a", b"1" * 100_000, metadata={"run": "1"})
    counts.clear()
    fs.cp("garments@main/a", to)
    assert counts["read"] == counts["put"] == counts["writer"] == 0
    assert fs.cat_file(to) == b"1" * 100_000
    assert fs.info(to)["metadata"] == {"run": "1"}


def test_between_mounts(fs, base, other):
    fs.pipe({f"{base}/d/a": b"1", f"{base}/d/e/b": b"2"})
    fs.cp(f"ds://{base}/d", f"ds://{other}/copy", recursive=True)
    assert fs.cat(f"{other}/copy", recursive=True) == {f"{other}/copy/a": b"1", f"{other}/copy/e/b": b"2"}
    fs.cp(f"{other}/copy", base, recursive=True)
    assert left(fs, base) == ["copy/a", "copy/e/b", "d/a", "d/e/b"]


def test_whole_mounts(fs, mem, other):
    fs.pipe({f"{mem}/a": b"1", f"{mem}/d/b": b"2"})
    fs.cp(f"{mem}/", f"{other}/", recursive=True)
    assert left(fs, other) == ["a", "d/b"]
    fs.cp(mem, f"{other}/under", recursive=True)
    assert left(fs, other) == ["a", "d/b", "under/a", "under/d/b"]


def test_missing_sources(fs, base):
    with pytest.raises(NotFound):
        fs.cp(f"{base}/missing", f"{base}/b")
    with pytest.raises(NotFound):
        fs.mv(f"{base}/missing", f"{base}/b")
    with pytest.raises(NotFound):
        fs.cp([f"{base}/missing"], [f"{base}/b"])
    with pytest.raises(ValidationError, match="sources"):
        fs.cp([f"{base}/a", f"{base}/b"], [f"{base}/c"])
    assert fs.find(base) == []


def test_progress_of_a_copy(fs, base, other):
    fs.pipe({f"{base}/d/a": b"1" * 10, f"{base}/d/b": b"2" * 20})
    progress = _Progress()
    fs.cp(f"{base}/d", f"{other}/d", recursive=True, callback=progress)
    assert progress.size == progress.value
    assert sorted((child.size, child.value) for child in progress.children if child.size) == [(10, 10), (20, 20)]
    child = _Progress()
    fs.cp_file(f"{base}/d/a", f"{base}/d/c", callback=child)
    assert (child.size, child.value) == (10, 10)


def test_a_copy_between_other_file_systems_and_us(fs, base, tmp_path):
    (tmp_path / "a.txt").write_text("1")
    generic = fsspec.filesystem("generic")
    generic.cp(f"file://{tmp_path}/a.txt", f"ds://{base}/a.txt")
    assert fs.cat_file(f"{base}/a.txt") == b"1"
    generic.cp(f"ds://{base}/a.txt", f"file://{tmp_path}/b.txt")
    assert (tmp_path / "b.txt").read_text() == "1"


# moves


def test_a_move(fs, base):
    fs.pipe({f"{base}/d/a": b"1", f"{base}/d/e/b": b"2", f"{base}/x": b"3"})
    fs.mv(f"{base}/x", f"{base}/y")
    fs.mv(f"{base}/d", f"{base}/moved", recursive=True)
    assert left(fs, base) == ["moved/a", "moved/e/b", "y"]
    assert fs.cat_file(f"{base}/moved/e/b") == b"2"
    fs.mv(f"{base}/moved/*", f"{base}/again/", recursive=True)
    assert left(fs, base) == ["again/a", "again/e/b", "y"]


def test_a_move_onto_itself_loses_nothing(fs, repo):
    fs.pipe({"garments@main/a": b"1", "garments@main/d/b": b"2"})
    fs.mv("garments@main/a", "garments@main/a")
    fs.mv("garments/a", "ds://garments@main/a")  # the same by its default branch
    fs.mv("garments/d", "garments@main/d/", recursive=True)
    assert set(left(fs, "garments@main")) in ({"a", "d/b"}, {"a", "d/d/b"})


def test_a_move_into_itself_loses_nothing(fs, base):
    fs.pipe({f"{base}/d/a": b"1", f"{base}/d/e/b": b"2"})
    fs.mv(f"{base}/d", f"{base}/d/in", recursive=True)
    assert left(fs, base) == ["d/in/a", "d/in/e/b"]
    fs.pipe({f"{base}/s/x": b"1", f"{base}/s/t/x": b"2"})
    with pytest.raises(ValidationError, match="to be moved itself"):
        fs.mv(f"{base}/s/", f"{base}/s/t", recursive=True)
    assert fs.cat(f"{base}/s", recursive=True) == {f"{base}/s/x": b"1", f"{base}/s/t/x": b"2"}


def test_two_names_of_one_place(fs, tmp_path):
    (tmp_path / "disk" / "sub").mkdir(parents=True)
    (tmp_path / "disk" / "sub" / "a").write_text("1")
    ds.mount("disk", "local", path=str(tmp_path / "disk"))
    ds.mount("sub", "local", path=str(tmp_path / "disk" / "sub"))
    with pytest.raises(ValidationError, match="same object"):
        fs.mv("disk/sub/a", "sub/a")
    assert fs.cat_file("sub/a") == b"1"


def test_a_folder_moves_only_when_that_was_said(fs, base):
    fs.pipe_file(f"{base}/d/a", b"1")
    with pytest.raises(IsADirectoryError) as caught:
        fs.mv(f"{base}/d", f"{base}/e")
    assert "recursive" in caught.value.hint
    assert left(fs, base) == ["d/a"]


def test_nothing_is_deleted_before_everything_is_copied(fs, mem, other, monkeypatch):
    fs.pipe({f"{mem}/d/{n}": b"1" for n in range(5)})
    original, calls = MemoryProvider.link, []

    def fail_at_last(self, source, key, **options):
        calls.append(key)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return original(self, source, key, **options)

    monkeypatch.setattr(MemoryProvider, "link", fail_at_last)
    with pytest.raises(OSError, match="No space"):
        fs.mv(f"{mem}/d", f"{other}/d", recursive=True)
    assert len(fs.find(mem)) == 5


def test_only_what_was_copied_is_deleted(fs, mem, other, monkeypatch):
    fs.pipe_file(f"{mem}/d/a", b"1")
    original = MemoryProvider.link

    def with_newcomer(self, source, key, **options):
        fs.pipe_file(f"{mem}/d/new", b"2")
        return original(self, source, key, **options)

    monkeypatch.setattr(MemoryProvider, "link", with_newcomer)
    fs.mv(f"{mem}/d", f"{other}/d", recursive=True)
    assert left(fs, mem) == ["d/new"]


# downloads and uploads


def test_a_failed_download_leaves_the_old_file(wrapped, mem, tmp_path):
    wrapped(_Lying)
    fs = DatastoreFileSystem()
    fs.pipe_file(f"{mem}/a", b"right and long")
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(IntegrityError):
        fs.get_file(f"{mem}/a", str(tmp_path / "a"))
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
    with pytest.raises(NotFound):
        fs.get_file(f"{mem}/missing", str(tmp_path / "b"))
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_downloads_land_where_a_person_expects_them(fs, mem, tmp_path):
    fs.pipe_file(f"{mem}/a", b"1")
    fs.get_file(f"{mem}/a", str(tmp_path / "new" / "folder" / "a"))
    assert (tmp_path / "new" / "folder" / "a").read_bytes() == b"1"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "new" / "folder" / "a").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fs.get_file(f"{mem}/a", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"1"
    longest = tmp_path / ("n" * 255)
    fs.get_file(f"{mem}/a", str(longest))
    assert longest.read_bytes() == b"1"


def test_a_device_is_written_to_and_stays(mem, fs):
    fs.pipe_file(f"{mem}/a", b"1")
    fs.get_file(f"{mem}/a", os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_downloads_into_open_files(fs, mem, tmp_path):
    fs.pipe_file(f"{mem}/a", b"1")
    with (tmp_path / "a").open("wb") as file:
        fs.get_file(f"{mem}/a", file)
    with (tmp_path / "b").open("wb") as file:
        fs.get_file(f"{mem}/a", outfile=file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"1"
    with pytest.raises(NotFound), (tmp_path / "c").open("wb") as file:
        fs.get_file(f"{mem}/missing", file)


def test_names_that_lead_out_of_the_target_are_refused(fs, mem, tmp_path):
    from datastore import namespace
    from datastore.providers.memory import _Object
    from datastore.values import ObjectInfo

    provider = namespace.current().target(mem).provider
    for key in ("d/../../evil", "d/fine"):
        info = ObjectInfo(key=key, size=1, modified_us=0, etag="1", identity=key)
        provider._objects[key] = _Object(info, b"1")
    (tmp_path / "target").mkdir()
    with pytest.raises(ValueError, match=r"evil|outside|contain"):
        fs.get(f"{mem}/d/", str(tmp_path / "target"), recursive=True)
    assert not (tmp_path.parent / "evil").exists()
    assert not (tmp_path / "evil").exists()


def test_progress_of_transfers(fs, base, tmp_path):
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "a").write_bytes(b"1" * 10)
    (tmp_path / "in" / "d" / "b").write_bytes(b"2" * 3_000_000)
    progress = _Progress()
    fs.put(str(tmp_path / "in"), f"{base}/up", recursive=True, callback=progress)
    assert progress.size == progress.value > 0
    assert left(fs, base) == ["up/a", "up/d/b"]
    progress = _Progress()
    fs.get(f"{base}/up", str(tmp_path / "out"), recursive=True, callback=progress)
    assert progress.size == progress.value > 0
    told = sorted((child.size, child.value) for child in progress.children if child.size)
    assert told == [(10, 10), (3_000_000, 3_000_000)]
    assert (tmp_path / "out" / "d" / "b").read_bytes() == b"2" * 3_000_000
    child = _Progress()
    fs.put_file(str(tmp_path / "in" / "a"), f"{base}/one", callback=child)
    assert (child.size, child.value) == (10, 10)


def test_an_upload_of_a_folder_is_one_step(fs, repo, tmp_path, monkeypatch):
    from datastore.embedded.branch import EmbeddedRef

    calls, original = [], EmbeddedRef.import_files

    def counted(self, files, **options):
        calls.append(len(files))
        return original(self, files, **options)

    monkeypatch.setattr(EmbeddedRef, "import_files", counted)
    for n in range(20):
        (tmp_path / f"{n}.txt").write_text(str(n))
    fs.put(str(tmp_path), "garments@main/texts", recursive=True)
    assert calls == [20]
    assert len(fs.find("garments@main/texts")) == 20
    assert fs.cat_file("garments@main/texts/7.txt") == b"7"
    assert fs.info("garments@main/texts/7.txt")["content_type"] == "text/plain"


def test_uploads_may_refuse_to_overwrite(fs, base, tmp_path):
    (tmp_path / "a").write_text("new")
    fs.pipe_file(f"{base}/a", b"old")
    with pytest.raises(FileExistsError):
        fs.put(str(tmp_path / "a"), f"{base}/a", mode="create")
    assert fs.cat_file(f"{base}/a") == b"old"


def test_a_download_is_whole_when_it_appears(tmp_path):
    provider = MemoryProvider()
    provider.put("a", b"1" * 3_000_000)
    seen = []

    class Watch:
        def set_size(self, size):
            seen.append(size)

        def relative_update(self, inc):
            assert not (tmp_path / "a").exists()

    assert download_object(provider, "a", tmp_path / "a", callback=Watch()).size == 3_000_000
    assert seen == [3_000_000]


def test_metadata_is_never_lost_silently(fs, mem, tmp_path):
    (tmp_path / "disk").mkdir()
    ds.mount("disk", "local", path=str(tmp_path / "disk"))
    with pytest.raises(UnsupportedOperation, match="metadata"):
        fs.pipe_file("disk/a", b"1", metadata={"run": "1"})
