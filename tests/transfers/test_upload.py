"""ds.upload: files and folders, onto every kind of store."""

import os
import sys
import threading

import pytest

import datastore as ds
from datastore.providers.lakefs import sending
from datastore.values import Attributes
from tests.transfers.helpers import MIB, counted, fill, objects, provider_of, tree


def test_a_folder_goes_up_and_the_second_time_there_is_nothing_to_do(there, disk):
    told = ds.upload(disk, there, dry_run=True)
    assert (told.copied, told.skipped, told.bytes) == (
        ["a.csv", "big.bin", "deep/b #1.txt", "deep/ü/leer"],
        0,
        3_000_006,
    )
    assert objects(there) == {}, "a dry run writes nothing"
    done = ds.upload(disk, there)
    assert (list(done), done.dry_run) == (list(told), False)
    assert objects(there) == tree(disk)
    again = ds.upload(disk, there)
    assert (again.copied, again.skipped, again.skipped_bytes) == ([], 4, 3_000_006)
    (disk / "a.csv").write_bytes(b"id\n2\n")  # of the same size
    (disk / "new.csv").write_bytes(b"1")
    told = ds.upload(disk, there, dry_run=True)
    assert (told.added, told.changed, told.skipped) == (["new.csv"], ["a.csv"], 3)
    assert list(ds.upload(disk, there)) == list(told)
    assert objects(there) == tree(disk)


def test_a_slash_at_the_end_of_a_prefix_does_not_matter(there, disk):
    ds.upload(disk, there.rstrip("/"))
    assert ds.upload(str(disk) + "/", there).skipped == 4


def test_a_file_gets_the_key_or_its_own_name(there, disk):
    assert ds.upload(disk / "a.csv", there).copied == ["a.csv"]
    assert ds.upload(disk / "a.csv", there / "other.csv").copied == ["other.csv"]
    assert objects(there) == {"a.csv": b"id\n1\n", "other.csv": b"id\n1\n"}
    assert ds.upload(disk / "a.csv", there / "other.csv").skipped == 1
    (disk / "a.csv").write_bytes(b"id\n2\n")
    assert ds.upload(disk / "a.csv", there / "other.csv").changed == ["other.csv"]


def test_a_file_onto_a_branch_without_a_key(main, disk):
    ds.upload(disk / "a.csv", main / "")
    assert objects("ds://garments@main/") == {"a.csv": b"id\n1\n"}


def test_what_else_is_there_stays(there, disk):
    provider_of(there).put("raw/old", b"1")
    provider_of(there).put("rawer", b"1")
    ds.upload(disk, there)
    assert objects(there)["old"] == b"1"


def test_an_empty_folder_is_nothing_to_do(there, place):
    (place / "empty" / "within").mkdir(parents=True)
    done = ds.upload(place / "empty", there)
    assert (len(done), done.skipped, objects(there)) == (0, 0, {})


def test_what_is_not_there_is_named(main, disk):
    with pytest.raises(ds.NotFound, match="gone"):
        ds.upload(disk / "gone", main / "raw/")
    with pytest.raises(ds.NotFound, match="mian"):
        ds.upload(disk, "ds://garments@mian/raw/")
    with pytest.raises(ds.NotFound, match="mian"):
        ds.upload(disk, "ds://garments@mian/raw/", dry_run=True)
    with pytest.raises(ds.ValidationError, match="lie in each other"):
        ds.upload(disk, disk / "deep")
    with pytest.raises(ds.InvalidURL, match="no local path"):
        ds.upload("ds://garments@main/raw/", "data/")
    with pytest.raises(ds.ValidationError, match="compare"):
        ds.upload(disk, main / "raw/", compare="mtime")


def test_tags_and_protected_branches_are_no_dest(main, disk):
    main.objects.put("a", b"1")
    main.repo.create_tag("v1", main.commit("One"))
    with pytest.raises(ds.Forbidden, match="v1"):
        ds.upload(disk, "ds://garments@v1/raw/")
    main.protect()
    with pytest.raises(ds.Forbidden):
        ds.upload(disk, main / "raw/")


def test_patterns_choose_as_they_do_elsewhere(main, place):
    folder = fill(place / "src", {"a.csv": b"1", "a.tmp": b"1", "sub/b.csv": b"1", "sub/c.png": b"1", ".git/x": b"1"})
    (folder / ".datastoreignore").write_text("*.tmp\n")
    assert ds.upload(folder, main / "raw/", dry_run=True).copied == ["a.csv", "sub/b.csv", "sub/c.png"]
    assert ds.upload(folder, main / "raw/", ignore="sub/", dry_run=True).copied == ["a.csv"]
    assert ds.upload(folder, main / "raw/", allow_patterns="*.csv", dry_run=True).copied == ["a.csv", "sub/b.csv"]
    assert ds.upload(folder, main / "raw/", allow_patterns=["sub/", "x"], ignore=["*.png"]).copied == ["sub/b.csv"]


def test_files_in_the_making_do_not_go_along(main, disk):
    (disk / ".datastore-tmp-0123456789abcdef").write_bytes(b"half")
    assert len(ds.upload(disk, main / "raw/")) == 4


def test_links_to_files_are_sent_and_links_to_folders_refused_by_name(there, disk, place):
    (disk / "link.csv").symlink_to(disk / "a.csv")
    (disk / "outside.txt").symlink_to(fill(place / "elsewhere", {"x": b"bytes"}) / "x")
    ds.upload(disk, there)
    assert (objects(there)["link.csv"], objects(there)["outside.txt"]) == (b"id\n1\n", b"bytes")
    (disk / "sub").symlink_to(place / "elsewhere")
    with pytest.raises(ds.ValidationError, match="sub"):
        ds.upload(disk, there)
    assert ds.upload(disk, there, ignore="sub").skipped == 6


def test_names_that_differ_in_case_or_form_are_two_objects(there, place):
    folder = fill(place / "src", {"a.png": b"1", "A.png": b"2", "\u00e9": b"3", "e\u0301": b"4"})
    if len(tree(folder)) < 4:
        pytest.skip("this disk folds names")
    ds.upload(folder, there)
    assert objects(there) == tree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes only there")
def test_a_name_that_cannot_be_a_key_is_refused_before_anything_is_sent(there, disk):
    (disk / os.fsdecode(b"bad\xff.csv")).write_bytes(b"1")
    with pytest.raises(ds.InvalidURL, match="key"):
        ds.upload(disk, there)
    assert objects(there) == {}


def test_a_message_commits_and_nothing_to_commit_is_fine(main, disk):
    first = ds.upload(disk, main / "raw/", message="Raw data")
    assert (first.commit, main.head.message, len(main.uncommitted())) == (main.head, "Raw data", 0)
    again = ds.upload(disk, main / "raw/", message="Again")
    assert (again.commit, main.head.message, len(main.log())) == (first.commit, "Raw data", 2)
    told = ds.upload(disk, main / "raw2/", message="No", dry_run=True)
    assert (told.commit, main.head.message) == (None, "Raw data")


def test_a_message_needs_commits(disk):
    scratch = ds.mount("scratch", "memory", name="no-commits")
    with pytest.raises(ds.ValidationError, match="commits"):
        ds.upload(disk, scratch / "raw/", message="Raw")
    assert objects("ds://scratch/") == {}


@pytest.mark.servers
def test_a_message_commits_on_a_server(lake, disk):
    assert ds.upload(disk, lake, message="Raw data").commit.message == "Raw data"
    again = ds.upload(disk, lake, message="Raw data")
    assert (again.commit.message, again.skipped) == ("Raw data", 4)
    assert len(ds.repo(lake.mount).branch("main").log()) == 2


def test_on_the_embedded_store_all_or_none(main, disk):
    with pytest.raises(OSError, match=r"bad\.bin"):
        (disk / "bad.bin").symlink_to("/proc/self/mem")
        ds.upload(disk, main / "raw/")
    assert len(main.uncommitted()) == 0


def test_attributes_of_what_has_the_bytes_already_stay(main, disk):
    dressed = Attributes(content_type="application/x-mine", metadata={"n": "1"})
    main.objects.put("raw/a.csv", b"id\n1\n", attributes=dressed)
    assert ds.upload(disk, main / "raw/").skipped == 1
    assert dict(main.objects.head("raw/a.csv").metadata) == {"n": "1"}
    (disk / "a.csv").write_bytes(b"id\n2\n")
    assert ds.upload(disk, main / "raw/").changed == ["a.csv"]


def test_content_types_follow_the_extension(there, disk):
    ds.upload(disk, there)
    assert provider_of(there).head("raw/a.csv").content_type == "text/csv"


def test_a_time_is_believed_only_if_it_is_asked_for(there, disk):
    ds.upload(disk, there)
    (disk / "a.csv").write_bytes(b"id\n2\n")
    os.utime(disk / "a.csv", (1, 1))  # as `cp -p` and `tar -x` do
    assert ds.upload(disk, there, dry_run=True).changed == ["a.csv"]


def test_a_time_that_is_too_close_is_not_believed(main, disk):
    ds.upload(disk, main / "raw/")
    (disk / "a.csv").write_bytes(b"id\n2\n")
    assert ds.upload(disk, main / "raw/", compare="time", dry_run=True).changed == ["a.csv"]


def test_each_file_is_read_once_on_its_way_into_the_embedded_store(main, disk, monkeypatch):
    ds.upload(disk, main / "raw/")
    read = []
    from datastore.embedded.batch import Batch
    from datastore.transfers.sides import Side

    original = Batch._read_one
    monkeypatch.setattr(Batch, "_read_one", lambda self, source: read.append(source.name) or original(self, source))
    monkeypatch.setattr(Side, "chunks", lambda *_: pytest.fail("hashed once more"))
    (disk / "a.csv").write_bytes(b"id\n2\n")
    assert ds.upload(disk, main / "raw/").changed == ["a.csv"]
    assert sorted(read) == ["a.csv", "b #1.txt", "big.bin", "leer"]


class _Callback:
    """What fsspec's callbacks are told."""

    def __init__(self):
        self.size, self.value, self.bytes = None, 0, 0

    def set_size(self, size):
        self.size = size

    def relative_update(self, inc=1):
        self.value += inc

    def branched(self, path_1, path_2, **_):
        parent = self

        class Child:
            def set_size(self, size):
                pass

            def relative_update(self, inc=1):
                assert threading.current_thread() is threading.main_thread()
                parent.bytes += inc

            def close(self):
                pass

        return Child()


def test_progress_is_told_in_objects_and_bytes(there, disk, place):
    callback = _Callback()
    ds.upload(disk, there, callback=callback)
    assert (callback.size, callback.value, callback.bytes) == (4, 4, 3_000_006)
    callback = _Callback()
    ds.download(there, place / "back", callback=callback)
    assert (callback.size, callback.value, callback.bytes) == (4, 4, 3_000_006)
    callback = _Callback()
    ds.sync(there, place / "synced", callback=callback)
    assert (callback.size, callback.value, callback.bytes) == (4, 4, 3_000_006)


@pytest.mark.servers
def test_the_second_upload_of_thousands_costs_only_listings(s3, place):
    folder = fill(place / "src", {f"{n % 20:02}/{n:04}": b"%d" % n for n in range(2000)})
    with counted() as methods:
        ds.upload(folder, s3)
    assert methods["PUT"] == 2000
    with counted() as methods:
        assert ds.upload(folder, s3).skipped == 2000
    assert methods == {"GET": 2}
    (folder / "00" / "0000").write_bytes(b"x")
    with counted() as methods:
        assert ds.upload(folder, s3).changed == ["00/0000"]
    assert methods == {"GET": 2, "PUT": 1}
    with counted() as methods:
        ds.upload(folder / "00" / "0000", s3 / "00/")
    assert methods == {"HEAD": 1}


@pytest.mark.servers
def test_the_second_upload_to_a_server_with_branches_costs_only_listings(lake, place):
    folder = fill(place / "src", {f"{n % 20:02}/{n:04}": b"%d" % n for n in range(300)})
    with counted() as methods:
        ds.upload(folder, lake)
    assert methods["POST"] == 300
    with counted() as methods:
        assert ds.upload(folder, lake).skipped == 300
    assert methods.keys() == {"GET"}
    assert methods["GET"] <= 1 + 1


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["s3", "lake"])
def test_large_files_are_known_by_the_etags_of_their_parts(kind, request, place, monkeypatch):
    monkeypatch.setattr(sending, "ONE_PUT", 10 * MIB)
    there = request.getfixturevalue(kind)
    folder = fill(place / "src", {"large.bin": os.urandom(20 * MIB)})
    ds.upload(folder, there)
    assert "-" in provider_of(there).head("raw/large.bin").etag
    with counted() as methods:
        assert ds.upload(folder, there).skipped == 1
    assert methods == ({"HEAD": 1} if kind == "s3" else {"GET": 1})
    assert ds.download(there, place / "back").copied == ["large.bin"]
    assert ds.download(there, place / "back").skipped == 1
