"""UPath: `ds://` URLs as `pathlib` has paths."""

import pickle

import pandas as pd
import pytest
from upath import UPath

import datastore as ds
from tests.engines.helpers import change, committed


@pytest.fixture
def root(url):
    return UPath(url)


def test_the_class_comes_by_its_entry_point(branch):
    assert type(UPath(f"ds://{branch}/a")).__name__ == "DatastorePath"


def test_parts(branch):
    path = UPath(f"ds://{branch}/a b/t.tar.gz")
    assert (path.drive, path.root, path.anchor) == ("garments@main", "/", "garments@main/")
    assert path.parts == ("garments@main/", "a b", "t.tar.gz")
    assert (path.name, path.stem, path.suffix, path.suffixes) == ("t.tar.gz", "t.tar", ".gz", [".tar", ".gz"])
    assert str(path) == path.as_uri() == f"ds://{branch}/a b/t.tar.gz"
    assert path.path == f"{branch}/a b/t.tar.gz"
    assert str(path.parent) == f"ds://{branch}/a b"
    assert [str(parent) for parent in path.parents] == [f"ds://{branch}/a b", f"ds://{branch}/"]
    assert path.relative_to(f"ds://{branch}/a b") is not None
    assert path.with_name("x.csv").path == f"{branch}/a b/x.csv"
    assert path.with_suffix(".zip").name == "t.tar.zip"
    assert (path / "x" / "#1?.csv").path == f"{branch}/a b/t.tar.gz/x/#1?.csv"
    assert path.is_absolute()
    assert UPath(f"ds://{branch}").parent == UPath(f"ds://{branch}")


def test_reading_and_writing(root):
    path = root / "d" / "a.txt"
    assert not path.exists()
    path.write_text("one\ntwo\n")
    assert path.read_text() == "one\ntwo\n"
    assert path.read_bytes() == b"one\ntwo\n"
    with path.open("a") as file:
        file.write("three\n")
    with path.open() as file:
        assert list(file) == ["one\n", "two\n", "three\n"]
    assert (path.is_file(), path.is_dir(), path.parent.is_dir(), root.is_dir()) == (True, False, True, True)
    stat = path.stat()
    assert (stat.st_size, stat.st_mtime > 1_000_000_000) == (14, True)
    with pytest.raises(FileExistsError):
        path.touch(exist_ok=False)
    path.unlink()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.unlink()
    path.unlink(missing_ok=True)


def test_listing(root):
    for name in ("a.txt", "d/b.txt", "d/e/c.txt"):
        (root / name).write_text(name)
    assert sorted(str(path.relative_to(root)) for path in root.iterdir()) == ["a.txt", "d"]
    assert sorted(path.name for path in root.glob("**/*.txt")) == ["a.txt", "b.txt", "c.txt"]
    assert sorted(path.name for path in root.rglob("*.txt")) == ["a.txt", "b.txt", "c.txt"]
    assert [path.name for path in (root / "d").glob("*.txt")] == ["b.txt"]
    assert {str(top.relative_to(root)) for top, _, _ in root.walk()} == {".", "d", "d/e"}
    assert all(path == root / path.relative_to(root) for path in root.rglob("*"))
    with pytest.raises(NotADirectoryError):
        list((root / "a.txt").iterdir())


def test_moving(root):
    path = root / "d" / "a.txt"
    path.write_text("a")
    moved = path.rename("b.txt")
    assert (moved, moved.read_text(), path.exists()) == (root / "d" / "b.txt", "a", False)
    again = moved.rename(root / "c.txt")
    assert (again, again.read_text(), moved.exists()) == (root / "c.txt", "a", False)
    again = again.replace(root / "x" / "c.txt")
    assert again.read_text() == "a"
    assert [path.name for path in root.iterdir()] == ["x"]


def test_moving_to_another_place(branch, mem):
    (UPath(f"ds://{branch}") / "a.txt").write_text("a")
    moved = UPath(f"ds://{branch}/a.txt").rename(f"ds://{mem}/a.txt")
    assert str(moved) == f"ds://{mem}/a.txt"
    assert moved.read_text() == "a"


def test_a_path_shows_what_is_there_now(branch):
    path = UPath(f"ds://{branch}/a.txt")
    change(path.path, b"1")
    assert path.read_text() == "1"
    committed(branch)
    change(path.path, b"2")
    assert (path.parent / "a.txt").read_text() == "2"
    committed(branch)
    assert path.read_text() == path.with_name("a.txt").read_text() == "2"


def test_equal_paths_are_equal_whenever_they_were_made(branch):
    change(f"{branch}/a", b"1")
    first = UPath(f"ds://{branch}/a")
    committed(branch)
    second = UPath(f"ds://{branch}/a")
    assert first == second
    assert hash(first) == hash(second)
    assert dict(first.storage_options) == {}


def test_pins_that_are_asked_for(branch):
    change(f"{branch}/a", b"1")
    commit = committed(branch).partition("@")[2]
    change(f"{branch}/a", b"2")
    committed(branch)
    path = UPath(f"ds://{branch}/a", pins=f"{branch}={commit}")
    assert path.read_text() == "1"
    assert (path.parent / "a").read_text() == "1"
    assert UPath(f"ds://garments@{commit}/a").read_text() == "1"


def test_pickles(root):
    (root / "a").write_text("1")
    again = pickle.loads(pickle.dumps(root / "a"))
    assert again == root / "a"
    assert again.read_text() == "1"


def test_commits_are_read_only(branch):
    change(f"{branch}/a", b"1")
    path = UPath(f"ds://{committed(branch)}/a")
    with pytest.raises(OSError, match="cannot be written to"):
        path.write_text("2")
    assert path.read_text() == "1"


def test_folders_exist_by_what_is_in_them(root):
    (root / "d").mkdir(parents=True)
    (root / "d" / "a").write_text("1")
    with pytest.raises(FileExistsError):
        (root / "d").mkdir()
    (root / "d").mkdir(exist_ok=True)
    (root / "d").rmdir()


def test_the_root_has_repos_and_mounts(branch, mem):
    assert {str(path) for path in UPath("ds://").iterdir()} >= {"ds://garments/", f"ds://{mem}/"}


def test_libraries_take_a_path_where_they_take_a_url(branch):
    path = UPath(f"ds://{branch}/t.csv")
    pd.DataFrame({"a": [1]}).to_csv(str(path), index=False)
    assert pd.read_csv(path.as_uri())["a"].tolist() == [1]
    assert ds.url(str(path)) == (ds.repo("garments").branch("main") / "t.csv")


def test_an_abandoned_writer_publishes_nothing(branch):
    path = UPath(f"ds://{branch}/a.txt")
    with pytest.raises(ValueError, match="stop here"), path.open("w") as file:
        file.write("half")
        raise ValueError("stop here")
    assert not path.exists()
