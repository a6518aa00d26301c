import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from datastore.errors import Unavailable
from datastore.testing import servers
from datastore.testing.servers import processes

KINDS = ["versitygw", "minio", "lakefs", "toxiproxy"]


@pytest.fixture
def start(built_servers, tmp_path):
    """Starts a server of its own for one test."""
    started = []

    def start(kind, folder=tmp_path, **how):
        built_servers(kind)
        if kind == "lakefs":
            how = {"local": True, **how}
        started.append(getattr(servers, f"start_{kind}")(folder, **how))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def answers(server):
    """Whether the server says something sensible to those who know its credentials."""
    match server:
        case servers.S3Server():
            bucket = server.new_bucket()
            server.request("PUT", f"/{bucket}/a/b%20c", body=b"content")
            return server.request("GET", f"/{bucket}/a/b%20c") == b"content" and bucket in server.buckets()
        case servers.LakeFSServer():
            return server.new_repo() in server.repos()
        case servers.Toxiproxy():
            return server.proxy("127.0.0.1:9").address != server.address
    return False


def listening(server):
    host, _, port = server.address.partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def running(pid):
    """Whether a process exists that is more than a zombie."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in {"", "Z"}


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_starts_answers_and_stops(start, kind):
    server = start(kind)
    assert answers(server)
    assert running(server.pid)
    server.check()
    server.stop()
    assert not running(server.pid)
    assert not listening(server)
    with pytest.raises(Unavailable, match=f"{kind} has ended"):
        server.check()
    server.stop()  # again


@pytest.mark.parametrize("kind", ["versitygw", "minio", "lakefs"])
def test_a_folder_is_taken_up_again(start, tmp_path, kind):
    first = start(kind)
    made = first.new_repo() if kind == "lakefs" else first.new_bucket()
    first.stop()
    second = start(kind)
    assert made in (second.repos() if kind == "lakefs" else second.buckets())
    assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)


@pytest.mark.parametrize("kind", ["versitygw", "minio", "lakefs"])
def test_no_server_shows_its_secret(start, tmp_path, kind):
    server = start(kind)
    assert server.secret_key not in f"{server!r} {server} {server.log.read_text()}"
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_was_taken_meanwhile(start, versitygw, monkeypatch, kind):
    real = processes._free_port
    ports = iter([int(versitygw.address.rpartition(":")[2])])
    monkeypatch.setattr(processes, "_free_port", lambda: next(ports, None) or real())
    server = start(kind)
    assert answers(server)
    assert server.address != versitygw.address


def test_a_port_that_was_taken_by_somebody_who_says_nothing(start, monkeypatch):
    real = processes._free_port
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ports = iter([silent.getsockname()[1]])
        monkeypatch.setattr(processes, "_free_port", lambda: next(ports, None) or real())
        assert answers(start("toxiproxy"))


def test_a_server_that_does_not_start_tells_why(start, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".minio.sys").touch()  # where MinIO wants a folder
    with pytest.raises(Unavailable, match=r"minio ended at once: .*Unable to use the drive") as caught:
        start("minio")
    assert str(tmp_path / "log") in caught.value.hint


PARENT = """
import sys, time
from pathlib import Path
from datastore.testing.servers import start_versitygw
server = start_versitygw(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(1000 if sys.argv[2] == "killed" else 0)
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_server_ends_with_the_process_that_started_it(built_servers, tmp_path, how):
    built_servers("versitygw")
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), how], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        if how == "killed":
            assert running(pid)
            parent.kill()
    assert wait_until(lambda: not running(pid))


def test_a_server_that_was_killed_is_missed_at_once(start):
    server = start("versitygw")
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(server.running.ended)
    with pytest.raises(Unavailable, match="versitygw has ended"):
        server.check()
    server.stop()


def test_https_is_verified_with_the_servers_own_authority(versitygw_tls):
    assert answers(versitygw_tls)
    assert versitygw_tls.endpoint.startswith("https://127.0.0.1:")
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(versitygw_tls.endpoint)
    trusting = ssl.create_default_context(cafile=versitygw_tls.ca_file)
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:  # it answers: nobody signed this
        urllib.request.urlopen(versitygw_tls.endpoint, context=trusting)
    caught.value.close()


@pytest.mark.parametrize("kind", ["minio", "lakefs"])
def test_the_others_speak_https_too(start, kind):
    server = start(kind, tls=True)
    assert server.endpoint.startswith("https://")
    assert answers(server)


def test_versioned_buckets(start):
    server = start("versitygw", versioning=True)
    bucket = server.new_bucket()
    body = b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
    server.request("PUT", f"/{bucket}?versioning", body=body)
    assert b"Enabled" in server.request("GET", f"/{bucket}?versioning")


def test_a_refusal_is_an_error(minio):
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        minio.request("GET", "/no-such-bucket/key")


def test_minio_is_told_its_folder(minio):
    assert minio.kind == "minio"
    assert (minio.folder / "data" / minio.new_bucket()).is_dir()


def test_objects_of_versitygw_are_files(versitygw):
    bucket = versitygw.new_bucket()
    versitygw.request("PUT", f"/{bucket}/a/b", body=b"content")
    assert (versitygw.folder / "data" / bucket / "a" / "b").read_bytes() == b"content"


def test_versitygw_on_a_disk_without_extended_attributes(start, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    server = start("versitygw")
    assert answers(server)
    assert list((tmp_path / "attributes").rglob("*"))


def test_lakefs_presigns_and_its_storage_serves_it(lakefs):
    config = lakefs.request("GET", "/config")["storage_config"]
    assert (config["pre_sign_support"], config["pre_sign_multipart_upload"]) == (True, True)
    repo = lakefs.new_repo(default_branch="trunk")
    staging = f"/repositories/{repo}/branches/trunk/staging/backing?path=a"
    address = lakefs.request("GET", f"{staging}&presign=true")
    assert address["presigned_url"].startswith(f"{lakefs.storage.endpoint}/")
    put = urllib.request.Request(address["presigned_url"], data=b"content", method="PUT", headers={"Content-Type": ""})
    with urllib.request.urlopen(put) as answer:
        checksum = answer.headers["ETag"].strip('"')
    lakefs.request("PUT", staging, body={"staging": address, "checksum": checksum, "size_bytes": 7})
    found = lakefs.request("GET", f"/repositories/{repo}/refs/trunk/objects/stat?path=a&presign=true")
    with urllib.request.urlopen(found["physical_address"]) as answer:
        assert answer.read() == b"content"


def test_lakefs_over_a_disk_does_not_presign(lakefs_local):
    assert lakefs_local.storage is None
    assert not lakefs_local.request("GET", "/config")["storage_config"]["pre_sign_support"]
    assert lakefs_local.new_repo() in lakefs_local.repos()


def test_lakefs_counts_its_calls(lakefs):
    repo = lakefs.new_repo()
    before = len(lakefs.calls())
    lakefs.request("GET", f"/repositories/{repo}/branches/main")
    lakefs.request("GET", f"/repositories/{repo}/refs/main/objects/ls")
    with pytest.raises(Unavailable, match="404"):
        lakefs.request("GET", f"/repositories/{repo}/branches/none")
    assert lakefs.calls()[before:] == ["GetBranch", "ListObjects", "GetBranch"]


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


@pytest.fixture
def page(versitygw, toxiproxy):
    """A proxy to a server, and the URL of a page of 100 kB behind it."""
    bucket = versitygw.new_bucket()
    versitygw.request("PUT", f"/{bucket}/page", body=bytes(100_000))
    policy = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]}).encode()
    versitygw.request("PUT", f"/{bucket}?policy", body=document)
    with toxiproxy.proxy(versitygw.endpoint) as proxy:
        yield proxy, f"{proxy.endpoint}/{bucket}/page"


def test_a_proxy_goes_down_and_up(page):
    proxy, url = page
    assert len(get(url)) == 100_000
    proxy.down()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(url)
    proxy.up()
    assert len(get(url)) == 100_000
    proxy.delete()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(url)
    proxy.delete()  # again


def test_a_proxy_cuts_answers_short(page):
    proxy, url = page
    proxy.limit_data(50_000)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        get(url)
    proxy.clear()
    assert len(get(url)) == 100_000


def test_a_proxy_resets_connections(page):
    proxy, url = page
    name = proxy.reset_peer()
    with pytest.raises((ConnectionResetError, urllib.error.URLError)):
        get(url)
    proxy.remove(name)
    assert len(get(url)) == 100_000


def test_a_proxy_holds_answers_back(page):
    proxy, url = page
    proxy.latency(300)
    begin = time.monotonic()
    get(url)
    assert time.monotonic() - begin >= 0.3
    proxy.clear()
    proxy.slow(kilobytes_per_second=200)
    begin = time.monotonic()
    assert len(get(url)) == 100_000
    assert time.monotonic() - begin >= 0.3


def test_tests_that_want_a_server_are_marked(request, versitygw):
    assert request.node.get_closest_marker("servers") is not None


def datastore(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "datastore.cli", "servers", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_servers_up_runs_until_it_is_told_to_stop(built_servers, tmp_path, end):
    built_servers("versitygw")
    with datastore("up", "s3", "--folder", tmp_path) as process:
        printed = [process.stdout.readline() for _ in range(6)]
        rows = dict(line.rstrip("\n").split("\t") for line in printed[:4])
        mount = yaml.safe_load("".join(printed[4:]))["mounts"]["dev"]
        assert mount == {"provider": "s3", **rows}
        assert rows["bucket"] == "dev"
        get_it = urllib.request.Request(rows["endpoint"])
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(get_it)
        caught.value.close()
        process.send_signal(end)
        assert process.wait() == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(get_it)
    assert (tmp_path / "data" / "dev").is_dir()


def test_servers_up_twice_on_one_folder(built_servers, tmp_path):
    built_servers("versitygw", "lakefs")
    facts = []
    for _ in range(2):
        with datastore("up", "lakefs", "--folder", tmp_path, "--json") as process:
            printed = []
            while not printed or printed[-1] != "}\n":
                printed.append(process.stdout.readline())
            facts.append(json.loads("".join(printed)))
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
    assert facts[0]["repo"] == facts[1]["repo"] == "dev"
    assert facts[0]["secret_access_key"] == facts[1]["secret_access_key"]


def test_servers_up_without_a_folder_leaves_nothing(built_servers, tmp_path):
    built_servers("minio")
    with datastore("up", "minio") as process:
        assert process.stdout.readline().startswith("endpoint\thttp://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_servers_build_tells_where_the_binaries_are(built_servers):
    built_servers("toxiproxy")
    done = subprocess.run(
        [sys.executable, "-m", "datastore.cli", "servers", "build", "toxiproxy"],
        capture_output=True,
        text=True,
        check=True,
    )
    name, path = done.stdout.rstrip("\n").split("\t")
    assert (name, Path(path).is_file(), done.stderr) == ("toxiproxy", True, "")
