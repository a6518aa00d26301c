import datastore as ds


def test_sync_prints_what_it_does_and_deletes_only_if_told(run, fail, folder, garments):
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "a.csv").write_text("a")
    (folder / "data" / "b.csv").write_text("b")
    assert run("sync", "data/", "ds://garments@main/raw/", "--dry-run").rows == [
        ["added", "1", "b.csv"],
        ["added", "1", "deep/a.csv"],
    ]
    assert len(garments.branch().uncommitted()) == 0
    assert len(run("sync", "data", "ds://garments@main/raw/").rows) == 2
    assert run("sync", "data", "ds://garments@main/raw").rows == []
    (folder / "data" / "b.csv").unlink()
    assert run("sync", "data", "ds://garments@main/raw").rows == []
    assert "this deletes 1 object" in fail("sync", "data", "ds://garments@main/raw", "--delete")
    assert run("sync", "data", "ds://garments@main/raw", "--delete", "--yes").rows == [["removed", "-1", "b.csv"]]
    assert run("sync", "ds://garments@main/raw", "back/", "--json").json[0]["key"] == "deep/a.csv"
    assert (folder / "back" / "deep" / "a.csv").read_text() == "a"


def test_mv_between_mounts(run, fail, garments):
    ds.mount("scratch", "memory", name="mv")
    run("mv", "ds://garments@main/train.csv", "ds://scratch/t.csv")
    run("mv", "-r", "ds://garments@main/images/", "ds://scratch/img/")
    assert run("ls", "-r", "ds://scratch").rows == [
        ["ds://scratch/img/a.png"],
        ["ds://scratch/img/b.png"],
        ["ds://scratch/t.csv"],
    ]
    assert run("ls", "ds://garments@main").rows == []
    assert "gone.csv" in fail("mv", "ds://garments@main/gone.csv", "ds://scratch/x")


def test_link_and_materialize(run, fail, garments):
    ds.mount("scratch", "memory", name="links")
    ds.filesystem().pipe({"scratch/2026/a.csv": b"1", "scratch/2026/b.csv": b"2"})
    assert run("link", "ds://scratch/2026/", "ds://garments@main/raw/").rows == [
        ["added", "1", "raw/a.csv"],
        ["added", "1", "raw/b.csv"],
    ]
    assert run("cat", "ds://garments@main/raw/a.csv").bytes == b"1"
    run("commit", "garments", "-m", "Linked")
    ds.filesystem().pipe_file("scratch/2026/a.csv", b"9")
    told = fail("cat", "ds://garments@main/raw/a.csv")
    assert "ds://scratch/2026/a.csv" in told
    assert "datastore link" in told
    assert "raw/a.csv" in fail("materialize", "garments")
    assert run("materialize", "garments@main", "raw/b").rows == [["changed", "0", "raw/b.csv"]]
