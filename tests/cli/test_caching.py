from click.testing import CliRunner

import datastore as ds
from datastore.cli.app import app


def test_resolve_prints_a_path(run, fail, garments):
    path = run("resolve", "ds://garments@main/train.csv").out.strip()
    assert path.endswith("/train.csv")
    assert run("resolve", "garments@main/images/", "--json").json["path"].endswith("/images")
    only = run("resolve", "garments@main/images/", "--allow", "a*", "--link", "hard").out.strip()
    assert [child.name for child in ds.resolve("ds://garments@main/images/", allow_patterns="a*").iterdir()] == [
        "a.png"
    ]
    assert only
    assert "gone.csv" in fail("resolve", "ds://garments@main/gone.csv")


def test_resolve_offline_names_what_is_missing(fail):
    ds.mount(
        "cloud",
        "s3",
        bucket="bucket",
        endpoint="http://127.0.0.1:9",
        region="r",
        access_key_id="k",
        secret_access_key="s",
    )
    assert "ds://cloud/a.bin" in fail("resolve", "--offline", "ds://cloud/a.bin")


def test_the_cache_is_listed_checked_and_cleared(run, fail, garments):
    with ds.resolving("ds://garments@main/train.csv") as path:
        assert path.name == "train.csv"
    size = path.stat().st_size
    assert [row[3] for row in run("cache", "ls").rows] == ["ds://garments@main/train.csv"]
    assert run("cache", "ls", "--json").json[0]["size"] == size
    assert run("cache", "info", "--json").json["entries"] == 1
    assert "in 1 item" in run("cache", "info").out
    assert run("cache", "verify").rows == []
    path.chmod(0o644)
    path.write_bytes(b"x" * size)
    broken = CliRunner().invoke(app, ["cache", "verify"])
    assert (broken.exit_code, str(path) in broken.stdout) == (1, True)
    with ds.resolving("ds://garments@main/train.csv"):
        pass
    run("cache", "trim", "10GB")
    assert path.exists()
    run("cache", "trim", "0")
    assert not path.exists()
    assert run("cache", "ls").rows == []
    assert run("cache", "prune", "--unused", "1h").code == 0
    assert run("cache", "keep", "ds://garments@main/train.csv", "--json").json["kept"] is True
    assert run("cache", "ls").rows[0][2] == "kept"
    assert run("cache", "keep", "--off", "ds://garments@main/train.csv", "--json").json["kept"] is False
    assert "lots" in fail("cache", "trim", "lots")
