"""The ways that bytes take, and that other tools find the same at their ends."""

import hashlib
import json
import os
import subprocess
import urllib.request

import pytest

from datastore.calls import FileSlice
from datastore.errors import AlreadyExists, Forbidden, UnsupportedOperation, ValidationError
from datastore.http.engine import engine
from datastore.http.observe import observed
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.credentials import Login
from datastore.secret import Secret
from datastore.testing import servers
from datastore.testing.exam import MIB, content, listed, payload
from datastore.values import CREATE, Attributes, CommitRequest, Match
from tests.providers.lakefs.places import committed, repo_on


@pytest.fixture
def repo(lakefs):
    return repo_on(lakefs)


@pytest.fixture
def main(repo):
    return repo.at("main")


def _pieces(data, size=5 * MIB + 7):
    yield from (data[at : at + size] for at in range(0, len(data), size))


# sizes


@pytest.mark.parametrize("size", [8 * MIB - 1, 8 * MIB, 64 * MIB], ids=["upload", "link", "link too"])
def test_up_to_64_mib_the_checksum_is_the_md5_whichever_way(main, lakefs, tmp_path, size):
    data = payload(size)
    (tmp_path / "a.bin").write_bytes(data)
    with observed() as seen:
        infos = [main.put("a.bin", body) for body in (data, tmp_path / "a.bin", _pieces(data))]
    assert {info.etag for info in infos} == {hashlib.md5(data).hexdigest()}
    assert main.head("a.bin") == infos[-1]
    assert content(main, "a.bin") == data
    assert sum(exchange.sent for exchange in seen) < 3 * size + 10_000


def test_beyond_64_mib_parts_of_one_size_give_one_checksum(main, tmp_path):
    data = payload(64 * MIB + 1)
    (tmp_path / "a.bin").write_bytes(data)
    infos = [main.put("a.bin", body) for body in (data, tmp_path / "a.bin", _pieces(data))]
    assert len({info.etag for info in infos}) == 1
    assert infos[0].etag.endswith("-5")
    assert content(main, "a.bin") == data


def test_a_long_stream_goes_up_while_it_comes(main, tmp_path, monkeypatch):
    piece, count = payload(8 * MIB), 33
    size = len(piece) * count + 5
    writer = main.writer("a.bin", attributes=Attributes(content_type="text/x-own", metadata={"Run": "ö"}))
    with observed() as seen:
        for _ in range(count):
            writer.write(piece)
        assert sum(exchange.sent for exchange in seen) > size // 4
        writer.write(b"12345")
        info = writer.commit()
    assert (info.size, info.content_type, dict(info.metadata)) == (size, "text/x-own", {"Run": "ö"})
    assert main.head("a.bin") == info
    with main.read("a.bin") as reader:
        total = hashlib.md5()
        while data := reader.read(8 * MIB):
            total.update(data)
    assert total.hexdigest() == hashlib.md5(piece * count + b"12345").hexdigest()


def _parts_left(lakefs, repo):
    namespace = repo.client.repository(repo.name).storage_namespace
    bucket, _, prefix = namespace.removeprefix("s3://").partition("/")
    listing = lakefs.storage.request("GET", f"/{bucket}?uploads").decode()
    return listing.count(f"<Key>{prefix}")


def test_s35_nothing_is_left_of_an_upload_that_fails(repo, main, lakefs):
    def broken():
        yield from _pieces(payload(70 * MIB))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        main.put("a.bin", broken())
    writer = main.writer("b.bin")
    writer.write(payload(70 * MIB))
    assert _parts_left(lakefs, repo) == 1
    writer.abort()
    assert _parts_left(lakefs, repo) == 0
    assert listed(main) == []


def test_create_is_exact_at_any_size(main, tmp_path):
    data = payload(65 * MIB)
    (tmp_path / "a.bin").write_bytes(data)
    info = main.put("a.bin", tmp_path / "a.bin", mode=CREATE)
    assert info.etag == hashlib.md5(data).hexdigest(), "parts cannot be published on a condition: it goes in one piece"
    late = main.writer("b.bin", mode=CREATE)
    late.write(data)
    main.put("b.bin", b"first")
    with pytest.raises(AlreadyExists):
        late.commit()
    with pytest.raises(AlreadyExists):
        main.put("a.bin", tmp_path / "a.bin", mode=CREATE)
    assert (content(main, "b.bin"), main.head("a.bin").size) == (b"first", len(data))


def test_large_objects_go_through_a_server_that_cannot_sign(lakefs_local, tmp_path):
    main, data = repo_on(lakefs_local).at("main"), payload(70 * MIB)
    (tmp_path / "a.bin").write_bytes(data)
    for body in (tmp_path / "a.bin", _pieces(data), data):
        main.put("a.bin", body)
        assert content(main, "a.bin") == data
    with pytest.raises(UnsupportedOperation):
        main.create_upload("a.bin")


def test_parts_in_any_order_and_again(main):
    data = payload(11 * MIB)
    upload = main.create_upload("a.parquet", attributes=Attributes(metadata={"run": "12"}))
    second = engine().run(main.part_call(upload, 2, data[5 * MIB : 10 * MIB]))
    third = engine().run(main.part_call(upload, 3, data[10 * MIB :]))
    engine().run(main.part_call(upload, 1, bytes(5 * MIB)))
    first = engine().run(main.part_call(upload, 1, data[: 5 * MIB]))
    assert listed(main) == []
    info = main.complete_upload(upload, [first, second, third])
    assert (info.size, info.content_type, dict(info.metadata)) == (
        len(data),
        "application/vnd.apache.parquet",
        {"run": "12"},
    )
    assert content(main, "a.parquet") == data
    assert main.head("a.parquet") == info


def test_a_part_can_be_sent_by_others(main):
    upload = main.create_upload("a.bin")
    signed = main.presign_part(upload, 1)
    request = urllib.request.Request(
        signed.url, data=b"from a browser", method=signed.method, headers=dict(signed.headers)
    )
    with urllib.request.urlopen(request) as answer:
        etag = answer.headers["ETag"].strip('"')
    from datastore.values import PartInfo

    main.complete_upload(upload, [PartInfo(number=1, etag=etag, size=14)])
    assert content(main, "a.bin") == b"from a browser"


def test_an_upload_that_is_stopped_is_forgotten(repo, main, lakefs):
    upload = main.create_upload("a.bin")
    engine().run(main.part_call(upload, 1, payload(5 * MIB)))
    main.abort_upload(upload)
    main.abort_upload(upload)
    assert (listed(main), _parts_left(lakefs, repo)) == ([], 0)


def test_bulk_puts_take_files_and_refuse_what_needs_more(main, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"head\n1\n2\n")
    with (tmp_path / "a.csv").open("rb") as file:
        call = main.put_call("a.csv", FileSlice(file.fileno(), 5, 4))
        assert engine().run(call).content_type == "text/csv"
    assert content(main, "a.csv") == b"1\n2\n"
    assert main.put_call("b.bin", bytes(8 * MIB)) is None


def test_a_match_is_refused_before_anything_is_sent(main):
    etag = main.put("a", b"1").etag
    with observed() as seen:
        for attempt in (
            lambda: main.put("a", b"2", mode=Match(etag)),
            lambda: main.put_call("a", b"2", mode=Match(etag)),
        ):
            with pytest.raises(UnsupportedOperation):
                attempt()
    assert len(seen) == 0
    assert not main.capabilities.match


# attributes

ODD_METADATA = {
    "Run": "12",
    "val_f1": "0.9",
    "note": " spaced ",
    "empty": "",
    "日本": "ö\n",
    "datastore-metadata": "mine",
}


@pytest.mark.parametrize("size", [5, 8 * MIB, 65 * MIB], ids=["upload", "link", "parts"])
def test_metadata_survives_every_way_as_it_is(repo, main, size):
    given = Attributes(content_type='text/x-own; charset="utf-8"', metadata=ODD_METADATA)
    put = main.put("a.bin", bytes(size), attributes=given)
    copied = main.copy("a.bin", "b.bin")
    linked = main.link(put, "c.bin")
    for info in (put, main.head("a.bin"), copied, main.head("b.bin"), linked, main.head("c.bin")):
        assert (dict(info.metadata), info.content_type) == (ODD_METADATA, given.content_type)
    assert main.head("b.bin") == copied
    assert main.head("c.bin") == linked


def test_the_same_again_is_no_change(repo, main, tmp_path):
    data = payload(9 * MIB)
    given = Attributes(metadata=ODD_METADATA)
    main.put("a.parquet", data, attributes=given)
    main.put("small.csv", b"1,2", attributes=given)
    repo.commit("main", CommitRequest(message="Once", author="test", op_id="once"))
    main.put("a.parquet", _pieces(data), attributes=given)
    main.put("small.csv", b"1,2", attributes=given)
    assert not repo.has_uncommitted("main")


@pytest.mark.parametrize(
    "content_type", ["text", "multipart/form-data; boundary=x", "text/csv\r\nX-Evil: 1", "a/b; c", "ö/x"]
)
def test_a_content_type_that_no_header_carries_is_refused(main, content_type):
    with pytest.raises(ValidationError):
        main.put("a", b"1", attributes=Attributes(content_type=content_type))
    assert listed(main) == []


# other tools


@pytest.fixture
def lakectl(lakefs, built_servers, tmp_path):
    built_servers("lakectl")

    def run(*arguments):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LAKECTL_SERVER_ENDPOINT_URL": lakefs.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": lakefs.access_key,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": lakefs.secret_key,
        }
        return subprocess.run(
            [servers.build("lakectl"), *arguments], env=environment, check=True, capture_output=True, cwd=tmp_path
        ).stdout

    return run


@pytest.mark.parametrize("size", [5, 9 * MIB, 65 * MIB], ids=["small", "middle", "parts"])
@pytest.mark.parametrize("signed", ["--pre-sign=true", "--pre-sign=false"])
def test_lakectl_reads_what_we_write_and_the_other_way(main, lakectl, tmp_path, size, signed):
    data = payload(size)
    main.put("ours/ä b.bin", data)
    lakectl("fs", "download", signed, f"lakefs://{main._remote.name}/main/ours/ä b.bin", str(tmp_path / "down.bin"))
    assert (tmp_path / "down.bin").read_bytes() == data
    lakectl(
        "fs", "upload", signed, "-s", str(tmp_path / "down.bin"), f"lakefs://{main._remote.name}/main/theirs/ä b.bin"
    )
    assert content(main, "theirs/ä b.bin") == data
    if size == 5 or (size <= 64 * MIB and signed.endswith("false")):  # else lakectl takes parts of 5 MiB
        assert main.head("ours/ä b.bin").etag == main.head("theirs/ä b.bin").etag


def test_what_lakectl_uploads_again_is_no_change(repo, main, lakectl, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"hello")
    main.put("a.bin", b"hello")
    repo.commit("main", CommitRequest(message="Once", author="test", op_id="once"))
    lakectl("fs", "upload", "-s", str(tmp_path / "a.bin"), f"lakefs://{repo.name}/main/a.bin")
    assert not repo.has_uncommitted("main")


def test_metadata_of_other_writers_is_shown(repo, main):
    headers = {"X-Lakefs-Meta-Run_Id": "7", "Content-Type": "text/csv"}
    request = urllib.request.Request(
        f"{repo.client.url}/repositories/{repo.name}/branches/main/objects?path=a.csv",
        data=b"1",
        method="POST",
        headers=headers | {"Authorization": repo.client.login.header()},
    )
    urllib.request.urlopen(request).close()
    assert dict(main.head("a.csv").metadata) == {"run_id": "7"}
    copied = main.copy("a.csv", "b.csv")
    assert dict(copied.metadata) == {"run_id": "7"}


# signed for others


@pytest.mark.parametrize("place", ["lakefs", "lakefs_local"])
def test_signed_requests_need_nothing_else(request, place):
    repo = repo_on(request.getfixturevalue(place))
    main = repo.at("main")
    given = Attributes(content_type="text/x-own", metadata={"run": "12", "Grad Norm": "ö"})

    def send(signed, data=None):
        wanted = urllib.request.Request(signed.url, data=data, method=signed.method, headers=dict(signed.headers))
        with urllib.request.urlopen(wanted) as answer:
            return answer.read(), answer.headers

    send(main.presign("PUT", "a b/ö?.csv", attributes=given), b"hello")
    info = main.head("a b/ö?.csv")
    assert (info.size, info.content_type, dict(info.metadata)) == (5, "text/x-own", dict(given.metadata))
    assert send(main.presign("GET", "a b/ö?.csv"))[0] == b"hello"
    assert send(main.presign("HEAD", "a b/ö?.csv"))[1]["Content-Length"] == "5"
    fixed = committed(repo, {"c.txt": b"more"})
    assert send(fixed.presign("GET", "a b/ö?.csv", expires=60))[0] == b"hello"
    assert send(repo.at("main@").presign("GET", "c.txt"))[0] == b"more"
    for method in ("PUT", "DELETE"):
        with pytest.raises(Forbidden):
            fixed.presign(method, "c.txt")
    send(main.presign("DELETE", "a b/ö?.csv"))
    assert listed(main) == ["c.txt"]


def test_a_signed_request_says_how_long_and_hides_its_url(main):
    main.put("a", b"1")
    signed = main.presign("GET", "a", expires=60)
    assert "Signature" not in repr(signed)
    assert "X-Amz-Expires=60" in signed.url
    for expires in (0, 8 * 24 * 3600):
        with pytest.raises(ValidationError):
            main.presign("GET", "a", expires=expires)


def test_a_token_works_and_signs_nothing(lakefs, repo, main):
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    request = urllib.request.Request(
        f"{repo.client.url}/auth/login", data=json.dumps(keys).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        token = json.load(answer)["token"]
    other = type(repo)(LakeFSClient(repo.client.url, Login(access_key_id="", secret=Secret(token))), repo.name).at(
        "main"
    )
    other.put("a", b"1")
    assert content(other, "a") == b"1"
    with pytest.raises(UnsupportedOperation):
        other.presign("GET", "a")
