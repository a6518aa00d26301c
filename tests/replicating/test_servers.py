"""push, pull, links, sync and hand-off objects with real servers: lakeFS, and the S3 service behind it."""

import itertools

import pytest

import datastore as ds
from datastore.errors import Unavailable
from datastore.namespace import current, reset_current
from datastore.replicating.replicate import Side, replicate
from datastore.testing.versioning_tools import contents, request, save, staged
from datastore.values import Attributes
from tests.replicating.bare import Line, over
from tests.replicating.test_replicate import bring, history, story


@pytest.fixture(autouse=True)
def store(place, monkeypatch):
    monkeypatch.setenv("DATASTORE_STORE", str(place / "store"))
    monkeypatch.chdir(place)
    reset_current()
    yield
    reset_current()


def mount_lake(server, name="lake"):
    return ds.mount(
        name,
        "lakefs",
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        storage_namespace=server.new_namespace(),
    )


def mount_bucket(server, name, bucket):
    return ds.mount(
        name,
        "s3",
        endpoint=server.endpoint,
        bucket=bucket,
        region=server.region,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        addressing="path",
    )


@pytest.fixture(params=["lakefs", "lakefs_local"])
def lake(request):
    """A mount of a lakeFS server, once with presigned URLs and once without."""
    mount_lake(request.getfixturevalue(request.param))
    return request.getfixturevalue(request.param)


@pytest.fixture
def far(lake):
    return current().repos_of("lake").repo(lake.new_repo())


pytestmark = pytest.mark.servers


def test_a_history_goes_to_lakefs_and_back(here, far, stores):
    story(here)
    bring(here, far)
    assert history(far) == history(here)
    assert staged(far) == {}
    assert [branch.name for branch in far.branches(hidden=True)] == ["main"]
    back = stores[1].create_repo("back")
    bring(far, back)
    assert history(back) == history(here)
    save(back, "main", {"b.csv": b"from the third", "moved/1.png": None})
    assert bring(back, here)[0] == bring(here, far)[0]
    assert bring(back, far)[0] == bring(far, back)[0] == bring(far, here)[0] == []
    assert contents(far.at("main")) == contents(here.at("main"))


def test_a_history_that_lakefs_made_goes_to_the_embedded_store(here, far):
    far.at("main").put("noted.bin", b"1", attributes=Attributes(metadata={"note": "ü", "Camel": "1"}))
    save(far, "main", {"a.csv": b"id\n1\n", "empty": b""})
    far.create_branch("exp", "main")
    save(far, "exp", {"b.csv": b"2"})
    save(far, "main", {"a.csv": None})
    far.merge("exp", "main", request("Merge exp"))
    bring(far, here)
    assert history(here) == history(far)


def test_what_is_on_the_server_is_not_sent_again(far, lake):
    other = current().repos_of("lake").repo(lake.new_repo())
    save(far, "main", {f"{i}.bin": bytes([i]) * 1000 for i in range(5)})
    save(far, "main", {"renamed.bin": b"\0" * 1000, "0.bin": None})
    _, moved = bring(far, other)
    assert moved.objects == 6
    assert history(other) == history(far)
    if lake.storage is not None:  # a local block store links nothing from repo to repo
        assert moved.bytes == 0


def test_a_renamed_object_is_copied_by_lakefs(here, far):
    save(here, "main", {"big.bin": b"x" * 2_000_000})
    bring(here, far)
    save(here, "main", {"big.bin": None, "deep/big.bin": b"x" * 2_000_000})
    assert bring(here, far)[1].bytes == 0
    assert contents(far.at("main")) == {"deep/big.bin": b"x" * 2_000_000}


@pytest.mark.parametrize("lost_reply", [False, True], ids=["cut", "lost reply"])
def test_an_interrupted_push_goes_on(here, lakefs, lost_reply):
    mount_lake(lakefs)
    repos = current().repos_of("lake")
    save(here, "main", {"a": b"1", "b": b"2" * 5000})
    save(here, "main", {"a": None, "c": b"3"})
    for after in itertools.count(0, 2):
        dest = repos.repo(lakefs.new_repo())
        try:
            bring(here, over(Line(after, lost_reply=lost_reply), dest))
        except Unavailable:
            bring(here, dest)
        else:
            assert after > 8
            break
        assert history(dest) == history(here), f"cut after {after} changes"
        assert [branch.name for branch in dest.branches(hidden=True)] == ["main"]


def test_who_parted_fetches_merges_and_pushes(lake):
    far = ds.repo(f"lake/{lake.new_repo()}")
    repo = ds.create_repo("garments")
    main = repo.branch()
    main.objects.put("a.csv", b"id\n1\n")
    repo.create_tag("v1", main.commit("First rows"))
    repo.push(far.url(), tags=True)
    assert far.commit_of("v1").message == "First rows"
    mine = ds.clone(far.url(), "mine", tags=True)
    for branch, key in ((far.branch(), "theirs"), (main, "mine")):
        branch.objects.put(key, key.encode())
        branch.commit(f"By {key}")
    with pytest.raises(ds.Diverged):
        repo.push()
    repo.merge(repo.fetch())
    repo.push()
    mine.pull()
    assert [commit.message for commit in mine.log(first_parent=True)][:-1] == [
        "Merge origin--main into main",
        "By theirs",
        "First rows",
    ]
    assert contents(mine.branch().objects) == contents(main.objects) == contents(far.branch().objects)


def test_repos_of_a_server_by_url(lake):
    made = ds.create_repo("lake/garments-1") if lake.storage else ds.repo(f"lake/{lake.new_repo()}")
    branch = made.branch()
    branch.objects.put("a.csv", b"id\n1\n")
    commit = branch.commit("One")
    fs = ds.filesystem()
    assert made.name in fs.ls("lake", detail=False)
    for url in (branch / "a.csv", commit / "a.csv", (branch / "a.csv").at("main@")):
        assert fs.cat_file(url) == b"id\n1\n"
        assert url.mount == made.name
    pytest.importorskip("lakefs_sdk", reason="the extra `interop` is not installed")
    assert made.lakefs_client().branches_api.get_branch(made.name.partition("/")[2], "main").commit_id == commit.id


# data that stays where it is


@pytest.fixture
def raw(lakefs):
    """A bucket of the S3 service behind lakeFS."""
    bucket = lakefs.storage.new_bucket()
    mount_bucket(lakefs.storage, "raw", bucket)
    ds.filesystem().pipe({"raw/2026/a.csv": b"id\n1\n", "raw/2026/deep/b.bin": b"x" * 100_000})
    return bucket


def test_a_bucket_is_linked_into_the_embedded_store(raw):
    main = ds.create_repo("garments").branch()
    main.link("ds://raw/2026/", "raw/")
    main.commit("Linked")
    fs = ds.filesystem()
    assert fs.cat_file(main / "raw/deep/b.bin") == b"x" * 100_000
    assert main.objects.head("raw/a.csv").link.address == f"s3://{raw}/2026/a.csv"
    fs.pipe_file("raw/2026/a.csv", b"id\n2\n")
    with pytest.raises(ds.IntegrityError, match="has changed"):
        fs.cat_file(main / "raw/a.csv")
    fs.rm("raw/2026/a.csv")
    with pytest.raises(ds.IntegrityError, match="is gone"):
        fs.cat_file(main / "raw/a.csv")
    assert main.materialize("raw/deep/").changed == ["raw/deep/b.bin"]
    fs.rm("raw/2026/deep/b.bin")
    assert fs.cat_file(main / "raw/deep/b.bin") == b"x" * 100_000


def test_a_bucket_is_linked_into_lakefs(raw, lakefs):
    mount_lake(lakefs)
    main = ds.repo(f"lake/{lakefs.new_repo()}").branch()
    assert main.link("ds://raw/2026/", "raw/").added == ["raw/a.csv", "raw/deep/b.bin"]
    main.commit("Linked")
    fs = ds.filesystem()
    assert fs.cat_file(main / "raw/deep/b.bin") == b"x" * 100_000
    fs.pipe_file("raw/2026/a.csv", b"id\n2\n")
    with pytest.raises((ds.IntegrityError, ds.HeadMoved)):
        fs.cat_file(main / "raw/a.csv")


def test_links_go_along_where_the_other_store_can_have_them(raw, lakefs):
    mount_lake(lakefs)
    repo = ds.create_repo("garments")
    repo.branch().link("ds://raw/2026/", "raw/")
    repo.branch().commit("Linked")
    far = ds.repo(f"lake/{lakefs.new_repo()}")
    done = repo.push(far.url())
    assert (done.objects, done.bytes) == (2, 0)
    assert contents(far.branch().objects) == {"raw/a.csv": b"id\n1\n", "raw/deep/b.bin": b"x" * 100_000}
    mine = ds.clone(far.url(), "mine")
    assert contents(mine.branch().objects) == contents(far.branch().objects)


def test_what_lakefs_cannot_reach_is_refused_and_pushed_as_bytes(lakefs, minio):
    mount_lake(lakefs)
    mount_bucket(minio, "elsewhere", minio.new_bucket())
    ds.filesystem().pipe_file("elsewhere/a.csv", b"id\n1\n")
    far = ds.repo(f"lake/{lakefs.new_repo()}")
    with pytest.raises(ds.UnsupportedOperation):
        far.branch().link("ds://elsewhere/a.csv", "raw/")
    assert len(far.branch().uncommitted()) == 0
    repo = ds.create_repo("garments")
    repo.branch().link("ds://elsewhere/a.csv", "raw/")
    repo.branch().commit("Linked")
    assert repo.push(far.url()).bytes == len(b"id\n1\n")
    assert contents(far.branch().objects) == {"raw/a.csv": b"id\n1\n"}


# folders and clients


def test_sync_in_a_circle(raw, lakefs, place, minio):
    mount_lake(lakefs)
    mount_bucket(minio, "other", minio.new_bucket())
    far = ds.repo(f"lake/{lakefs.new_repo()}").branch()
    near = ds.create_repo("garments").branch()
    big = bytes(range(256)) * 40_000  # goes in parts, or straight to the object store
    ds.filesystem().pipe_file("raw/2026/big.bin", big)
    stops = ["ds://raw/2026/", far / "s/", near / "s/", "ds://other/s/", place / "s"]
    for source, dest in itertools.pairwise(stops):
        assert ds.sync(source, dest).added == ["a.csv", "big.bin", "deep/b.bin"]
        assert len(ds.sync(source, dest)) == 0, (source, dest)
    assert (place / "s" / "big.bin").read_bytes() == big
    (place / "s" / "a.csv").write_bytes(b"id\n3\n")
    (place / "s" / "deep" / "b.bin").unlink()
    done = ds.sync(place / "s", "ds://raw/2026/", delete=True)
    assert (done.changed, done.removed) == (["a.csv"], ["deep/b.bin"])
    assert ds.filesystem().cat_file("raw/2026/a.csv") == b"id\n3\n"


def test_boto3_and_s3fs_see_what_a_mount_sees(raw, lakefs):
    pytest.importorskip("boto3", reason="the extra `interop` is not installed")
    mount = next(mount for mount in ds.mounts() if mount.name == "raw")
    assert mount.boto3().get_object(Bucket=raw, Key="2026/a.csv")["Body"].read() == b"id\n1\n"
    mount.s3fs().pipe_file(f"{raw}/by-s3fs.txt", b"1")
    assert ds.filesystem().cat_file("raw/by-s3fs.txt") == b"1"
    lake = mount_lake(lakefs)
    far = ds.repo(f"lake/{lakefs.new_repo()}")
    far.branch().objects.put("a.csv", b"id\n1\n")
    body = lake.boto3().get_object(Bucket=far.name.partition("/")[2], Key="main/a.csv")["Body"]
    assert body.read() == b"id\n1\n"


def test_sides_may_be_on_two_servers(lakefs, lakefs_local):
    mount_lake(lakefs)
    mount_lake(lakefs_local, "local-lake")
    a = current().repos_of("lake").repo(lakefs.new_repo())
    b = current().repos_of("local-lake").repo(lakefs_local.new_repo())
    save(a, "main", {"a": b"1" * 10_000, "b": b"2"})
    replicate(Side(repo=a, branch="main", title="a"), Side(repo=b, branch="main", title="b"))
    assert history(b) == history(a)
