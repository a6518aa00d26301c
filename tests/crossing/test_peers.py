"""What `ds://` writes, others read byte for byte, and the other way round: keys, large objects, tables, attributes."""

import io

import pandas as pd
import pytest

import datastore as ds
from tests.crossing import peers

pytest.importorskip("s3fs", reason="the extra `interop` is not installed")
pytest.importorskip("lakefs_spec", reason="the extra `test` is not installed")

KEYS = [
    "plain.bin",
    "with space.txt",
    "a#1?b.txt",
    "100%20sure+more.txt",
    "Größe/日本/✓.txt",
    "x[1].txt",
    "year=2026/part=1.parquet",
    "semi;amp&eq=.txt",
]
LARGE = bytes(range(256)) * (17 << 12) + b"the end"  # 17 MiB and a bit: in parts
WHERE = ["versitygw", "minio", "lakefs", "lakefs_local"]
PAIRS = [
    (server, peer)
    for server in WHERE
    for peer in peers.PEERS
    if server.startswith("lakefs") or peer in {"boto3", "s3fs"}
]

pytestmark = pytest.mark.servers


@pytest.fixture
def place(request, home):
    server = request.getfixturevalue(request.param)
    return (peers.branch_on if server.kind == "lakefs" else peers.bucket_on)(server, home)


@pytest.fixture
def peer(request, place, built_servers):
    if request.param == "lakectl":
        built_servers("lakectl")
    return peers.PEERS[request.param](place)


@pytest.fixture
def fs():
    return ds.filesystem()


both = pytest.mark.parametrize(("place", "peer"), PAIRS, indirect=True)
anywhere = pytest.mark.parametrize("place", WHERE, indirect=True)


@both
def test_they_read_what_we_write_whatever_its_key(place, peer, fs):
    fs.pipe({place.url / key: f"ours: {key}".encode() for key in KEYS})
    assert {key: peer.read(key) for key in KEYS} == {key: f"ours: {key}".encode() for key in KEYS}


@both
def test_we_read_what_they_write_whatever_its_key(place, peer, fs):
    for key in KEYS:
        peer.write(key, f"theirs: {key}".encode())
    assert {key: fs.cat(str(place.url / key)) for key in KEYS} == {key: f"theirs: {key}".encode() for key in KEYS}
    assert sorted(fs.find(place.url)) == sorted(str(place.url / key).removeprefix("ds://") for key in KEYS)


@both
def test_large_objects_cross_both_ways(place, peer, fs, home):
    (home / "large.bin").write_bytes(LARGE)
    fs.put(str(home / "large.bin"), place.url / "ours.bin")
    if place.server.kind != "lakefs":  # whose etag does not tell the number of parts
        assert fs.info(place.url / "ours.bin")["etag"].partition("-")[2] == "3"
    assert peer.read("ours.bin") == LARGE
    peer.write_file("theirs.bin", home / "large.bin")
    fs.get(place.url / "theirs.bin", str(home / "back.bin"))
    assert (home / "back.bin").read_bytes() == LARGE


@both
def test_empty_objects_cross_both_ways(place, peer, fs):
    fs.pipe(place.url / "ours", b"")
    peer.write("theirs", b"")
    assert (peer.read("ours"), fs.cat(place.url / "theirs"), fs.info(place.url / "theirs")["size"]) == (b"", b"", 0)


@both
def test_tables_of_pandas_cross_both_ways(place, peer):
    frame = pd.DataFrame({"sku": [1, 2, 3], "name": ["parka", "trench", "düffel"], "price": [120.0, 180.0, None]})
    frame.to_parquet(place.url / "ours.parquet")
    frame.to_csv(place.url / "ours.csv.gz", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(peer.read("ours.parquet"))), frame)
    theirs = pd.read_csv(io.BytesIO(peer.read("ours.csv.gz")), compression="gzip")
    pd.testing.assert_frame_equal(theirs, frame)
    peer.write("theirs.parquet", frame.to_parquet())
    pd.testing.assert_frame_equal(pd.read_parquet(place.url / "theirs.parquet"), frame)


@both
def test_the_last_writer_wins_whoever_it_is(place, peer, fs):
    fs.pipe(place.url / "a.txt", b"ours, longer than theirs")
    peer.write("a.txt", b"theirs")
    assert fs.cat(place.url / "a.txt") == b"theirs"
    fs.pipe(place.url / "a.txt", b"ours again")
    assert peer.read("a.txt") == b"ours again"


@pytest.mark.parametrize(("place", "peer"), [pair for pair in PAIRS if pair[1] != "lakectl"], indirect=True)
def test_they_see_our_content_types(place, peer, fs):
    fs.pipe(place.url / "named.bin", b"1", content_type="text/x-odd; charset=utf-8")
    fs.pipe(place.url / "known.csv", b"2")
    assert (peer.content_type("named.bin"), peer.content_type("known.csv")) == ("text/x-odd; charset=utf-8", "text/csv")


@anywhere
def test_we_see_attributes_that_boto3_writes(place, fs):
    boto = peers.Boto3(place)
    word = "=?UTF-8?B?R3LDvMOfZQ==?="  # boto3 itself takes ASCII only
    boto.client.put_object(
        **boto.at("a.bin"),
        Body=b"1",
        ContentType="text/x-odd",
        Metadata={"who": "me", "note": "x  y", "greeting": word},
    )
    info = fs.info(place.url / "a.bin")
    assert info["content_type"] == "text/x-odd"
    assert info["metadata"] == {"who": "me", "note": "x  y", "greeting": "Grüße"}


@pytest.mark.parametrize("place", ["versitygw", "minio"], indirect=True)
def test_boto3_sees_our_metadata(place, fs):
    ours = {"who": "me", "greeting": "Grüße, 日本 ✓", "note": "x  y"}
    fs.pipe(place.url / "a.bin", b"1", metadata=ours)
    assert peers.Boto3(place).metadata("a.bin") == ours
    fs.copy(place.url / "a.bin", place.url / "b.bin")
    assert peers.Boto3(place).metadata("b.bin") == ours


@pytest.mark.parametrize("place", ["lakefs", "lakefs_local"], indirect=True)
def test_the_sdk_of_lakefs_and_we_see_each_others_metadata(place, fs):
    objects = ds.repo("crossing").lakefs_client().objects_api
    fs.pipe(place.url / "ours.bin", b"1", metadata={"who": "me", "note": "x  y"})
    seen = objects.stat_object(place.bucket, "main", "ours.bin")
    assert seen.metadata == {"who": "me", "note": "x  y"}
    staged = {
        "physical_address": seen.physical_address,
        "checksum": seen.checksum,
        "size_bytes": 1,
        "content_type": "text/x-odd",
        "metadata": {"who": "them", "Greeting": "Grüße, 日本 ✓"},
    }
    place.server.request("PUT", f"/repositories/{place.bucket}/branches/main/objects?path=theirs.bin", body=staged)
    info = fs.info(place.url / "theirs.bin")
    assert (info["content_type"], info["metadata"]) == ("text/x-odd", staged["metadata"])


@anywhere
def test_metadata_of_any_text_comes_back_to_us(place, fs):
    ours = {"Größe": "42", "Camel-Case": "x  y", "empty": "", "greeting": "Grüße, 日本 ✓", "lines": "a\nb"}
    fs.pipe(place.url / "a.bin", b"1", metadata=ours)
    assert fs.info(place.url / "a.bin")["metadata"] == ours


@pytest.mark.parametrize("place", ["lakefs", "lakefs_local"], indirect=True)
def test_they_read_our_commits_and_we_read_theirs(place, fs):
    spec, lakectl = peers.LakeFSSpec(place), peers.Lakectl(place)
    fs.pipe(place.url / "a.txt", b"one")
    ours = ds.repo("crossing").branch("main").commit("Ours")
    lakectl.write("a.txt", b"two")
    lakectl.run("commit", f"lakefs://{place.bucket}/main", "--message", "Theirs")
    theirs = ds.repo("crossing").log()[0]
    assert (theirs.message, theirs.parents) == ("Theirs", (ours.id,))
    for commit, data in ((ours.id, b"one"), (theirs.id, b"two")):
        assert fs.cat(f"ds://crossing@{commit}/a.txt") == data
        assert spec.fs.cat_file(f"lakefs://{place.bucket}/{commit}/a.txt") == data
