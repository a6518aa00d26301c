"""lakeFS under the surfaces: URLs, pandas, the doctor, the clients that people know."""

import io

import pandas as pd
import pytest

import datastore as ds
from datastore.doctor import examine_mount
from datastore.http.observe import observed
from tests.places import alone


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    with alone(monkeypatch, tmp_path):
        yield tmp_path


def _mount(server, name="garments", **options):
    return ds.mount(
        name,
        "lakefs",
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        **options,
    )


@pytest.fixture(params=["lakefs", "lakefs_local"])
def garments(request):
    server = request.getfixturevalue(request.param)
    return _mount(server, repo=server.new_repo())


def test_pandas_writes_and_reads_by_url(garments):
    frame = pd.DataFrame({"sku": range(1000), "price": [n / 7 for n in range(1000)]})
    frame.to_parquet("ds://garments@main/train.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet("ds://garments@main/train.parquet"), frame)
    commit = ds.repo("garments").branch("main").commit("First rows")
    frame.iloc[:1].to_csv("ds://garments@main/first.csv", index=False)
    pinned = pd.read_parquet(f"ds://garments@{commit.id}/train.parquet", columns=["price"])
    pd.testing.assert_frame_equal(pinned, frame[["price"]])
    with ds.filesystem().open("ds://garments@main/first.csv", "rb") as file:
        assert file.read() == b"sku,price\n0,0.0\n"


def test_a_server_without_a_fixed_repo_has_them_in_its_urls(lakefs):
    _mount(lakefs, "lake")
    name = lakefs.new_repo()
    files = ds.filesystem()
    files.pipe_file(f"ds://lake/{name}@main/a/b.txt", b"hello")
    assert files.cat_file(f"ds://lake/{name}@main/a/b.txt") == b"hello"
    assert [entry.rpartition("/")[2] for entry in files.ls(f"ds://lake/{name}@main/a", detail=False)] == ["b.txt"]


def test_recursive_verbs_over_a_branch(garments, place):
    files = ds.filesystem()
    folder = place / "in"
    for n in range(30):
        (folder / f"d{n % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"d{n % 3}" / f"{n}.txt").write_text(f"{n}")
    files.put(f"{folder}/", "ds://garments@main/up/", recursive=True)
    assert len(files.find("ds://garments@main/up")) == 30
    files.get("ds://garments@main/up/", str(place / "out"), recursive=True)
    assert {path.name: path.read_text() for path in (place / "out").rglob("*.txt")} == {
        f"{n}.txt": f"{n}" for n in range(30)
    }
    files.mv("ds://garments@main/up/d1/1.txt", "ds://garments@main/moved.csv")
    files.rm("ds://garments@main/up/d0", recursive=True)
    assert len(files.find("ds://garments@main/")) == 20
    assert files.info("ds://garments@main/moved.csv")["size"] == 1


def test_a_copy_to_another_extension_takes_its_content_type(garments):
    files = ds.filesystem()
    files.pipe_file("ds://garments@main/a.csv", b"1")
    files.copy("ds://garments@main/a.csv", "ds://garments@main/a.json")
    provider = ds.repo("garments").versioned.at("main")
    assert provider.head("a.json").content_type == "application/json"


def test_appending_to_an_object(garments):
    files = ds.filesystem()
    for text in ("a\n", "b\n"):
        with files.open("ds://garments@main/log.txt", "a") as file:
            file.write(text)
    assert files.cat_file("ds://garments@main/log.txt") == b"a\nb\n"


def test_columns_of_a_large_parquet_are_not_the_whole_of_it(lakefs):
    _mount(lakefs, repo=lakefs.new_repo())
    frame = pd.DataFrame(
        {f"c{n}": pd.Series(range(200_000)).sample(frac=1, random_state=n).to_numpy() for n in range(8)}
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    ds.filesystem().pipe_file("ds://garments@main/wide.parquet", buffer.getvalue())
    with observed() as seen:
        pd.testing.assert_frame_equal(pd.read_parquet("ds://garments@main/wide.parquet", columns=["c3"]), frame[["c3"]])
    assert sum(exchange.received for exchange in seen) < len(buffer.getvalue()) // 2


def test_the_doctor_finds_nothing_wrong_and_leaves_nothing(garments):
    found = list(examine_mount("ds://garments@main/"))
    assert [finding for finding in found if finding.state == "failed"] == []
    checks = {finding.check for finding in found}
    assert {"server", "credentials", "clock", "repo", "signed URLs"} <= checks
    assert ds.filesystem().find("ds://garments@main/") == []
    assert not ds.repo("garments").versioned.has_uncommitted("main")


def test_other_clients_see_the_same(lakefs):
    pytest.importorskip("boto3", reason="the extra `interop` is not installed")
    name = lakefs.new_repo()
    mount = _mount(lakefs, repo=name)
    ds.filesystem().pipe_file("ds://garments@main/a/b.txt", b"hello")
    client = mount.boto3()
    assert client.get_object(Bucket=name, Key="main/a/b.txt")["Body"].read() == b"hello"
    client.put_object(Bucket=name, Key="main/c.txt", Body=b"theirs", Metadata={"run": "12"}, ContentType="text/plain")
    info = ds.repo("garments").versioned.at("main").head("c.txt")
    assert (info.size, dict(info.metadata), info.content_type) == (6, {"run": "12"}, "text/plain")
    client.close()
