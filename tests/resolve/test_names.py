"""Names of keys on a disk: inside their folder, all different, wherever the disk is."""

import os
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import datastore as ds
from datastore.cachestore.portable import portable_name, portable_names
from tests.resolve.helpers import tree

WORDS = [
    "..",
    ".",
    "",
    "a",
    "A",
    "CON.txt",
    "nul",
    "com1.tar.gz",
    "C:",
    "\\\\host\\share",
    "a\\..\\b",
    "\0",
    "x" * 300,
    "é",
    "e\u0301",
]
WORDS += [
    "a.",
    "a ",
    " a",
    ".hidden",
    "~",
    "ß",
    "SS",
    "\udcff",
    "a:b",
    "b|c?.png",
    "日本" * 100 + ".parquet",
    "a~ca9781",
]
SEGMENT = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
KEYS = st.lists(st.lists(SEGMENT, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)


def folded(name):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@given(KEYS)
@example(["a", "A", "a/b", "a~ca9781"])
@example(["a//b", "a/b", "/a/b", "a/b/"])
def test_s17_names_stay_inside_are_all_different_and_no_file_is_a_folder(keys):
    names = portable_names(keys)
    assert sorted(names) == sorted(keys)
    paths = [folded(name) for name in names.values()]
    assert len(set(paths)) == len(paths)
    for name in names.values():
        segments = name.split("/")
        assert all(segment not in {"", ".", ".."} for segment in segments)
        assert len(PurePosixPath(name).parts) == len(segments)
        windows = PureWindowsPath(name)
        assert (windows.drive, windows.root, len(windows.parts)) == ("", "", len(segments))
        assert not windows.is_reserved()
        assert all(len(segment.encode()) <= 255 and segment[-1] not in ". " for segment in segments)
        assert not set(name) & set('\0<>:"\\|?*')
    folders = {folded(str(parent)) for name in names.values() for parent in PurePosixPath(name).parents}
    assert not folders & set(paths)


@given(KEYS)
def test_s17_plain_names_stay_as_they_are_and_the_order_of_keys_does_not_matter(keys):
    assert portable_names(keys) == portable_names(reversed(keys))
    alone = [key for key in keys if all(portable_name(part) == part for part in key.split("/"))]
    if len({folded(key) for key in alone}) == len(alone) == 1:
        assert portable_names(alone) == {alone[0]: alone[0]}


@pytest.mark.parametrize(
    ("name", "suffix"), [("x" * 300 + ".parquet", ".parquet"), ("NUL.tar.gz", ".gz"), ("a:b.png", ".png")]
)
def test_the_suffix_is_kept(name, suffix):
    assert os.path.splitext(portable_name(name))[1] == suffix  # noqa: PTH122


def test_s17_a_folder_of_hostile_keys_stays_inside(cloud, place):
    keys = [
        "../../up.bin",
        "a/../../b.bin",
        "/abs.bin",
        "C:\\win.bin",
        "a//b.bin",
        "CON.txt",
        "A.png",
        "a.png",
        "n" * 260 + ".csv",
    ]
    for number, key in enumerate(keys):
        cloud.objects.put("bucket", f"d/{key}", b"%d" % number)
    before = {path for path in place.rglob("*") if not path.is_relative_to(place / "cache")}
    found = ds.resolve("ds://cloud/d/")
    assert sorted(tree(found).values()) == [b"%d" % number for number in range(len(keys))]
    assert {path for path in place.rglob("*") if not path.is_relative_to(place / "cache")} == before
    assert all(path.resolve().is_relative_to(found) for path in found.rglob("*"))


def test_s16_no_secret_reaches_the_cache(cloud, place):
    ds.mount(
        "hidden",
        "s3",
        bucket="bucket",
        endpoint=cloud.endpoint,
        region="us-east-1",
        access_key_id="key",
        secret_access_key="pl4nted",
    )
    cloud.objects.put("bucket", "d/a.bin", b"1")
    ds.resolve("ds://hidden/d/")
    ds.resolve("ds://hidden/d/a.bin")
    for path in place.rglob("*"):
        assert "pl4nted" not in path.name
        assert not path.is_file() or b"pl4nted" not in path.read_bytes()


@pytest.mark.parametrize("key", ["model.onnx", "a/CON.onnx", "b/" + "é" * 200 + ".onnx"])
def test_a_file_keeps_its_suffix(main, key):
    main.objects.put(key, b"1")
    assert ds.resolve(main / key).suffix == ".onnx"
