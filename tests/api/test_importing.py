"""Folders come in whole, or not at all."""

import os
import sys

import pytest

import datastore as ds
from tests.api.helpers import keys, read


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


def assert_refused(branch, error, match, folder, **options):
    before = keys(branch)
    with pytest.raises(error, match=match) as caught:
        branch.import_folder(folder, "raw", **options)
    assert keys(branch) == before
    assert len(branch.uncommitted()) == 0
    return caught.value


def test_a_folder_comes_in_uncommitted(main, folder):
    fill(folder, "a.csv", "sub/deep/b #1.txt", "sub/ü.txt", ".hidden", "empty/x")
    (folder / "nothing").mkdir()
    found = main.import_folder(folder, "raw")
    wanted = ["raw/.hidden", "raw/a.csv", "raw/empty/x", "raw/sub/deep/b #1.txt", "raw/sub/ü.txt"]
    assert found.added == wanted
    assert keys(main, "raw/") == wanted
    assert read(main, "raw/sub/ü.txt") == "sub/ü.txt"
    assert main.objects.head("raw/a.csv").content_type == "text/csv"
    assert len(main.commit("Imported").diff()) == 5


@pytest.mark.parametrize("prefix", ["raw", "raw/", ""])
def test_the_answer_is_what_is_uncommitted_under_the_prefix(main, folder, prefix):
    main.objects.put("rawer/x", b"1")
    fill(folder, "b.txt")
    found = main.import_folder(str(folder), prefix)
    assert found.added == (["raw/b.txt"] if prefix else ["b.txt", "rawer/x"])


def test_importing_again_changes_nothing(main, folder):
    fill(folder, "a.csv", "sub/b.txt")
    main.import_folder(folder, "raw")
    main.commit("Imported")
    assert len(main.import_folder(folder, "raw")) == 0
    (folder / "a.csv").write_text("new")
    assert main.import_folder(folder, "raw").changed == ["raw/a.csv"]


def test_the_ignore_file_and_patterns(main, folder):
    fill(folder, "a.csv", "b.tmp", "sub/c.tmp", "keep.tmp", "build/x", "sub/build/y", "top.txt", "sub/top.txt")
    fill(folder, ".git/config", "sub/.git/config", ".datastore/x", ".DS_Store")
    (folder / ".datastoreignore").write_text("# temporary\n*.tmp\n!keep.tmp\nbuild/\n\n/top.txt\n")
    found = main.import_folder(folder, "raw")
    assert found.added == ["raw/a.csv", "raw/keep.tmp", "raw/sub/top.txt"]
    main.reset()
    found = main.import_folder(folder, "raw", ignore=["sub/", "keep.*"])
    assert found.added == ["raw/a.csv"]


def test_one_pattern_need_not_be_in_a_list(main, folder):
    fill(folder, "a.csv", "b.tmp")
    assert main.import_folder(folder, "raw", ignore="*.tmp").added == ["raw/a.csv"]


def test_a_pattern_that_means_nothing_is_named(main, folder):
    fill(folder, "a.csv")
    assert_refused(main, ds.ValidationError, "!", folder, ignore=["*.tmp", "!"])
    (folder / ".datastoreignore").write_bytes(b"\xff\xfe")
    assert_refused(main, ds.ValidationError, "datastoreignore", folder)


def test_a_symlinked_file_comes_in_with_its_bytes(main, folder, tmp_path):
    (tmp_path / "elsewhere.txt").write_text("bytes")
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    main.import_folder(folder, "raw")
    assert read(main, "raw/link.txt") == "bytes"


def test_a_symlinked_folder_is_refused_by_name(main, folder, tmp_path):
    fill(tmp_path, "other/x")
    fill(folder, "a.csv", "sub/b.csv")
    (folder / "sub" / "link").symlink_to(tmp_path / "other")
    error = assert_refused(main, ds.ValidationError, "link", folder)
    assert "sub/link" in error.hint
    assert main.import_folder(folder, "raw", ignore=["sub/link"]).added == ["raw/a.csv", "raw/sub/b.csv"]


def test_a_loop_of_links_ends(main, folder):
    (folder / "self").symlink_to(folder)
    assert_refused(main, ds.ValidationError, "self", folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_by_name_and_nothing_waits_for_it(main, folder):
    fill(folder, "a.csv")
    os.mkfifo(folder / "pipe")
    assert_refused(main, ds.ValidationError, "pipe", folder)


def test_a_dangling_link_is_refused_by_name(main, folder):
    (folder / "gone.csv").symlink_to(folder / "nowhere")
    assert_refused(main, ds.ValidationError, r"gone\.csv", folder)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes only there")
@pytest.mark.parametrize("name", [b"a::b.csv", b"bad\xff.csv"])
def test_a_name_that_cannot_be_a_key_is_refused(main, folder, name):
    fill(folder, "a.csv", os.fsdecode(name), "z.csv")
    assert_refused(main, ds.InvalidURL, "key", folder)


def test_a_key_that_is_too_long_is_refused(main, folder):
    fill(folder, "a.csv", "/".join(["x" * 200] * 5) + "/" + "y" * 100)
    assert_refused(main, ds.TooLarge, "bytes", folder)


@pytest.mark.parametrize("prefix", ["/raw", "a//b", "../up", "."])
def test_a_prefix_that_cannot_be_one_is_refused(main, folder, prefix):
    fill(folder, "a.csv")
    with pytest.raises(ds.ValidationError):
        main.import_folder(folder, prefix)
    assert len(main.uncommitted()) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that even root cannot read")  # noqa: PTH110
@pytest.mark.parametrize("reflink", [False, True])
def test_one_file_that_cannot_be_read_keeps_all_out(main, folder, reflink):
    fill(folder, *(f"{i:04}.txt" for i in range(600)))  # more than one batch comes before it
    (folder / "bad.bin").symlink_to("/proc/self/mem")
    assert_refused(main, OSError, r"bad\.bin", folder, reflink=reflink)


def test_what_is_no_folder_is_named(main, folder, tmp_path):
    fill(tmp_path, "file.csv")
    for path in (tmp_path / "folder-2", tmp_path / "file.csv"):
        assert_refused(main, ds.NotFound, path.name, path)


def test_importing_to_what_cannot_be_written(repo, main, folder):
    fill(folder, "a.csv")
    repo.create_tag("v1", "main")
    with pytest.raises(ds.Forbidden, match="tag"):
        repo.branch("v1").import_folder(folder)
    with pytest.raises(ds.NotFound, match="mian"):
        repo.branch("mian").import_folder(folder)
    main.protect()
    with pytest.raises(ds.Forbidden, match="protected"):
        main.import_folder(folder)


def test_a_shared_or_copied_file_is_a_version_of_its_own(main, folder):
    data = os.urandom(300_000)
    (folder / "big.bin").write_bytes(data)
    (folder / "small.bin").write_bytes(b"small")
    main.import_folder(folder, "raw", reflink=True)
    with (folder / "big.bin").open("r+b") as file:
        file.write(b"changed in place")
    (folder / "small.bin").unlink()
    with main.objects.read("raw/big.bin") as reader:
        assert reader.read() == data
    assert read(main, "raw/small.bin") == "small"
    assert (folder / "big.bin").read_bytes() == b"changed in place" + data[16:]


def test_thousands_of_small_files(main, folder):
    names = [f"{i % 30:02}/{i:05}.txt" for i in range(3000)]
    for name in sorted({name.partition("/")[0] for name in names}):
        (folder / name).mkdir()
    for name in names:
        (folder / name).write_text(name)
    assert len(main.import_folder(folder, "raw")) == 3000
    main.commit("Imported")
    assert keys(main, "raw/") == sorted(f"raw/{name}" for name in names)
    assert read(main, "raw/07/00007.txt") == "07/00007.txt"
