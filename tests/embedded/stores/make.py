"""Writes a store as this version of the program does, with what to expect of it; see README.md."""

import hashlib
import json
import sys
import tarfile
import tempfile
from pathlib import Path

from datastore.embedded.store import EmbeddedStore
from datastore.testing.versioning_tools import contents, request, save, staged
from datastore.values import Link, ObjectInfo

BIG = 1800
"""Entries of the largest tree: more than one leaf."""
BATCH = 300


def write(path):
    """Make the store: every kind of ref, entry and uncommitted change that there is."""
    store = EmbeddedStore(path)
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"first", "img/photo.png": b"\x89PNG", "gone.txt": b"x"}, message="First")
    repo.create_tag("v1", "main")
    repo.create_branch("exp", "main")
    save(repo, "exp", {"b.txt": b"of exp", "gone.txt": None}, message="On exp", metadata={"run": "7"})
    save(repo, "main", {"a.txt": b"second", "ümlaut/naïve ✓.txt": "größer".encode()}, message="Second")
    repo.merge("exp", "main", request("Merge exp"))
    link = Link(url="ds://raw/2026/a.csv", etag="e1", address="s3://acme-raw/2026/a.csv")
    raw = ObjectInfo(key="linked.csv", size=7, modified_us=1, etag="e1", identity="acme-raw/2026/a.csv#e1", link=link)
    repo.at("main").link_outside([raw])
    repo.commit("main", request("Link"))
    repo.revert("main", "main~2", request("Undo"))
    repo.create_branch("old", "v1")
    repo.at("old").put("undelete-me.txt", b"of a deleted branch")
    repo.delete_branch("old")
    repo.create_branch("tx", "v1", hidden=True)
    repo.create_branch("kept", "v1")
    repo.protect("kept")
    repo.set_remote("ds://team/garments")
    repo.at("exp").put("new.txt", b"uncommitted")
    repo.at("exp").delete(["b.txt"])
    many = store.create_repo("many", default_branch="trunk")
    for start in range(0, BIG, BATCH):  # in small parts, because the index keeps the room that they took
        save(many, "trunk", {f"{number:06}": b"" for number in range(start, start + BATCH)}, message="Many")
    store.close()


def expected(path):
    """Return what is in it, as this version reads it."""
    store = EmbeddedStore(path)
    found = {"problems": [str(problem) for problem in store.check()], "repos": {}}
    for name in store.repos():
        repo = store.repo(name)
        refs = [*(branch.name for branch in repo.branches(hidden=True)), *(tag.name for tag in repo.tags())]
        found["repos"][name] = {
            "default": repo.default_branch,
            "remote": repo.remote(),
            "branches": {b.name: [b.head, b.hidden, b.protected] for b in repo.branches(hidden=True)},
            "tags": {tag.name: tag.commit for tag in repo.tags()},
            "log": {ref: [[info.id, info.message, info.metadata] for info in repo.log(ref)] for ref in refs},
            "objects": {ref: digest_of(repo.at(ref)) for ref in refs},
            "staged": {b.name: staged(repo, b.name) for b in repo.branches(hidden=True)},
        }
    store.close()
    return found


def digest_of(provider):
    """Return (number of keys, sha256 of all keys and contents); a link counts as what it records."""
    links = {i.key: f"{i.link.url} {i.etag} {i.size}" for page in provider.list() for i in page.objects if i.link}
    rest = {key: data.hex() for key, data in contents(_WithoutLinks(provider, links)).items()}
    text = json.dumps(sorted([*rest.items(), *links.items()]))
    return [len(rest) + len(links), hashlib.sha256(text.encode()).hexdigest()]


class _WithoutLinks:
    """A provider whose links are left out."""

    def __init__(self, provider, links):
        self._provider = provider
        self._links = links

    def list(self, prefix=""):
        for page in self._provider.list(prefix):
            yield type(page)(objects=[info for info in page.objects if info.key not in self._links])

    def read(self, key):
        return self._provider.read(key)


def main(name):
    """Write `<name>.tar.gz` beside this file: the store, and `expected.json`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        write(path)
        text = json.dumps(expected(path), indent=1, sort_keys=True)
        (Path(folder) / "expected.json").write_text(text)
        (path / "ballast").unlink(missing_ok=True)  # nothing but room
        target = Path(__file__).with_name(f"{name}.tar.gz")
        with tarfile.open(target, "x:gz") as tar:
            tar.add(path, "store")
            tar.add(Path(folder) / "expected.json", "expected.json")
        print(target, target.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
