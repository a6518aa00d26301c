import datastore as ds


def names(result):
    return [row[2] for row in result.rows]


def test_upload_and_download(run, fail, folder, garments):
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("a")
    (folder / "data" / "deep" / "b.tmp").write_text("b")
    url = "ds://garments@main/raw/"
    assert names(run("upload", "data/", url, "--dry-run")) == ["a.csv", "deep/b.tmp"]
    assert len(garments.branch().uncommitted()) == 0
    assert names(run("upload", "data/", url, "--ignore", "*.tmp", "-m", "Raw data")) == ["a.csv"]
    assert garments.branch().head.message == "Raw data"
    assert run("upload", "data", url, "--allow", "*.csv").rows == []
    assert names(run("upload", "data/a.csv", f"{url}other.csv")) == ["other.csv"]
    assert names(run("download", url, "back/")) == ["a.csv", "other.csv"]
    (folder / "back" / "a.csv").write_text("x")
    assert "would be replaced" in fail("download", url, "back")
    assert run("download", url, "back", "--dry-run", "--json").json[0]["kind"] == "changed"
    assert names(run("download", url, "back", "--overwrite", "--ignore", "other*")) == ["a.csv"]
    assert (folder / "back" / "a.csv").read_text() == "a"
    assert names(run("download", f"{url}a.csv", "single.csv")) == ["single.csv"]


def test_mistakes_are_named(fail, folder, garments):
    assert "gone" in fail("upload", "gone", "ds://garments@main/raw/")
    assert "no local path" in fail("download", "ds://garments@main/train.csv", "ds://garments@main/x")
    assert "--compare" in fail("sync", ".", "ds://garments@main/raw/", "--compare", "size", code=2)


def test_sync_chooses_and_commits(run, folder, garments):
    (folder / "data").mkdir()
    for name in ("a.csv", "b.png"):
        (folder / "data" / name).write_text(name)
    assert names(run("sync", "data/", "ds://garments@main/raw/", "--allow", "*.csv", "-m", "Raw data")) == ["a.csv"]
    assert garments.branch().head.message == "Raw data"
    assert names(run("sync", "data/", "ds://garments@main/raw/", "--ignore", "a*", "--compare", "time")) == ["b.png"]
    assert isinstance(ds.sync("./data", "ds://garments@main/raw/"), ds.Plan)
