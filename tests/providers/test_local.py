"""The provider over a local folder: the exam, and what only a disk can do to it."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datastore.errors import (
    AlreadyExists,
    ConfigError,
    Conflict,
    Forbidden,
    HeadMoved,
    IntegrityError,
    InvalidURL,
    NotFound,
    TooLarge,
    Unavailable,
    UnsafeKey,
    UnsupportedOperation,
)
from datastore.provider import SupportsCopy, SupportsLink
from datastore.providers.local import LocalProvider
from datastore.registry import open_provider
from datastore.testing import ProviderSuite, ReadOnlySuite
from datastore.testing.exam import content, listed, together
from datastore.values import CREATE, ByteRange


def on_disk(root: Path) -> list[str]:
    """Everything below a folder, folders too, as a shell would show it with hidden names."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def provider(root: Path) -> LocalProvider:
    return LocalProvider(root)


class TestLocal(ProviderSuite):
    @pytest.fixture
    def provider(self, root: Path):
        yield LocalProvider(root)
        assert not [name for name in on_disk(root) if ".datastore-tmp-" in name], "nothing unfinished is left behind"


class TestLocalReadOnly(ReadOnlySuite):
    @pytest.fixture
    def read_only(self, root: Path):
        (root / "a.txt").write_bytes(b"hello")
        return open_provider("local", {"path": str(root), "read_only": True}, where="mount 'x'")


# ----------------------------------------------------------------------------------------------------- what is promised


def test_it_promises_no_more_than_a_disk_holds(provider: LocalProvider):
    capabilities = provider.capabilities
    assert (capabilities.match, capabilities.attributes, capabilities.digests) == (False, False, False)
    assert (capabilities.create, capabilities.local, capabilities.immutable) == (True, True, False)
    assert not isinstance(provider, SupportsCopy | SupportsLink)


def test_objects_are_plain_files_with_the_rights_that_the_umask_gives(provider: LocalProvider, root: Path):
    (root / "made by hand.txt").write_bytes(b"hand")
    provider.put("folder/made here.txt", b"here")
    assert content(provider, "made by hand.txt") == b"hand"
    assert (root / "folder" / "made here.txt").read_bytes() == b"here"
    assert (root / "folder" / "made here.txt").stat().st_mode == (root / "made by hand.txt").stat().st_mode


def test_making_a_handle_asks_the_disk_nothing_and_a_missing_root_is_named(tmp_path: Path):
    provider = LocalProvider(tmp_path / "typo")
    for verb in (lambda: list(provider.list()), lambda: provider.put("a/b", b"1"), lambda: provider.writer("a")):
        with pytest.raises(NotFound, match="typo"):
            verb()
    with pytest.raises(NotFound):
        provider.head("a")
    assert not provider.delete(["a"])
    assert on_disk(tmp_path) == []


def test_a_relative_root_stays_where_it_was(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root.parent)
    provider = LocalProvider(Path("root"))
    monkeypatch.chdir("/")
    provider.put("a", b"1")
    assert on_disk(root) == ["a"]


def test_a_root_may_be_a_link(provider: LocalProvider, root: Path):
    provider.put("a/b", b"1")
    link = root.parent / "link"
    link.symlink_to(root)
    through = LocalProvider(link)
    through.put("a/c", b"2")
    assert listed(through) == listed(provider) == ["a/b", "a/c"]
    assert through.head("a/b") == provider.head("a/b")


def test_create_holds_on_disks_without_hard_links(provider: LocalProvider, root: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_paths: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)  # FAT and many network shares have none

    def create(number: int) -> int | None:
        try:
            provider.put("a/prize", bytes([number]) * 1000, mode=CREATE)
        except AlreadyExists:
            return None
        return number

    (winner,) = [number for number in together(create) if number is not None]
    assert content(provider, "a/prize") == bytes([winner]) * 1000
    assert on_disk(root) == ["a", "a/prize"]


def test_a_handle_pickles(provider: LocalProvider):
    provider.put("a", b"1")
    assert content(pickle.loads(pickle.dumps(provider)), "a") == b"1"


def test_wrong_options_are_refused_by_name(root: Path):
    with pytest.raises(ConfigError, match="folder"):
        open_provider("local", {"folder": str(root)}, where="mount 'x'")


def test_the_identity_is_the_place_and_the_state(provider: LocalProvider, root: Path):
    first = provider.put("a", b"1")
    assert first.identity.startswith(str(root / "a"))
    assert first.identity.endswith(first.etag)
    assert first.digest is None


def test_two_writes_never_get_the_same_etag(provider: LocalProvider):
    # Inodes come back at once and a disk's clock is coarse: a cache must not take one state for the other.
    etags = [provider.put("a", b"%03d" % number).etag for number in range(500)]
    assert len(set(etags)) == 500


def test_the_time_of_a_write_is_exact(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datastore.providers.local.writing.time_ns", lambda: 1_700_000_000_123_456_789)
    assert provider.put("a", b"1").modified_us == provider.head("a").modified_us == 1_700_000_000_123_456


def test_all_below_the_root_of_the_disk_can_be_mounted(root: Path):
    provider = LocalProvider(Path("/"))
    (root / "a.txt").write_bytes(b"hello")
    key = str(root / "a.txt").lstrip("/")
    assert content(provider, key) == b"hello"
    assert listed(provider, key[:-5], delimiter="/") == [key]


# ---------------------------------------------------------------------------------------------------------------- links


def test_links_below_the_root_work(provider: LocalProvider, root: Path):
    provider.put("data/v1/a.txt", b"hello")
    (root / "latest").symlink_to("data/v1")
    (root / "b.txt").symlink_to(root / "data" / "v1" / "a.txt")
    assert content(provider, "latest/a.txt") == content(provider, "b.txt") == b"hello"
    assert listed(provider) == ["b.txt", "data/v1/a.txt", "latest/a.txt"]
    assert listed(provider, delimiter="/") == ["b.txt", "data/", "latest/"]
    assert provider.head("latest/a.txt").identity == provider.head("data/v1/a.txt").identity
    provider.put("latest/new.txt", b"1")
    assert content(provider, "data/v1/new.txt") == b"1"


def test_a_write_replaces_a_link_and_not_what_it_leads_to(provider: LocalProvider, root: Path):
    provider.put("data/a.txt", b"original")
    (root / "b.txt").symlink_to("data/a.txt")
    provider.put("b.txt", b"mine")
    assert (content(provider, "data/a.txt"), content(provider, "b.txt")) == (b"original", b"mine")
    (root / "c.txt").symlink_to("data/a.txt")
    provider.delete(["c.txt"])
    assert listed(provider) == ["b.txt", "data/a.txt"]


@pytest.fixture
def outside(root: Path) -> Path:
    folder = root.parent / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(b"secret")
    (root / "folder").symlink_to(folder)
    (root / "file.txt").symlink_to("../outside/secret.txt")
    (root / "twice").symlink_to("folder")
    return folder


@pytest.mark.parametrize(
    "key", ["folder/secret.txt", "file.txt", "twice/secret.txt", "folder", "../outside/secret.txt", "/etc/passwd", ".."]
)
def test_no_key_reaches_outside(provider: LocalProvider, outside: Path, key: str):
    for verb in (provider.head, provider.read):
        with pytest.raises(UnsafeKey):
            verb(key)
    with pytest.raises((UnsafeKey, InvalidURL)):
        provider.put(key, b"changed")
    (failure,) = provider.delete([key])
    assert (failure.key, type(failure.error)) == (key, UnsafeKey)
    assert on_disk(outside) == ["secret.txt"]
    assert (outside / "secret.txt").read_bytes() == b"secret"


@pytest.mark.parametrize("key", ["folder/new.txt", "folder/deep/new.txt", "twice/new.txt"])
def test_nothing_is_written_outside(provider: LocalProvider, outside: Path, key: str):
    for mode in ("overwrite", CREATE):
        with pytest.raises(UnsafeKey):
            provider.put(key, b"1", mode=mode)
    assert on_disk(outside) == ["secret.txt"]


@pytest.mark.parametrize("prefix", ["", "fi", "fold", "folder/", "twice/sec", "../", "../outside/"])
def test_no_listing_reaches_outside(provider: LocalProvider, outside: Path, prefix: str):
    with pytest.raises(UnsafeKey):
        listed(provider, prefix)


def test_a_listing_elsewhere_does_not_mind_a_bad_link(provider: LocalProvider, outside: Path):
    provider.put("good/a.txt", b"1")
    assert listed(provider, "good/") == ["good/a.txt"]
    assert listed(provider, "go", delimiter="/") == ["good/"]


def test_a_root_whose_name_only_begins_the_same_is_outside(provider: LocalProvider, root: Path):
    sibling = root.parent / "root-of-others"
    sibling.mkdir()
    (sibling / "a").write_bytes(b"1")
    (root / "link").symlink_to(sibling)
    with pytest.raises(UnsafeKey):
        provider.head("link/a")


def test_links_in_circles_end(provider: LocalProvider, root: Path):
    provider.put("a/b/c.txt", b"1")
    provider.put("a/x.txt", b"1")
    provider.put("d/e.txt", b"2")
    (root / "a" / "b" / "up").symlink_to("..")
    (root / "a" / "b" / "top").symlink_to(root)
    (root / "a" / "b" / "over").symlink_to("../../d")
    (root / "d" / "back").symlink_to("../a")
    (root / "self").symlink_to("self")
    assert listed(provider, "d/") == ["d/back/b/c.txt", "d/back/x.txt", "d/e.txt"]
    assert listed(provider) == ["a/b/c.txt", "a/b/over/e.txt", "a/x.txt", *listed(provider, "d/")]
    assert listed(provider, "a/b/up/") == []
    assert listed(provider, delimiter="/") == ["a/", "d/"]
    with pytest.raises(NotFound):
        provider.head("self")


def test_a_link_that_leads_nowhere_is_no_object(provider: LocalProvider, root: Path):
    (root / "nowhere").symlink_to("missing")
    assert listed(provider) == listed(provider, delimiter="/") == []
    with pytest.raises(NotFound):
        provider.read("nowhere")
    with pytest.raises(AlreadyExists):
        provider.put("nowhere", b"1", mode=CREATE)
    assert not provider.delete(["nowhere"])
    provider.put("nowhere", b"1")
    assert (listed(provider), on_disk(root)) == (["nowhere"], ["nowhere"])


# ---------------------------------------------------------------------------------------------------- files and folders


def test_a_folder_is_no_object_and_stays(provider: LocalProvider, root: Path):
    (root / "empty" / "inner").mkdir(parents=True)
    assert listed(provider) == listed(provider, delimiter="/") == listed(provider, "empty/", delimiter="/") == []
    for key in ("empty", "empty/inner"):
        with pytest.raises(NotFound):
            provider.head(key)
        with pytest.raises(NotFound):
            provider.read(key)
    assert not provider.delete(["empty", "empty/inner", "empty/inner/a"])
    assert on_disk(root) == ["empty", "empty/inner"]


def test_a_clash_names_both_and_leaves_both(provider: LocalProvider, root: Path):
    provider.put("a", b"file")
    provider.put("b/c/d", b"below")
    for mode in ("overwrite", CREATE):
        with pytest.raises(Conflict, match=r"'a/x/y' cannot .* 'a' is an object"):
            provider.put("a/x/y", b"1", mode=mode)
        with pytest.raises(Conflict, match=r"'b' cannot .* folder of 'b/c/d'"):
            provider.put("b", b"1", mode=mode)
    assert on_disk(root) == ["a", "b", "b/c", "b/c/d"]
    (root / "link").symlink_to("b")
    with pytest.raises(Conflict):
        provider.put("link", b"1")
    assert content(provider, "link/c/d") == b"below"


def test_a_folder_that_comes_before_the_commit_is_a_clash(provider: LocalProvider, root: Path):
    for mode in ("overwrite", CREATE):
        writer = provider.writer(mode, mode=mode)
        (root / mode).mkdir()
        with pytest.raises(Conflict if mode == "overwrite" else AlreadyExists):
            writer.commit()
    assert on_disk(root) == ["create", "overwrite"]


def test_delete_takes_away_only_folders_that_it_emptied(provider: LocalProvider, root: Path):
    provider.put("a/b/c/d", b"1")
    provider.put("a/e", b"2")
    (root / "a" / "kept").mkdir()
    provider.delete(["a/b/c/d"])
    assert on_disk(root) == ["a", "a/e", "a/kept"]
    provider.delete(["a/e"])
    assert on_disk(root) == ["a", "a/kept"]
    provider.put("f", b"3")
    provider.delete(["f"])
    assert root.is_dir()


def test_threads_that_make_and_empty_one_folder_do_not_disturb_each_other(provider: LocalProvider, root: Path):
    def work(number: int) -> None:
        key = f"deep/er/still/{number}"
        for _ in range(50):
            provider.put(key, b"1")
            assert not provider.delete([key])

    together(work)
    assert on_disk(root) == []


def test_a_folder_that_is_emptied_before_it_is_used_is_made_again(
    provider: LocalProvider, root: Path, monkeypatch: pytest.MonkeyPatch
):
    opened = os.open
    lost = []

    def lose_the_folder_once(path: str, *arguments: int) -> int:
        if not lost and ".datastore-tmp-" in path:
            lost.append(path)
            (root / "deep" / "er").rmdir()
            (root / "deep").rmdir()
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", lose_the_folder_once)
    provider.put("deep/er/a", b"1")
    assert (len(lost), on_disk(root)) == (1, ["deep", "deep/er", "deep/er/a"])


def test_a_read_that_is_refused_leaves_no_descriptor(provider: LocalProvider):
    def next_descriptor() -> int:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    provider.put("folder/a", b"1")
    before = next_descriptor()
    with pytest.raises(HeadMoved):
        provider.read("folder/a", if_match="another")
    with pytest.raises(NotFound):
        provider.read("folder")
    assert next_descriptor() == before


def test_what_is_neither_file_nor_folder_is_left_alone(provider: LocalProvider, root: Path):
    os.mkfifo(root / "pipe")
    provider.put("a", b"1")
    assert listed(provider) == listed(provider, delimiter="/") == ["a"]
    with pytest.raises(NotFound):
        provider.read("pipe")
    assert not provider.delete(["pipe"])
    assert on_disk(root) == ["a", "pipe"]


# ---------------------------------------------------------------------------------------------------------------- names


def test_a_name_that_is_not_utf8_is_reported_not_hidden(provider: LocalProvider, root: Path):
    provider.put("a/ok.txt", b"1")
    provider.put("b/ok.txt", b"1")
    Path(os.fsdecode(os.fsencode(root / "a") + b"/caf\xe9.txt")).write_bytes(b"1")
    for delimiter in (None, "/"):
        with pytest.raises(InvalidURL, match=r"caf\\xe9"):
            listed(provider, "a/", delimiter=delimiter)
    assert listed(provider, "b/") == ["b/ok.txt"]
    Path(os.fsdecode(os.fsencode(root) + b"/fold\xe9r")).mkdir()
    with pytest.raises(InvalidURL, match=r"fold\\xe9r"):
        listed(provider, "f")


@pytest.mark.parametrize(
    "key", ["n" * 256, "folder/" + "ü" * 128, "new/" + "n" * 256 + "/a.txt", "new/er/" + "n" * 300]
)
@pytest.mark.parametrize("mode", ["overwrite", CREATE])
def test_a_name_that_the_disk_does_not_take_is_refused(provider: LocalProvider, root: Path, key: str, mode):
    with pytest.raises(TooLarge, match="too long for this disk"):
        provider.put(key, b"1", mode=mode)
    with pytest.raises(NotFound):
        provider.head(key)
    assert not provider.delete([key])
    assert listed(provider, f"{key}/") == on_disk(root) == []


def test_a_name_of_255_bytes_is_taken(provider: LocalProvider):
    provider.put("n" * 255, b"1", mode=CREATE)
    provider.put("ü" * 127, b"1")
    assert listed(provider) == ["n" * 255, "ü" * 127]


# ---------------------------------------------------------------------------------------------------- unfinished writes

HALF = """
import sys, pathlib
from datastore.providers.local import LocalProvider
writer = LocalProvider(pathlib.Path(sys.argv[1])).writer("folder/a.bin")
writer.write(b"x" * 3_000_000)
print("half", flush=True)
sys.stdin.read()
"""


def half_written(root: Path) -> subprocess.Popen[bytes]:
    """Start a process that writes half an object; it ends when its standard input does."""
    child = subprocess.Popen([sys.executable, "-c", HALF, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"half\n"
    return child


def test_what_a_kill_leaves_is_never_shown(provider: LocalProvider, root: Path):
    with half_written(root) as child:
        child.send_signal(signal.SIGKILL)
    (left,) = [path for path in root.rglob("*") if path.is_file()]
    key = str(left.relative_to(root))
    assert left.name.startswith(".datastore-tmp-")
    assert listed(provider) == listed(provider, delimiter="/") == listed(provider, "folder/") == []
    for verb in (provider.head, provider.read):
        with pytest.raises(NotFound):
            verb(key)
    for bad in (key, f"{key}/below"):
        with pytest.raises(InvalidURL, match="unfinished"):
            provider.put(bad, b"1")
    assert not provider.delete([key])
    assert left.exists()
    provider.put("folder/a.bin", b"whole")
    assert listed(provider) == ["folder/a.bin"]


def test_a_process_that_ends_takes_its_half_with_it(root: Path):
    with half_written(root) as child:
        assert len(on_disk(root)) == 2
        child.stdin.close()
    assert (child.returncode, on_disk(root)) == (0, [])


def test_a_forked_child_leaves_the_writer_of_its_parent_alone(root: Path):
    code = HALF.partition("print(")[0] + (
        "import os\n"
        "child = os.fork()\n"
        "if not child: sys.exit(0)\n"  # runs what is to be done at exit, as multiprocessing does
        "os.waitpid(child, 0)\n"
        "print(writer.commit().size)\n"
    )
    found = subprocess.run([sys.executable, "-c", code, root], capture_output=True, check=False)
    assert (found.stdout, found.stderr) == (b"3000000\n", b"")
    assert on_disk(root) == ["folder", "folder/a.bin"]


def test_a_folder_that_vanishes_under_a_writer_is_named(provider: LocalProvider, root: Path):
    writer = provider.writer("folder/a")
    for path in (root / "folder").iterdir():
        path.unlink()
    (root / "folder").rmdir()
    with pytest.raises(Unavailable, match="'folder/a'"):
        writer.commit()
    assert on_disk(root) == []


def test_a_full_disk_leaves_the_old_object(provider: LocalProvider, root: Path, monkeypatch: pytest.MonkeyPatch):
    provider.put("a", b"old")

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match="No space left"):
        provider.put("a", b"new")
    with pytest.raises(Unavailable):
        provider.put("b/c", b"new")
    monkeypatch.undo()
    assert (content(provider, "a"), on_disk(root)) == (b"old", ["a"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_the_disk_refuses_is_forbidden(provider: LocalProvider, root: Path):
    provider.put("closed/a", b"1")
    (root / "closed").chmod(0)
    try:
        for verb in (provider.head, provider.read, lambda key: provider.put(key, b"2"), lambda _: listed(provider)):
            with pytest.raises(Forbidden):
                verb("closed/a")
    finally:
        (root / "closed").chmod(0o755)


def test_refusals_of_the_disk_are_forbidden(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch):
    # As above, for whoever runs the tests as root: the same refusal, said by a disk that is mounted read-only.
    provider.put("a", b"1")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Forbidden, match="Read-only file system"):
        provider.put("a", b"2")
    monkeypatch.setattr(os, "unlink", refuse)
    (failure,) = provider.delete(["a"])
    assert isinstance(failure.error, Forbidden)
    monkeypatch.undo()
    assert content(provider, "a") == b"1"


# ----------------------------------------------------------------------------------------------------- changed in place


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, 1_500_000)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"y" * 3_000_000)
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


@pytest.mark.parametrize("change", [grow, cut, rewrite])
def test_a_file_that_changes_in_place_is_never_read_mixed(provider: LocalProvider, root: Path, change):
    provider.put("a.bin", b"x" * 3_000_000)
    with provider.read("a.bin") as whole, provider.read("a.bin", range=ByteRange(2_000_000, 2_000_100)) as part:
        assert whole.read(1_000_000) == b"x" * 1_000_000
        change(root / "a.bin")
        with pytest.raises(IntegrityError, match=r"'a\.bin' was changed in place"):
            whole.read()
        with pytest.raises(IntegrityError):
            part.read()
    assert len(content(provider, "a.bin")) == (root / "a.bin").stat().st_size


def test_a_change_in_place_changes_the_etag(provider: LocalProvider, root: Path):
    before = provider.put("a.bin", b"x" * 3_000_000)
    rewrite(root / "a.bin")
    after = provider.head("a.bin")
    assert after.size == before.size
    assert after.etag != before.etag
    assert after.identity != before.identity


# ------------------------------------------------------------------------------------------------------------- listings


def test_a_listing_holds_one_folder_at_a_time(provider: LocalProvider, root: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(1200):
        provider.put(f"{number:04}/a", b"1")
    looked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    pages = provider.list()
    assert looked == []
    next(pages)
    assert len(looked) <= 1002
    assert looked[0] == str(root)


def test_unknown_attributes_are_refused_with_the_way_out(provider: LocalProvider):
    from datastore.values import Attributes

    with pytest.raises(UnsupportedOperation) as caught:
        provider.put("a.csv", b"1", attributes=Attributes(content_type="text/plain"))
    assert "text/csv" in (caught.value.hint or "")
