"""ls, find, glob, walk, du, tree: what they show, and that they ask once."""

import pytest

from datastore.errors import NotFound, ValidationError

FILES = ["a.csv", "d/b.csv", "d/e/c.csv", "d/e/f/g.csv", "dd/h.csv"]


@pytest.fixture
def tree(fs, base):
    fs.pipe({f"{base}/{key}": key.encode() for key in FILES})
    return base


def test_ls(fs, tree):
    assert fs.ls(tree, detail=False) == [f"{tree}/a.csv", f"{tree}/d", f"{tree}/dd"]
    infos = fs.ls(f"ds://{tree}/d/")
    assert [(info["name"], info["type"], info["size"]) for info in infos] == [
        (f"{tree}/d/b.csv", "file", 7),
        (f"{tree}/d/e", "directory", 0),
    ]
    assert infos[0] == fs.info(f"{tree}/d/b.csv")
    assert fs.ls(f"{tree}/a.csv") == [fs.info(f"{tree}/a.csv")]
    assert fs.ls(f"{tree}/a.csv", detail=False) == [f"{tree}/a.csv"]
    with pytest.raises(NotFound):
        fs.ls(f"{tree}/missing")


def test_an_empty_mount_lists_nothing(fs, base):
    assert fs.ls(base) == []
    assert fs.find(base) == []
    assert fs.isdir(base)
    assert not fs.exists(f"{base}/x")


def test_find(fs, tree):
    everything = [f"{tree}/{key}" for key in FILES]
    assert fs.find(tree) == everything
    assert fs.find(f"{tree}/d") == everything[1:4]
    assert fs.find(f"{tree}/d", maxdepth=1) == everything[1:2]
    assert fs.find(f"{tree}/d", maxdepth=2) == everything[1:3]
    assert fs.find(f"{tree}/a.csv") == everything[:1]
    assert fs.find(f"{tree}/missing") == []
    assert fs.find(tree, prefix="d") == everything[1:]
    assert fs.find(tree, prefix="d/") == everything[1:4]
    assert fs.find(tree, maxdepth=1, withdirs=True) == [tree, f"{tree}/a.csv", f"{tree}/d", f"{tree}/dd"]
    found = fs.find(tree, withdirs=True, detail=True)
    dirs = [name for name, info in found.items() if info["type"] == "directory"]
    assert dirs == [tree, f"{tree}/d", f"{tree}/d/e", f"{tree}/d/e/f", f"{tree}/dd"]
    assert found[f"{tree}/a.csv"] == fs.info(f"{tree}/a.csv")
    with pytest.raises(ValidationError, match="maxdepth"):
        fs.find(tree, maxdepth=0)


def test_find_in_an_unknown_place_is_an_error(fs, repo):
    for path in ("garments@typo", "garmens", "garments@typo/x"):
        with pytest.raises(NotFound):
            fs.find(path)


def test_find_below_the_root(fs, mem, other):
    fs.pipe({f"{mem}/a/b": b"", f"{other}/c": b""})
    assert fs.find("") == [f"{mem}/a/b", f"{other}/c"]
    assert fs.find("", maxdepth=2, withdirs=True) == [mem, f"{mem}/a", other, f"{other}/c"]
    assert fs.glob("*/c") == [f"{other}/c"]
    assert fs.glob("o*") == [other]


def test_glob(fs, tree):
    assert fs.glob(f"{tree}/*.csv") == [f"{tree}/a.csv"]
    assert fs.glob(f"{tree}/*/*.csv") == [f"{tree}/d/b.csv", f"{tree}/dd/h.csv"]
    assert fs.glob(f"ds://{tree}/d/**/*.csv") == [f"{tree}/d/b.csv", f"{tree}/d/e/c.csv", f"{tree}/d/e/f/g.csv"]
    assert fs.glob(f"{tree}/d*/") == [f"{tree}/d", f"{tree}/dd"]
    assert fs.glob(f"{tree}/[x]*") == []
    assert fs.glob(f"{tree}/a.csv") == [f"{tree}/a.csv"]
    assert fs.glob(f"{tree}/missing") == []


def test_walk_and_du(fs, tree):
    assert [(path, dirs, files) for path, dirs, files in fs.walk(f"{tree}/d")] == [
        (f"{tree}/d", ["e"], ["b.csv"]),
        (f"{tree}/d/e", ["f"], ["c.csv"]),
        (f"{tree}/d/e/f", [], ["g.csv"]),
    ]
    assert fs.du(tree) == sum(map(len, FILES))
    assert fs.du(f"{tree}/d", total=False) == {f"{tree}/{key}": len(key) for key in FILES[1:4]}
    assert fs.du(f"{tree}/d", total=False, maxdepth=1) == {f"{tree}/d/b.csv": 7}
    assert fs.du(f"{tree}/a.csv") == 5


def test_tree(fs, tree):
    assert "b.csv" in fs.tree(tree)


def test_an_object_and_a_prefix_of_one_name(fs, mem):
    fs.pipe({f"{mem}/a": b"1", f"{mem}/a/b": b"2"})
    assert fs.info(f"{mem}/a")["type"] == "file"
    assert fs.ls(f"{mem}/a", detail=False) == [f"{mem}/a/b"]
    assert fs.find(mem) == [f"{mem}/a", f"{mem}/a/b"]
    fs.rm(f"{mem}/a", recursive=True)
    assert fs.find(mem) == []


def test_what_other_tools_wrote_under_odd_keys_is_shown(fs, mem):
    from datastore import namespace
    from datastore.providers.memory import _Object
    from datastore.values import ObjectInfo

    provider = namespace.current().target(mem).provider
    for key in ("marked/", "a//b"):
        info = ObjectInfo(key=key, size=1, modified_us=0, etag="1", identity=key)
        provider._objects[key] = _Object(info, b"1")
    assert fs.find(mem) == [f"{mem}/a//b"]
    assert fs.cat_file(f"{mem}/a//b") == b"1"
    assert fs.ls(mem, detail=False) == [f"{mem}/a", f"{mem}/marked"]
    assert fs.isdir(f"{mem}/marked")
    assert fs.ls(f"{mem}/marked") == []


def test_one_question_for_each_listing(fs, mem, counts):
    fs.pipe({f"{mem}/d{n}/{m}": b"" for n in range(50) for m in range(3)})
    counts.clear()
    assert len(fs.ls(mem)) == 50
    assert counts == {"list": 1}
    counts.clear()
    assert len(fs.find(mem)) == 150
    assert counts == {"list": 1}
    counts.clear()
    assert len(fs.glob(f"{mem}/d1*/*")) == 33
    assert counts == {"list": 1}
    counts.clear()
    assert fs.du(mem) == 0
    assert counts == {"list": 1}


def test_listings_of_a_branch_are_not_remembered(fs, repo):
    assert fs.ls("garments@main") == []
    fs.pipe_file("garments@main/a", b"")
    assert fs.ls("garments@main", detail=False) == ["garments@main/a"]
    fs.rm("garments@main/a")
    assert not fs.exists("garments@main/a")


def test_listings_of_a_commit_are_remembered(fs, repo, counts):
    fs.pipe({"garments@main/d/a": b"1", "garments@main/d/b": b"2"})
    commit = repo.branch("main").commit("first")
    counts.clear()
    for _ in range(3):
        assert fs.ls(f"garments@{commit.id}/d", detail=False) == [
            f"garments@{commit.id}/d/a",
            f"garments@{commit.id}/d/b",
        ]
        assert fs.info(f"garments@{commit.id}/d/a")["size"] == 1
        assert fs.isdir(f"garments@{commit.id}")
    assert counts == {"list": 1}
    fs.ls(f"garments@{commit.id}/d")[0]["size"] = 99
    assert fs.info(f"garments@{commit.id}/d/a")["size"] == 1
