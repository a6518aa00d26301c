import base64

import pytest

import datastore as ds


def read(url):
    target = ds.url(url)
    return ds.repo(target.mount).branch(target.ref or "main").objects.read(target.key).read()


def test_ls_without_a_url_lists_repos_and_mounts(run, garments, folder):
    ds.mount("disk", "local", path=str(folder))
    assert run("ls").rows == [["ds://disk/"], ["ds://garments/"]]


def test_ls_lists_one_level_or_all(run, garments):
    assert run("ls", "ds://garments").rows == [["ds://garments/images/"], ["ds://garments/train.csv"]]
    assert run("ls", "garments@v1/images").rows == [["ds://garments@v1/images/a.png"]]
    found = run("ls", "-r", "ds://garments@main").rows
    assert found == [[f"ds://garments@main/{key}"] for key in ("images/a.png", "images/b.png", "train.csv")]


def test_ls_long_gives_bytes_and_times(run, garments):
    [prefix, [size, time, url]] = run("ls", "-l", "ds://garments").rows
    assert prefix == ["", "", "ds://garments/images/"]
    assert (size, url) == ("20", "ds://garments/train.csv")
    assert time.endswith("Z")


def test_ls_json_has_the_fields_of_an_object(run, garments):
    prefix, entry = run("ls", "ds://garments", "--json").json
    assert prefix == {"url": "ds://garments/images/", "key": "images/", "kind": "prefix"}
    info = garments.branch("main").objects.head("train.csv")
    assert entry.pop("modified") == info.modified.isoformat().replace("+00:00", "Z")
    assert entry == {
        "url": "ds://garments/train.csv",
        "key": "train.csv",
        "kind": "object",
        "size": 20,
        "etag": info.etag,
        "digest": info.digest,
        "content_type": "text/csv",
        "commit": info.commit,
        "metadata": {},
    }


def test_ls_of_a_misspelt_repo_names_the_right_one(fail, garments):
    assert "did you mean 'garments'?" in fail("ls", "ds://garmets/")


def test_cat_writes_the_bytes_and_nothing_else(run, garments):
    garments.branch("main").objects.put("model.bin", bytes(range(256)) * 9000)
    assert run("cat", "ds://garments/model.bin").bytes == bytes(range(256)) * 9000


def test_cat_json_has_text_or_base64(run, garments):
    assert run("cat", "ds://garments@v1/train.csv", "--json").json == {
        "url": "ds://garments@v1/train.csv",
        "size": 20,
        "text": "sku,price\n1,10\n2,20\n",
    }
    garments.branch("main").objects.put("model.bin", b"\xff\x00")
    assert base64.b64decode(run("cat", "ds://garments/model.bin", "--json").json["base64"]) == b"\xff\x00"


def test_cat_of_a_misspelt_key_names_the_right_one(fail, garments):
    assert "train.csv" in fail("cat", "ds://garments/trian.csv").splitlines()[1]


def test_cp_uploads_a_file_into_a_prefix_or_under_a_name(run, garments, folder):
    (folder / "a.csv").write_text("x\n")
    assert run("cp", "a.csv", "ds://garments@main/new/").out == "1 copied to ds://garments@main/new/\n"
    assert run("cp", "a.csv", "ds://garments/b.csv", "--json").json["copied"] == 1
    assert read("ds://garments/new/a.csv") == read("ds://garments/b.csv") == b"x\n"


def test_cp_takes_folders_there_and_back(run, garments, folder):
    tree = {"one.txt": b"1", "deep/two.txt": b"2", "deep/er/three.txt": b"3"}
    for name, data in tree.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(data)
    assert run("cp", "-r", "data/", "ds://garments/copy/", "--json").json["copied"] == 3
    assert run("cp", "-r", "ds://garments/copy/", "back/", "--json").json["copied"] == 3
    back = folder / "back"
    assert {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*.txt")} == tree


def test_cp_copies_between_branches_repos_and_mounts(run, garments, folder):
    ds.create_repo("archive")
    ds.mount("disk", "local", path=str(folder))
    run("cp", "ds://garments@exp/train.csv", "ds://archive/train.csv")
    run("cp", "-r", "ds://garments@v1/images/", "ds://garments@exp/pictures/")
    run("cp", "ds://garments@v1/train.csv", "ds://disk/train.csv")
    assert read("ds://archive/train.csv") == read("ds://garments@exp/train.csv")
    assert read("ds://garments@exp/pictures/a.png") == b"PNG"
    assert (folder / "train.csv").read_bytes() == b"sku,price\n1,10\n2,20\n"


def test_cp_copies_local_files_too(run, folder):
    (folder / "a.csv").write_text("x\n")
    run("cp", "a.csv", "b.csv")
    assert (folder / "b.csv").read_text() == "x\n"
    (folder / "data").mkdir()
    run("cp", "a.csv", "data/")
    run("cp", "-r", "data/", "more")
    assert (folder / "more" / "a.csv").read_text() == "x\n"


@pytest.mark.parametrize("source", ["ds://garments/images/", "ds://garments/images", "data"])
def test_cp_of_a_prefix_or_folder_needs_r(fail, garments, folder, source):
    (folder / "data").mkdir()
    (folder / "data" / "x").write_text("x")
    target = "ds://garments/there/" if source == "data" else "there"
    assert "-r" in fail("cp", source, target)


def test_cp_takes_names_that_look_like_patterns_as_they_are(run, fail, garments, folder):
    (folder / "a1.csv").write_bytes(b"another")
    (folder / "a[1].csv").write_bytes(b"this one")
    (folder / "d[1]").mkdir()
    run("cp", "a[1].csv", "ds://garments")
    assert read("ds://garments/a[1].csv") == b"this one"
    run("cp", "a1.csv", "ds://garments/a1.csv")
    run("cp", "ds://garments/a[1].csv", "back.csv")
    assert (folder / "back.csv").read_bytes() == b"this one"
    assert "datastore import" in fail("cp", "-r", "d[1]", "ds://garments/")


def test_cp_takes_a_quoted_pattern(run, garments, folder):
    assert run("cp", "ds://garments/images/*.png", str(folder), "--json").json["copied"] == 2
    assert run("cp", str(folder / "*.png"), "ds://garments@exp/more/", "--json").json["copied"] == 2


def test_cp_from_a_url_without_its_scheme_says_how_to_write_it(fail, garments):
    assert "write ds://garments@main/train.csv" in fail("cp", "garments@main/train.csv", "x.csv")


def test_cp_to_a_url_without_its_scheme_makes_no_folder(fail, garments, folder):
    assert "write ds://garments@main/x/" in fail("cp", "ds://garments/train.csv", "garments@main/x/")
    assert list(folder.iterdir()) == []


def test_cp_from_a_file_that_is_not_there(fail, garments):
    assert "'missing.csv'" in fail("cp", "missing.csv", "ds://garments/")


def test_cp_to_a_tag_is_refused(fail, garments, folder):
    (folder / "a.csv").write_text("x\n")
    assert "datastore branch REPO fix --base v1" in fail("cp", "a.csv", "ds://garments@v1/a.csv")


def test_rm_deletes_what_is_named(run, garments):
    assert run("rm", "ds://garments/images/a.png", "ds://garments/train.csv", "--json").json == {
        "deleted": ["ds://garments/images/a.png", "ds://garments/train.csv"]
    }
    assert run("ls", "-r", "ds://garments").rows == [["ds://garments/images/b.png"]]
    run("rm", "-r", "ds://garments/images/")
    assert run("ls", "-r", "ds://garments").rows == []


def test_rm_deletes_nothing_if_one_is_missing(run, fail, garments):
    assert "trian.csv" in fail("rm", "ds://garments/images/a.png", "ds://garments/trian.csv")
    assert len(run("ls", "-r", "ds://garments").rows) == 3


def test_rm_of_a_prefix_needs_r(fail, garments):
    assert "-r deletes all" in fail("rm", "ds://garments/images")


def test_rm_of_a_whole_mount_needs_a_yes(run, fail, garments):
    assert "--yes" in fail("rm", "-r", "ds://garments")
    assert len(run("ls", "-r", "ds://garments").rows) == 3
    run("rm", "-r", "ds://garments", "--yes")
    assert run("ls", "ds://garments").rows == []


def test_import_puts_a_folder_on_a_branch(run, garments, folder):
    for name in ("data/a.txt", "data/b.tmp", "data/deep/c.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    rows = run("import", "data", "ds://garments@exp/raw/", "--ignore", "*.tmp").rows
    assert rows == [["added", "1", "raw/a.txt"], ["added", "1", "raw/deep/c.txt"]]
    changes = run("import", "data", "ds://garments@exp/raw/", "--ignore", "*.tmp", "--json").json
    assert [(change["key"], change["kind"], change["before"]) for change in changes] == [
        ("raw/a.txt", "added", None),
        ("raw/deep/c.txt", "added", None),
    ]


def test_import_of_a_folder_that_is_not_there(fail, garments):
    assert "'nowhere'" in fail("import", "nowhere", "ds://garments/")
