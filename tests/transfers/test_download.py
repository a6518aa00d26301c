"""ds.download: objects and prefixes, into files of one's own."""

import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.errors import UnsafeKey
from datastore.providers.memory import MemoryProvider
from datastore.testing.scripted_s3 import Cut, Reset, Swapped
from datastore.transfers import landing
from tests.transfers.helpers import MIB, counted, fill, objects, provider_of, tree


@pytest.fixture
def filled(there, disk):
    ds.upload(disk, there)
    return there


def test_a_prefix_comes_down_and_the_second_time_there_is_nothing_to_do(filled, disk, place):
    back = place / "back"
    told = ds.download(filled, back, dry_run=True)
    assert (told.copied, told.bytes, back.exists()) == (
        ["a.csv", "big.bin", "deep/b #1.txt", "deep/ü/leer"],
        3_000_006,
        False,
    )
    assert list(ds.download(filled, back)) == list(told)
    assert tree(back) == tree(disk)
    before = {path: path.stat().st_mtime_ns for path in back.rglob("*")}
    again = ds.download(filled, back)
    assert (again.copied, again.skipped) == ([], 4)
    assert {path: path.stat().st_mtime_ns for path in back.rglob("*")} == before, "what is right is left alone"


def test_without_a_slash_a_prefix_is_found_all_the_same(filled, disk, place):
    ds.download(filled.rstrip("/"), place / "back")
    assert tree(place / "back") == tree(disk)


def test_an_object_becomes_a_file_or_comes_into_a_folder(filled, place):
    ds.download(filled / "a.csv", place / "other.csv")
    ds.download(filled / "a.csv", f"{place}/new/")
    (place / "folder").mkdir()
    ds.download(filled / "deep/b #1.txt", place / "folder")
    assert (place / "other.csv").read_bytes() == (place / "new" / "a.csv").read_bytes() == b"id\n1\n"
    assert (place / "folder" / "b #1.txt").read_bytes() == b"b"
    assert ds.download(filled / "a.csv", "other.csv").skipped == 1


def test_what_differs_is_replaced_only_if_that_is_asked_for(filled, disk, place):
    back = place / "back"
    ds.download(filled, back)
    (back / "a.csv").write_bytes(b"id\n9\n")  # an edit of the same size
    (back / "big.bin").write_bytes(b"cut off")
    (back / "deep" / "b #1.txt").unlink()
    before = tree(back)
    with pytest.raises(ds.AlreadyExists, match=r"2 files .*'a\.csv', 'big\.bin'; nothing was written") as caught:
        ds.download(filled, back)
    assert "overwrite=True" in caught.value.hint
    assert tree(back) == before
    told = ds.download(filled, back, dry_run=True)
    assert (told.blocked, told.added, told.changed) == (("a.csv", "big.bin"), ["deep/b #1.txt"], ["a.csv", "big.bin"])
    assert "2 of them replace a file that differs" in repr(told)
    done = ds.download(filled, back, overwrite=True)
    assert (done.changed, done.skipped) == (["a.csv", "big.bin"], 1)
    assert tree(back) == tree(disk)


def test_patterns(main, disk, place):
    ds.upload(disk, main / "raw/")
    assert ds.download(main / "raw/", place / "a", allow_patterns="deep/").copied == ["deep/b #1.txt", "deep/ü/leer"]
    done = ds.download(main / "raw/", place / "b", allow_patterns=["*.csv", "*.bin"], ignore_patterns="big*")
    assert done.copied == ["a.csv"]
    with pytest.raises(ds.NotFound, match="patterns"):
        ds.download(main / "raw/", place / "c", allow_patterns="*.png")


def test_what_is_not_there_is_named_and_makes_nothing(main, place):
    for url in (main / "gone", main / "gone/", "ds://garments@nope/x"):
        with pytest.raises(ds.NotFound):
            ds.download(url, place / "back")
    with pytest.raises(ds.InvalidURL, match="no local path"):
        ds.download("data/", "ds://garments@main/raw/")
    assert not (place / "back").exists()


def test_a_commit_is_read_as_a_whole(main, place):
    main.objects.put("raw/a", b"1")
    commit = main.commit("One")
    main.objects.put("raw/a", b"2")
    ds.download(commit / "raw/", place / "old")
    ds.download(main / "raw/", place / "new")
    assert (tree(place / "old"), tree(place / "new")) == ({"a": b"1"}, {"a": b"2"})


# names


HOSTILE = ["../out", "a/../../out", "/abs", "a//b", "./x", "a/.", "x\0y", "n" * 300]


@pytest.mark.parametrize("key", HOSTILE)
def test_17_a_key_that_would_lead_out_is_refused_before_anything_is_written(key):
    with pytest.raises(UnsafeKey, match="no name on this disk"):
        landing.check_names(["a.csv", key], windows=False)


@pytest.mark.parametrize("key", ["CON", "con.txt", "a:b", "x\\y", "dot.", "q?", "C:/x"])
def test_17_on_windows_more_names_are_refused(key):
    landing.check_names([key], windows=False)
    with pytest.raises(UnsafeKey):
        landing.check_names([key], windows=True)


@given(st.lists(st.text("ab./\\:\0é", min_size=1, max_size=8), max_size=5), st.booleans())
def test_17_names_that_pass_stay_inside(names, windows):
    try:
        landing.check_names(names, windows=windows)
    except (UnsafeKey, ds.Conflict):
        return
    for name in names:
        assert os.path.normpath(f"/root/{name}") == f"/root/{name}"
        assert not any(other.startswith(f"{name}/") for other in names)


def test_17_a_bucket_with_hostile_keys(cloud, place):
    cloud.objects.put("bucket", "d/ok", b"1")
    cloud.objects.put("bucket", "d/../../out", b"1")
    (place / "within").mkdir()
    with pytest.raises(UnsafeKey):
        ds.download("ds://cloud/d/", place / "within" / "back")
    assert tree(place / "within") == {}
    assert ds.download("ds://cloud/d/", place / "within" / "back", ignore_patterns="..*").copied == ["ok"]


def test_marks_of_empty_folders_are_no_files(cloud, place):
    for key in ("d/", "d/sub/", "d/sub/a"):
        cloud.objects.put("bucket", key, b"" if key.endswith("/") else b"1")
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"sub/a": b"1"}


def test_a_key_and_what_is_below_it_cannot_both_be_files(main, place):
    main.objects.put("raw/a", b"1")
    main.objects.put("raw/a/b", b"2")
    with pytest.raises(ds.Conflict, match="'a' and 'a/b'"):
        ds.download(main / "raw/", place / "back")
    assert not (place / "back").exists()


def test_case_twins_are_two_files_where_the_disk_can(main, place):
    for key, data in {"raw/a.png": b"1", "raw/A.png": b"2", "raw/D/x": b"3", "raw/d/y": b"4"}.items():
        main.objects.put(key, data)
    if landing._folds_names(str(place)):
        pytest.skip("this disk folds names")
    ds.download(main / "raw/", place / "back")
    assert tree(place / "back") == {"a.png": b"1", "A.png": b"2", "D/x": b"3", "d/y": b"4"}


@pytest.mark.parametrize("keys", [("a.png", "A.png"), ("D/x", "d/y"), ("\u00e9", "e\u0301")])
def test_case_twins_are_an_error_where_it_cannot(main, place, monkeypatch, keys):
    for key in keys:
        main.objects.put(f"raw/{key}", b"1")
    monkeypatch.setattr(landing, "_folds_names", lambda root: True)
    with pytest.raises(ds.Conflict, match="for one name"):
        ds.download(main / "raw/", place / "back")
    assert not (place / "back").exists()


# what is in the way


def test_nothing_is_written_through_a_link_to_a_folder(main, place):
    main.objects.put("raw/sub/a", b"new")
    outside = fill(place / "outside", {"a": b"old"})
    (place / "back").mkdir()
    (place / "back" / "sub").symlink_to(outside)
    for overwrite in (False, True):
        with pytest.raises(UnsafeKey, match="link"):
            ds.download(main / "raw/", place / "back", overwrite=overwrite)
    assert tree(outside) == {"a": b"old"}


def test_a_link_in_the_place_of_a_file_is_replaced_and_what_it_leads_to_stays(main, place):
    main.objects.put("raw/a", b"new")
    outside = fill(place / "outside", {"a": b"old"})
    (place / "back").mkdir()
    (place / "back" / "a").symlink_to(outside / "a")
    with pytest.raises(ds.AlreadyExists):
        ds.download(main / "raw/", place / "back")
    ds.download(main / "raw/", place / "back", overwrite=True)
    assert (tree(outside), tree(place / "back")) == ({"a": b"old"}, {"a": b"new"})
    assert not (place / "back" / "a").is_symlink()


def test_a_link_that_leads_nowhere_is_replaced(main, place):
    main.objects.put("raw/a", b"new")
    (place / "back").mkdir()
    (place / "back" / "a").symlink_to(place / "nowhere" / "x")
    ds.download(main / "raw/", place / "back", overwrite=True)
    assert tree(place / "back") == {"a": b"new"}
    assert not (place / "nowhere").exists()


def test_the_folder_itself_may_be_a_link(main, place):
    main.objects.put("raw/a", b"new")
    (place / "real").mkdir()
    (place / "back").symlink_to(place / "real")
    ds.download(main / "raw/", place / "back")
    assert tree(place / "real") == {"a": b"new"}


def test_a_folder_or_file_of_the_other_kind_in_the_way_is_told_first(main, place):
    main.objects.put("raw/a/b", b"1")
    main.objects.put("raw/z", b"1")
    with pytest.raises(ds.Conflict, match="no folder"):
        ds.download(main / "raw/", fill(place / "file", {"x": b"1"}) / "x")
    for in_the_way in ({"a": b"file"}, {"z/x": b"folder"}):
        back = fill(place / f"back{len(list(place.iterdir()))}", in_the_way)
        with pytest.raises(ds.Conflict):
            ds.download(main / "raw/", back, overwrite=True)
        assert tree(back) == in_the_way


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs somebody who may not write")
def test_a_disk_that_refuses_says_which_file(main, place):
    main.objects.put("raw/a", b"1")
    with pytest.raises(OSError, match="proc"):
        ds.download(main / "raw/", "/proc/self/fdinfo/none")


# the network


def test_08_an_object_that_is_replaced_meanwhile_comes_as_a_whole(cloud, place):
    old, new = os.urandom(20 * MIB), os.urandom(20 * MIB)
    cloud.objects.put("bucket", "d/a.bin", old)
    cloud.on("GetObject", r"d/a\.bin", Swapped(new), nth=2)
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"a.bin": new}


def test_08_one_that_is_replaced_all_the_time_is_an_error_and_leaves_nothing(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", os.urandom(20 * MIB))
    for n in range(1, 13):
        cloud.on("GetObject", r"d/a\.bin", Swapped(os.urandom(20 * MIB)), nth=n)
    with pytest.raises(ds.HeadMoved):
        ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {}


@pytest.mark.parametrize("fault", [Cut(after=100_000), Reset(after=100_000)])
def test_a_body_that_is_cut_off_comes_again(cloud, place, fault):
    data = os.urandom(300_000)
    cloud.objects.put("bucket", "d/a.bin", data)
    cloud.on("GetObject", r"d/a\.bin", fault)
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"a.bin": data}


@pytest.mark.servers
def test_requests(s3, place):
    folder = fill(place / "src", {f"{n:04}": b"%d" % n for n in range(1100)})
    ds.upload(folder, s3)
    with counted() as methods:
        ds.download(s3, place / "back")
    assert methods == {"GET": 2 + 1100}
    with counted() as methods:
        ds.download(s3, place / "back")
    assert methods == {"GET": 2}
    (place / "back" / "0007").write_bytes(b"8")
    with counted() as methods:
        ds.download(s3, place / "back", overwrite=True)
    assert methods == {"GET": 3}
    assert tree(place / "back") == tree(folder)


# as a model


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "e.csv"]), st.binary(max_size=3), min_size=1),
    st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "f"]), st.binary(max_size=3)),
)
def test_afterwards_the_folder_has_all_of_the_source(tmp_path_factory, source, local):
    ds.mount("scratch", "memory", name="download-model")
    provider = provider_of("ds://scratch/")
    provider.delete([found.key for page in provider.list() for found in page.objects])
    for key, data in source.items():
        provider.put(key, data)
    back = fill(tmp_path_factory.mktemp("back"), local)
    differ = sorted(name for name in source.keys() & local.keys() if source[name] != local[name])
    if differ:
        with pytest.raises(ds.AlreadyExists):
            ds.download("ds://scratch", back)
        assert tree(back) == local
    done = ds.download("ds://scratch", back, overwrite=True)
    assert done.changed == differ
    assert tree(back) == {**local, **source}
    assert objects("ds://scratch/") == source


def test_local_to_local_uses_the_bytes_and_not_the_times(place, disk):
    ds.sync(disk, place / "copy")
    (disk / "a.csv").write_bytes(b"id\n2\n")
    os.utime(disk / "a.csv", (1, 1))
    assert ds.sync(disk, place / "copy").changed == ["a.csv"]
    assert tree(place / "copy") == tree(disk)


def test_a_provider_that_is_elsewhere_and_tells_no_hash_is_brought_again(place, monkeypatch):
    import msgspec

    there = MemoryProvider.capabilities.fget
    ds.mount("scratch", "memory", name="no-hash")
    provider_of("ds://scratch/").put("a", b"1")
    monkeypatch.setattr(
        MemoryProvider,
        "capabilities",
        property(lambda self: msgspec.structs.replace(there(self), local=False, digests=False)),
    )
    plain = MemoryProvider.list

    def listed(self, *args, **kwargs):
        for page in plain(self, *args, **kwargs):
            infos = [msgspec.structs.replace(info, digest=None, etag="7") for info in page.objects]
            yield msgspec.structs.replace(page, objects=infos)

    monkeypatch.setattr(MemoryProvider, "list", listed)
    assert ds.sync("ds://scratch", place / "copy").added == ["a"]
    assert ds.sync("ds://scratch", place / "copy").changed == ["a"], "nothing says that it is the same"
    os.utime(place / "copy" / "a", (2**33, 2**33))
    assert ds.sync("ds://scratch", place / "copy", compare="time").skipped == 1
