"""Where a store is, what of it may be damaged, and where it refuses to be."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from datastore import disks, durable
from datastore.embedded.store import EmbeddedStore
from datastore.errors import (
    ConfigError,
    Forbidden,
    IntegrityError,
    NotFound,
    Unavailable,
    UnsupportedOperation,
    ValidationError,
)
from datastore.testing.versioning_tools import commit, contents, keys, request, save, staged
from tests.embedded.files import listing

FOLDERS = ["blobs", "trees", "commits", "tmp", "locks"]


@pytest.fixture
def store(opened):
    """A store that is closed: nothing but its files."""
    store = opened()
    save(store.create_repo("garments"), "main", {"a.txt": b"hello"})
    store.close()
    return store


def verbs(store):
    """What somebody may try first."""
    return [
        store.repos,
        lambda: store.repo("garments"),
        lambda: store.create_repo("shoes"),
        lambda: store.delete_repo("garments"),
        lambda: store.id,
    ]


def refused(opened, path, error, match):
    """Every verb raises this, and changes nothing."""
    before = listing(path)
    for read_only in (False, True):
        for verb in verbs(opened(read_only=read_only)):
            with pytest.raises(error, match=match) as caught:
                verb()
            assert caught.value.hint
    assert listing(path) == before


# half-written, damaged, foreign, newer


def test_a_lost_config(opened, store, path):
    (path / "config.json").unlink()
    refused(opened, path, IntegrityError, r"lost its config\.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format":1}', '{"format":"1","store_id":"x"}', "\xff"])
def test_a_config_that_cannot_be_read(opened, store, path, text):
    (path / "config.json").write_bytes(text.encode("latin-1"))
    refused(opened, path, IntegrityError, r"config\.json cannot be read")


def test_a_config_that_is_a_folder(opened, store, path):
    (path / "config.json").unlink()
    (path / "config.json").mkdir()
    refused(opened, path, IntegrityError, r"config\.json cannot be read")


@pytest.mark.parametrize("name", [*FOLDERS, "meta.db"])
def test_a_lost_part(opened, store, path, name):
    (path / name).rename(path.parent / "away")
    refused(opened, path, IntegrityError, f"half there: {name} missing")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_in_the_place_of_a_folder(opened, store, path, name):
    shutil.rmtree(path / name)
    (path / name).write_bytes(b"")
    refused(opened, path, IntegrityError, f"half there: {name} missing")


def test_lost_config_and_index(opened, store, path):
    """The commits are still there: a new, empty index beside them would hide that they can be rescued."""
    (path / "config.json").unlink()
    (path / "meta.db").unlink()
    refused(opened, path, IntegrityError, "lost its config")
    shutil.rmtree(path / "commits")
    refused(opened, path, IntegrityError, "lost its config")


def test_an_index_that_is_garbage(opened, store, path):
    (path / "meta.db").write_bytes(b"garbage" * 1000)
    before = listing(path)
    for verb in (lambda: opened().repos(), lambda: opened().repo("garments"), lambda: opened().create_repo("shoes")):
        with pytest.raises(IntegrityError, match="index"):
            verb()
    assert listing(path) == before


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"read_features": ["packs"]}, {"format": 99, "read_features": ["x"]}, {"hash": "blake3"}],
)
def test_a_newer_format(opened, store, path, change):
    config = json.loads((path / "config.json").read_bytes())
    (path / "config.json").write_text(json.dumps({**config, **change}))
    refused(opened, path, ConfigError, "format")


def test_unknown_fields_of_the_config_are_left_alone(opened, store, path):
    config = json.loads((path / "config.json").read_bytes())
    (path / "config.json").write_text(json.dumps({**config, "label": "mine"}))
    assert contents(opened().repo("garments").at("main")) == {"a.txt": b"hello"}


def test_an_unknown_write_feature_leaves_reading(opened, store, path):
    config = json.loads((path / "config.json").read_bytes())
    (path / "config.json").write_text(json.dumps({**config, "write_features": ["packs"]}))
    before = listing(path)
    repo = opened().repo("garments")
    assert contents(repo.at("main")) == {"a.txt": b"hello"}
    assert not repo.at("main").capabilities.writable
    for verb in (lambda: repo.at("main").put("b", b""), lambda: commit(repo, "main", "x"), lambda: repo.reset("main")):
        with pytest.raises(Forbidden, match="'packs'") as caught:
            verb()
        assert "upgrade" in str(caught.value.hint)
    assert listing(path) == before


def test_a_foreign_folder_is_refused(opened, path):
    path.mkdir()
    (path / "thesis.docx").write_bytes(b"years of work")
    before = listing(path)
    with pytest.raises(ValidationError, match=r"thesis\.docx"):
        opened().create_repo("garments")
    assert listing(path) == before
    assert not opened().exists()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_way(opened, path, below):
    path.write_bytes(b"a file")
    store = opened(path / below)
    assert (store.exists(), list(store.repos())) == (False, [])
    with pytest.raises(ValidationError, match="is a file"):
        store.create_repo("garments")
    assert path.read_bytes() == b"a file"


# creation


def test_a_creation_that_was_interrupted_anywhere_can_be_repeated(opened, path, monkeypatch):
    """Every step of creating fails once, in turn, as if the process had died there."""

    class Died(BaseException):
        pass

    def creation_dies_at(step):
        left = [step]

        def dying(original):
            def call(*args, **how):
                left[0] -= 1
                if left[0] == 0:
                    raise Died
                return original(*args, **how)

            return call

        with monkeypatch.context() as patch:
            for place, name in (
                (os, "mkdir"),
                (os, "open"),
                (os, "write"),
                (os, "fsync"),
                (os, "replace"),
                (os, "rename"),
                (os, "unlink"),
            ):
                patch.setattr(place, name, dying(getattr(place, name)))
            store = EmbeddedStore(path)
            try:
                store.create_repo("garments")
            except Died:
                pass
            finally:
                monkeypatch.undo()
                store.close()
        return left[0] <= 0

    step = 1
    while creation_dies_at(step):
        store = opened()
        if "garments" not in store.repos():
            store.create_repo("garments")
        save(store.repo("garments"), "main", {"a.txt": b"hello"})
        assert list(store.check()) == []
        store.close()
        shutil.rmtree(path)
        step += 1
    assert step > 20
    assert list(opened().repos()) == ["garments"]


def test_several_processes_create_one_store(path):
    code = (
        "import sys; from pathlib import Path; from datastore.embedded.store import EmbeddedStore\n"
        "store = EmbeddedStore(Path(sys.argv[1])); store.create_repo(sys.argv[2]); print(store.id); store.close()"
    )
    names = [f"repo-{number}" for number in range(3)]
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    ids = {process.communicate()[0] for process in started}
    assert len(ids) == 1
    assert [process.returncode for process in started] == [0, 0, 0]
    store = EmbeddedStore(path)
    assert list(store.repos()) == names
    assert list(store.check()) == []
    store.close()


# disks


@pytest.fixture
def network(monkeypatch, tmp_path):
    """The machine says that everything is on this kind of file system."""

    def mount(kind):
        device = tmp_path.stat().st_dev
        table = tmp_path / "mountinfo"
        table.write_text(
            "22 1 0:21 / /proc rw,nosuid - proc proc rw\n"
            f"30 1 {os.major(device)}:{os.minor(device)} / /data rw,relatime shared:1 - {kind} server:/export rw\n"
        )
        original = disks._from_mountinfo
        monkeypatch.setattr(disks, "_from_mountinfo", lambda path, _: original(path, table))

    return mount


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads mountinfo")
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "virtiofs", "lustre", "ceph"])
def test_a_network_file_system_is_refused(opened, path, network, kind):
    network(kind)
    with pytest.raises(UnsupportedOperation, match=kind.replace(".", r"\.")) as caught:
        opened().create_repo("garments")
    assert "local disk" in str(caught.value.hint)
    assert not path.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads mountinfo")
def test_a_store_that_was_moved_to_a_network_can_only_be_read(opened, store, path, network):
    network("nfs4")
    before = listing(path)
    with pytest.raises(UnsupportedOperation):
        opened().repo("garments")
    assert contents(opened(read_only=True).repo("garments").at("main")) == {"a.txt": b"hello"}
    assert listing(path) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads mountinfo")
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "something-new"])
def test_a_local_file_system_is_fine(opened, network, kind):
    network(kind)
    opened().create_repo("garments")


def test_a_table_of_mounts_that_is_not_there(tmp_path):
    assert disks._from_mountinfo(tmp_path, tmp_path / "nowhere") == ""


# reading only


def writing_verbs(store):
    repo = store.repo("garments")
    main = repo.at("main")
    return [
        lambda: main.put("x", b""),
        lambda: main.delete(["a.txt"]),
        lambda: main.writer("x"),
        lambda: main.copy("a.txt", "x"),
        lambda: main.link(main.head("a.txt"), "x"),
        lambda: main.import_files([]),
        lambda: commit(repo, "main", "x"),
        lambda: repo.reset("main"),
        lambda: repo.restore("main", "a.txt", "main~1"),
        lambda: repo.create_branch("x", "main"),
        lambda: repo.delete_branch("main"),
        lambda: repo.undelete_branch("x"),
        lambda: repo.create_tag("x", "main"),
        lambda: repo.delete_tag("x"),
        lambda: repo.protect("main"),
        lambda: repo.revert("main", "main", request()),
        lambda: store.create_repo("x-y-z"),
        lambda: store.delete_repo("garments"),
        lambda: store.rename_repo("garments", "clothes"),
    ]


@pytest.mark.parametrize("live", [False, True])
def test_reading_writes_nothing_at_all(opened, store, path, live):
    if live:
        opened().repo("garments").at("main").put("new.txt", b"uncommitted")
    before = listing(path)
    reader = opened(read_only=True)
    repo = reader.repo("garments")
    assert keys(repo.at("main")) == (["a.txt", "new.txt"] if live else ["a.txt"])
    assert list(repo.log("main"))
    assert list(repo.diff("main~1", "main"))
    assert list(reader.check()) == []
    assert list(reader.repos()) == ["garments"]
    for verb in writing_verbs(reader):
        with pytest.raises(Forbidden):
            verb()
    reader.close()
    assert listing(path) == before


def test_reading_a_store_that_is_not_there(opened, path):
    with pytest.raises(NotFound):
        opened(read_only=True).create_repo("garments")
    assert not path.exists()


# what the disk refuses


def refusing(code):
    def refuses(*_args, **_how):
        raise OSError(code, os.strerror(code))

    return refuses


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["open", "write"])
def test_a_put_that_the_disk_refuses(opened, store, monkeypatch, call, code):
    repo = opened().repo("garments")
    repo.at("main").put("b.txt", b"b")
    before = set(listing(store.path))
    error = Forbidden if code == errno.EROFS else Unavailable
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, call, refusing(code))
        with pytest.raises(error) as caught:
            repo.at("main").put("a.txt", b"new" * 1000)
        if call == "write":
            with pytest.raises(error):
                repo.at("main").writer("c.txt").write(b"new")
    assert "nothing was changed" in str(caught.value.hint)
    assert staged(repo) == {"b.txt": "added"}
    assert set(listing(store.path)) == before
    repo.at("main").put("a.txt", b"new" * 1000)
    assert contents(repo.at("main")) == {"a.txt": b"new" * 1000, "b.txt": b"b"}


@pytest.mark.parametrize("call", ["fsync", "write", "replace"])
def test_a_commit_that_the_disk_refuses_can_be_repeated(opened, store, path, monkeypatch, call):
    repo = opened().repo("garments")
    repo.at("main").put("b.txt", b"b")
    head = repo.commit_of("main")
    with monkeypatch.context() as patch:
        patch.setattr(durable.os, call, refusing(errno.ENOSPC))
        if call == "replace":
            patch.setattr(durable.os, "rename", refusing(errno.ENOSPC))
        with pytest.raises(Unavailable):
            commit(repo, "main", "Refused")
    assert repo.commit_of("main") == head
    assert staged(repo) == {"b.txt": "added"}
    assert os.listdir(path / "tmp") == []
    commit(repo, "main", "Taken")
    assert contents(repo.at("main@")) == {"a.txt": b"hello", "b.txt": b"b"}
    assert list(EmbeddedStore(path).check()) == []
