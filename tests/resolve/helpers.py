"""What the tests of `resolve` have in common."""

import time
from collections import Counter
from pathlib import Path

import datastore as ds
from datastore import flocks
from datastore.http.observe import observed
from datastore.namespace import reset_current
from datastore.testing.store_children import Child
from datastore.values import digest_of

MIB = 1 << 20
PROCESSES = 12


def tree(folder):
    """What is in a folder: bytes by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def gets(cloud):
    """The ranges of all downloads that a scripted server was asked for."""
    return [request.headers.get("range") for request in cloud.requests if request.operation == "GetObject"]


def leaks(cache):
    """What is left in the making, of work that is over."""
    kinds = ("tmp", "partial", "locks", "doomed", "quarantine")
    return [f"{kind}/{path.name}" for kind in kinds for path in Path(cache, kind).glob("*")]


def write_to(path, data, *, at=0):
    """Write into a file as root can, and as everybody can who makes it writable first."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    path.chmod(0o444)


def census(cache):
    """How many files of each kind a cache folder holds: what is more than that of another one, is a leak."""
    found = (path.relative_to(cache).parts[0] for path in Path(cache).rglob("*") if path.is_file())
    return Counter(kind for kind in found if not kind.startswith("usage"))


def lockless(monkeypatch):
    """Let locks do nothing and say yes, as on some network disks."""
    monkeypatch.setattr(flocks, "try_lock", lambda fd: True)
    monkeypatch.setattr(flocks, "unlock", lambda fd: None)


def evicting(end):
    """Start a process that makes room again and again, until a time of the monotonic clock; it says what it freed."""

    def evict(say):
        freed = 0
        while time.monotonic() < end:
            freed += ds.cache.trim(100_000)
        say(f"freed {freed}")

    return Child(evict)


def together(url, count=PROCESSES):
    """Resolve a URL in many processes at once; return the digests that they read, and how many downloads there were."""

    def work(say):
        begin = time.monotonic() + 0.2
        while time.monotonic() < begin:  # until all are there
            time.sleep(0.01)
        with observed() as seen:
            path = ds.resolve(url)
        say(f"gets {sum(one.method == 'GET' and one.received > MIB // 2 for one in seen)}")
        say(f"read {digest_of(path.read_bytes())} {path}")

    children = [Child(work, seconds=120) for _ in range(count)]
    lines = []
    for child in children:
        said, status = child.lines()
        assert status == 0, said
        lines += said
    downloads = sum(int(line.split()[1]) for line in lines if line.startswith("gets"))
    return {tuple(line.split()[1:]) for line in lines if line.startswith("read")}, downloads


def config_of(server, file):
    """Write a configuration with the mount "data" on a server, which other processes have too; return its root.

    Secrets of a mount that was made in a session do not travel.
    """
    options = {"endpoint": server.endpoint, "access_key_id": server.access_key, "secret_access_key": server.secret_key}
    if server.kind == "lakefs":
        options |= {"provider": "lakefs", "repo": server.new_repo()}
    else:
        options |= {"provider": "s3", "bucket": server.new_bucket(), "region": server.region}
    file.write_text("\n".join(["mounts:", "  data:", *(f"    {name}: {value}" for name, value in options.items())]))
    reset_current()
    return "ds://data@main/" if server.kind == "lakefs" else "ds://data/"
