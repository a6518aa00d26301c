"""Small blobs in packs: what goes in comes out by every reader, and one damaged byte harms one blob."""

import hashlib
import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.embedded import batch, packs
from datastore.embedded.compact import compact
from datastore.embedded.nodes import CHUNKS, Entry
from datastore.embedded.packs import HEADER, PACKED, RECORD_BYTES, scan
from datastore.embedded.store import EmbeddedStore
from datastore.errors import AlreadyExists, DatastoreError, IntegrityError, Unavailable, ValidationError
from datastore.testing.versioning_tools import commit, contents, keys, staged
from datastore.values import CREATE, Attributes, ByteRange
from tests.embedded.children import Child
from tests.embedded.files import listing
from tests.embedded.test_deaths import die_at
from tests.project.blocks import parse

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"

MANY = {f"k/{number:03}": b"%d " % number * (number % 7 * 40) for number in range(70)}
DISTINCT = {hashlib.sha256(data).digest(): data for data in MANY.values()}


@pytest.fixture
def store(opened):
    """One pack, committed."""
    store = opened()
    repo = store.create_repo("garments")
    put(repo.at("main"), MANY)
    commit(repo, "main", "Many")
    return store


def put(provider, objects, **how):
    return provider.put_many([(key, data, None) for key, data in objects.items()], **how)


def packs_of(store):
    return sorted((store.path / "packs").glob("*.pack"))


def loose(store):
    return sorted(path.name for path in (store.path / "blobs").rglob("*") if path.is_file())


def blob_rows(store):
    query = "SELECT b.digest, b.durable, p.name, b.offset FROM blobs b LEFT JOIN packs p ON p.id = b.pack"
    with store._open().db.read() as db:
        return {row[0]: row[1:] for row in db.execute(query).fetchall()}


def forget_rows(store, digests):
    """Do what the collector does to blobs that nobody needs."""
    with store._open().db.write(durable=False) as db:
        db.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in digests])


def change(path, at, data):
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, at):
    change(path, at, bytes([path.read_bytes()[at] ^ 1]))


# what goes where


def test_a_batch_is_one_pack(store):
    (path,) = packs_of(store)
    assert loose(store) == []
    assert path.stat().st_mode & 0o777 == 0o444
    assert os.listdir(store.path / "tmp") == []
    assert contents(store.repo("garments").at("main@")) == MANY
    assert list(store.check()) == []
    assert {(durable, name) for durable, name, _ in blob_rows(store).values()} == {(1, path.stem)}


def test_a_pack_is_named_by_what_is_in_it(store, opened, tmp_path):
    other = opened(tmp_path / "other")
    put(other.create_repo("garments").at("main"), MANY)
    assert [path.name for path in packs_of(other)] == [path.name for path in packs_of(store)]
    put(other.repo("garments").at("main"), {key: data + b"!" for key, data in MANY.items()})
    assert len(packs_of(other)) == 2


@pytest.mark.parametrize("count", [1, 2, batch._FEW])
def test_a_few_are_files(opened, count):
    store = opened()
    put(store.create_repo("garments").at("main"), {str(number): b"%d" % number for number in range(count)})
    assert (len(loose(store)), packs_of(store)) == (count, [])


def test_a_single_put_is_a_file(store):
    store.repo("garments").at("main").put("one", b"one more")
    assert loose(store) == [hashlib.sha256(b"one more").hexdigest()]


def test_large_ones_are_files(store):
    main = store.repo("garments").at("main")
    new = {f"n/{number}": b"new %d" % number for number in range(40)}
    edges = {"edge": bytes(PACKED), "larger": bytes(PACKED + 1), "large": bytes(3 << 20)}
    put(main, {**new, **edges})
    assert len(loose(store)) == 2
    assert contents(main) == {**MANY, **new, **edges}
    assert list(store.check()) == []


def test_what_is_there_is_not_written_again(store):
    main = store.repo("garments").at("main")
    before = listing(store.path / "packs")
    assert [info.key for info in put(main, MANY)] == list(MANY)
    assert staged(store.repo("garments")) == {}
    put(main, {f"again/{key}": data for key, data in MANY.items()})
    main.put("once/more", MANY["k/001"])
    assert (listing(store.path / "packs"), loose(store)) == (before, [])
    assert main.read("again/k/012").readall() == MANY["k/012"]


def test_the_same_twice_in_a_batch_is_there_once(store):
    (path,) = packs_of(store)
    assert len(list(scan(path))) == len(DISTINCT) < len(MANY)


def test_packs_are_bounded(opened, monkeypatch):
    monkeypatch.setattr(packs, "PACK_RECORDS", 9)
    monkeypatch.setattr(packs, "PACK_BYTES", 900)
    store = opened()
    put(store.create_repo("garments").at("main"), MANY)
    sizes = [path.stat().st_size for path in packs_of(store)]
    assert len(sizes) > 10
    assert max(sizes) < 900 + max(map(len, MANY.values())) + RECORD_BYTES
    assert contents(store.repo("garments").at("main")) == MANY


def test_attributes_and_modes(store):
    main = store.repo("garments").at("main")
    told = Attributes(content_type="image/png", metadata={"by": "Ada"})
    infos = main.put_many([("a.csv", b"1", None), ("b", b"2", told), ("a.csv", b"3", None)])
    assert [(info.key, info.content_type, dict(info.metadata)) for info in infos] == [
        ("a.csv", "text/csv", {}),
        ("b", "image/png", {"by": "Ada"}),
    ]
    assert main.read("a.csv").readall() == b"3"
    before = listing(store.path)
    new = {f"n/{number}": b"new %d" % number for number in range(40)}
    with pytest.raises(AlreadyExists, match=r"a\.csv"):
        put(main, {**new, "a.csv": b"4"}, mode=CREATE)
    with pytest.raises(ValidationError):
        put(main, {**new, "a//b": b"4"})
    assert set(listing(store.path)) == set(before)
    put(main, new, mode=CREATE)
    assert keys(main, "n/") == sorted(new)


def test_an_import_that_fails_leaves_nothing(store, tmp_path):
    (tmp_path / "in").mkdir()
    files = [(tmp_path / "in" / str(number), f"in/{number}") for number in range(200)]
    for number, (path, _) in enumerate(files):
        path.write_bytes(b"file %d" % number + bytes(100_000 if number in {5, 190} else 0))
    main = store.repo("garments").at("main")
    before = set(listing(store.path))
    with pytest.raises(FileNotFoundError, match="missing"):
        main.import_files([*files, (tmp_path / "missing", "in/missing")])
    with pytest.raises(IsADirectoryError, match="in"):
        main.import_files([*files, (tmp_path / "in", "in/folder")])
    assert set(listing(store.path)) == before
    main.import_files(files)
    assert contents(main, "in/") == {key: path.read_bytes() for path, key in files}
    assert (len(packs_of(store)), len(loose(store))) == (2, 2)


def test_a_pipe_is_imported(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    child = Child(lambda say: (tmp_path / "pipe").write_bytes(b"x" * 200_000))
    store.repo("garments").at("main").import_files([(tmp_path / "pipe", "p")])
    assert child.lines() == ([], 0)
    assert store.repo("garments").at("main").read("p").readall() == b"x" * 200_000


_BATCHES = st.lists(
    st.one_of(st.binary(max_size=40), st.integers(0, 5000).map(lambda size: b"x" * size)), min_size=1, max_size=60
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=_BATCHES, data=st.data())
def test_what_goes_in_comes_out_by_every_reader(tmp_path_factory, monkeypatch, bodies, data):
    monkeypatch.setattr(packs, "PACK_RECORDS", 13)
    monkeypatch.setattr(batch, "_FEW", 2)
    store = EmbeddedStore(tmp_path_factory.mktemp("packs") / "store")
    repo = store.create_repo("garments")
    main = repo.at("main")
    objects = {f"{number:03}": body for number, body in enumerate(bodies)}
    put(main, objects)
    pieces = [(hashlib.sha256(body).hexdigest(), len(body)) for body in bodies]
    whole = b"".join(bodies)
    listed = '{"chunks":[' + ",".join(f'["{name}",{size}]' for name, size in pieces) + "]}"
    chunks = Entry(hashlib.sha256(whole).digest(), len(whole), 1, "", "", CHUNKS, listed)
    main.stage({"whole": chunks})
    commit(repo, "main", "All")
    objects["whole"] = whole
    for ref in ("main", "main@"):
        assert contents(repo.at(ref)) == objects
    for key in data.draw(st.lists(st.sampled_from(sorted(objects)), max_size=5)):
        body = objects[key]
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(body) + 3)] * 2)))
        with main.read(key, range=ByteRange(start, stop)) as reader:
            assert reader.readall() == body[start:stop]
        with main.read(key) as reader:
            reader.seek(start)
            assert reader.readall() == body[start:]
    assert list(store.check()) == []
    found = {record.digest: (path.stem, record.offset) for path in packs_of(store) for record in scan(path)}
    rows = {digest: (name, offset) for digest, (_, name, offset) in blob_rows(store).items() if name}
    assert found == rows
    store.close()


# reading while something happens


def test_an_open_reader_outlives_its_pack(store):
    reader = store.repo("garments").at("main").read("k/012")
    packs_of(store)[0].unlink()
    store.close()
    assert reader.readall() == MANY["k/012"]


def test_a_reader_finds_what_was_rewritten_by_somebody_else(store, opened):
    reading = opened().repo("garments").at("main")
    assert reading.read("k/012").readall() == MANY["k/012"]  # it knows where the next one is, and has the pack open
    needed = {MANY[key] for key in list(MANY)[:40]}
    forget_rows(store, [digest for digest, data in DISTINCT.items() if data not in needed])
    assert compact(store._open(), dead=0.1).written == 1
    assert contents(reading, "k/00") == {key: data for key, data in MANY.items() if key < "k/010"}
    opened_before = opened().repo("garments").at("main")
    assert opened_before.read("k/039").readall() == MANY["k/039"]


def test_a_pack_that_is_rewritten_between_look_and_open(store):
    opening = store._open()
    locate = opening.packs._locate
    moved = []

    def meanwhile(digest):
        place = locate(digest)
        if not moved:
            moved.append(1)
            forget_rows(store, [hashlib.sha256(MANY["k/069"]).digest()])
            compact(opening, dead=0.001)
        return place

    opening.packs._locate = meanwhile
    assert store.repo("garments").at("main").read("k/012").readall() == MANY["k/012"]
    assert moved


def test_places_that_are_known_are_bounded_and_forgotten_by_close(store, monkeypatch):
    monkeypatch.setattr(packs, "_ASKED", 3)
    opening = store._open()
    asked = []
    locate = opening.packs._locate
    opening.packs._locate = lambda digest: asked.append(digest) or locate(digest)
    main = store.repo("garments").at("main")
    backwards = sorted(MANY, reverse=True)
    assert [main.read(key).readall() for key in backwards] == [MANY[key] for key in backwards]
    assert len(asked) == 3
    store.close()
    assert (opening.packs._known, opening.packs._opened) == ({}, {})
    assert contents(main) == MANY


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors")
def test_descriptors_are_few_and_closed(opened, monkeypatch):
    monkeypatch.setattr(packs, "PACK_RECORDS", 2)
    monkeypatch.setattr(packs, "_OPENED", 4)
    store = opened()
    put(store.create_repo("garments").at("main"), MANY)

    def held():
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        return [name for name in map(os.path.realpath, links) if name.startswith(str(store.path / "packs"))]

    assert contents(store.repo("garments").at("main")) == MANY
    assert 0 < len(held()) <= 4
    store.close()
    assert held() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_forked_child_reads_beside_its_parent(store):
    main = store.repo("garments").at("main")
    assert main.read("k/012").readall() == MANY["k/012"]

    def reads(say):
        for _ in range(20):
            say(str(contents(main) == MANY))

    children = [Child(reads) for _ in range(2)]
    assert all(contents(main) == MANY for _ in range(20))
    assert [child.lines() for child in children] == [(["True"] * 20, 0)] * 2


# damage


def found(store, **how):
    return [(problem.kind, problem.id, problem.problem) for problem in store.check(**how)]


def test_a_flipped_byte_in_the_bytes_harms_one_blob(store):
    (path,) = packs_of(store)
    digest = hashlib.sha256(MANY["k/012"]).digest()
    flip(path, blob_rows(store)[digest][2] + 5)
    assert found(store, deep=False) == []
    (problem,) = store.check()
    assert (problem.kind, problem.id) == ("blob", digest.hex())
    assert problem.problem == f"has other bytes than its name says, in pack {path.stem[:16]}"
    assert problem.referenced_by.endswith("/k/012")
    assert [key for key, data in contents(store.repo("garments").at("main")).items() if data != MANY[key]] == ["k/012"]


@pytest.mark.parametrize("at", [0, 8, 39, 40, 47])
def test_a_flipped_byte_in_a_header_harms_nobody_who_has_the_index(store, at):
    (path,) = packs_of(store)
    digest = hashlib.sha256(MANY["k/012"]).digest()
    flip(path, blob_rows(store)[digest][2] - RECORD_BYTES + at)
    expected = [("blob", digest.hex(), f"has a damaged header in pack {path.stem[:16]}")]
    assert found(store) == found(store, deep=False) == expected
    assert contents(store.repo("garments").at("main")) == MANY


@pytest.mark.parametrize("at", [0, len(HEADER) - 1])
def test_a_flipped_byte_in_the_header_of_the_file(store, at):
    (path,) = packs_of(store)
    flip(path, at)
    assert found(store) == [("pack", path.stem, "does not begin as a pack does")]
    assert contents(store.repo("garments").at("main")) == MANY
    assert {record.digest for record in scan(path)} == set(DISTINCT)


def test_a_pack_that_ends_early(store):
    (path,) = packs_of(store)
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)
    digest, (_, _, offset) = max(blob_rows(store).items(), key=lambda row: row[1][2])
    assert found(store) == [("blob", digest.hex(), f"is cut off, as its pack {path.stem[:16]} ends early")]
    key = next(key for key, data in MANY.items() if data == DISTINCT[digest])
    with pytest.raises(IntegrityError, match="cut off") as caught:
        store.repo("garments").at("main").read(key)
    assert caught.value.hint
    os.truncate(path, offset - 3)
    assert found(store)[0][1] == digest.hex()


def test_a_pack_that_is_missing_names_every_blob(store):
    (path,) = packs_of(store)
    path.unlink()
    store.close()
    assert {(kind, name) for kind, name, _ in found(store)} == {("blob", digest.hex()) for digest in DISTINCT}
    assert {what for *_, what in found(store)} == {f"is missing, with its pack {path.stem[:16]}"}
    with pytest.raises(IntegrityError, match="missing, with its pack"):
        store.repo("garments").at("main").read("k/012")


@pytest.mark.parametrize("how", ["one by one", "at once"])
@pytest.mark.parametrize("damage", ["gone", "short"])
def test_putting_the_objects_again_repairs(store, opened, damage, how):
    other = opened().repo("garments").at("main")
    assert contents(other) == MANY
    (path,) = packs_of(store)
    path.chmod(0o644)
    path.unlink() if damage == "gone" else os.truncate(path, len(HEADER))
    main = store.repo("garments").at("main")
    if how == "at once":
        put(main, MANY)
    else:
        for key, data in MANY.items():
            main.put(key, data)
    assert found(store) == []
    assert contents(main) == contents(other) == MANY
    assert staged(store.repo("garments")) == {}


def test_a_pack_without_its_rows_is_scanned(store):
    (path,) = packs_of(store)
    records = list(scan(path))
    assert all(record.digest == record.named for record in records)
    rows = {digest: offset for digest, (_, _, offset) in blob_rows(store).items()}
    assert {record.digest: record.offset for record in records} == rows


def test_twenty_lines_of_python_rescue_everything_but_what_is_damaged(store, monkeypatch, tmp_path):
    """The page has the lines, as somebody would take them from it who has lost the program and the index."""
    (path,) = packs_of(store)
    digest = hashlib.sha256(MANY["k/012"]).digest()
    flip(path, blob_rows(store)[digest][2] - 3)
    (block,) = [block for block in parse(FORMATS.read_text()) if "def rescue" in block.code]
    assert len(block.code.strip().splitlines()) <= 23
    monkeypatch.chdir(tmp_path)
    exec(block.code, {})
    rescued = {file.name: file.read_bytes() for file in (tmp_path / "rescued").iterdir()}
    assert rescued == {found.hex(): data for found, data in DISTINCT.items() if found != digest}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_whatever_bit_is_flipped_a_scan_loses_one_blob_at_most(tmp_path, where, bit):
    draft = packs.PackDraft(tmp_path / os.urandom(8).hex())
    for digest, data in DISTINCT.items():
        draft.add(digest, data)
    draft.finish()
    data = bytearray(draft.path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    copy = tmp_path / "copy"
    copy.write_bytes(data)
    draft.discard()
    records = list(scan(copy))
    intact = {record.digest for record in records if record.digest in DISTINCT}
    assert len(intact) >= len(DISTINCT) - 1
    for record in records:
        assert hashlib.sha256(data[record.offset : record.offset + record.size]).digest() == record.digest


@pytest.mark.parametrize("size", [0, 5, 16, 30, 63, 64, 65])
def test_a_scan_of_what_is_cut_off(tmp_path, size):
    draft = packs.PackDraft(tmp_path / "draft")
    draft.add(hashlib.sha256(b"hello").digest(), b"hello")
    draft.finish()
    (tmp_path / "cut").write_bytes(draft.path.read_bytes()[:size])
    assert [record for record in scan(tmp_path / "cut") if record.digest == record.named] == []
    draft.discard()


# beside a collector and crashes of the machine


def test_what_vanishes_while_it_is_put_again_is_written(store, monkeypatch):
    """A batch finds blobs in the store; before it publishes, the collector takes them."""
    main = store.repo("garments").at("main")
    original = batch.Batch.take

    def meanwhile(self, sources):
        taken = original(self, sources)
        forget_rows(store, list(DISTINCT)[:5])
        return taken

    monkeypatch.setattr(batch.Batch, "take", meanwhile)
    put(main, {f"again/{key}": data for key, data in MANY.items()})
    assert contents(main, "again/") == {f"again/{key}": data for key, data in MANY.items()}
    assert list(store.check()) == []
    assert len(loose(store)) == 5


def test_large_files_that_vanish_before_the_last_step_are_read_again(store, monkeypatch, tmp_path):
    monkeypatch.setattr(batch, "_FILES", 2)
    files = [(tmp_path / str(number), f"in/{number}") for number in range(40)]
    for number, (path, _) in enumerate(files):
        path.write_bytes(b"%d" % number * 40_000)
    original = batch.Batch.take

    def meanwhile(self, sources):
        taken = original(self, sources)
        gone = [digest for digest, _ in taken[:7]]
        forget_rows(store, gone)
        for digest in gone:
            store._open().blobs.remove(digest)
        return taken

    monkeypatch.setattr(batch.Batch, "take", meanwhile)
    main = store.repo("garments").at("main")
    main.import_files(files)
    assert contents(main, "in/") == {key: path.read_bytes() for path, key in files}
    commit(store.repo("garments"), "main", "All")
    assert list(store.check()) == []


def test_a_file_that_changes_while_what_it_had_vanishes(store, monkeypatch, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(MANY["k/012"])
    original = batch.Batch.take

    def meanwhile(self, sources):
        taken = original(self, sources)
        forget_rows(store, DISTINCT)
        path.write_bytes(b"other")
        return taken

    monkeypatch.setattr(batch.Batch, "take", meanwhile)
    with pytest.raises(Unavailable, match="changed while"):
        store.repo("garments").at("main").import_files([(path, "new")])
    assert staged(store.repo("garments")) == {}


def test_a_file_that_a_crash_left_does_not_hide_the_pack(opened):
    store = opened()
    main = store.create_repo("garments").at("main")
    torn = store._open().blobs.path(hashlib.sha256(MANY["k/012"]).digest())
    torn.parent.mkdir()
    torn.write_bytes(bytes(len(MANY["k/012"])))
    put(main, MANY)
    assert contents(main) == MANY
    assert not torn.exists()


def test_a_file_that_an_earlier_boot_may_have_torn_is_replaced(opened):
    store = opened()
    main = store.create_repo("garments").at("main")
    main.put("torn", MANY["k/012"])
    path = store._open().blobs.path(hashlib.sha256(MANY["k/012"]).digest())
    path.chmod(0o644)
    path.write_bytes(bytes(len(MANY["k/012"])))
    with store._open().db.write(durable=True) as db:
        db.execute("UPDATE blobs SET boot = 'earlier'")
    put(main, MANY)
    assert main.read("torn").readall() == MANY["k/012"]
    commit(store.repo("garments"), "main", "All")
    assert list(store.check()) == []


# death at every step

STRIDE = 1 if os.environ.get("DATASTORE_TEST_LONG") else 4
OTHERS = {f"o/{number:03}": b"other %d" % number for number in range(40)}


def _dying_work(store, say):
    repo = store.repo("garments")
    put(repo.at("main"), OTHERS)
    say("put")
    say("commit " + commit(repo, "main", "Others").id)
    opening = store._open()
    forget_rows(store, [hashlib.sha256(b"kept %d" % number).digest() for number in range(30)])
    say("forgotten")
    compact(opening, dead=0.4)
    say("compact")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_death_at_every_step(tmp_path):
    kept = {f"kept/{number:02}": b"kept %d" % number for number in range(50)}
    first = EmbeddedStore(tmp_path / "first")
    repo = first.create_repo("garments")
    put(repo.at("main"), kept)
    commit(repo, "main", "Kept")
    repo.at("main").delete(sorted(kept)[:30])
    commit(repo, "main", "Fewer")
    first.close()
    rest = dict(sorted(kept.items())[30:])
    step = deaths = 0
    status = -signal.SIGKILL
    while status:
        step += STRIDE
        shutil.copytree(tmp_path / "first", tmp_path / str(step))
        store = EmbeddedStore(tmp_path / str(step))

        def dies(say, store=store, step=step):
            die_at(step)
            _dying_work(store, say)

        said, status = Child(dies).lines()
        assert status in (0, -signal.SIGKILL), said
        main = store.repo("garments").at("main")
        there = contents(main)
        assert there in (rest, {**rest, **OTHERS})
        if "put" in said:
            assert there == {**rest, **OTHERS}
        if any(line.startswith("commit") for line in said):
            assert contents(store.repo("garments").at("main@")) == {**rest, **OTHERS}
        put(main, OTHERS)
        store.repo("garments").commit("main", _request())
        compact(store._open(), dead=0.4)
        assert contents(store.repo("garments").at("main@")) == {**rest, **OTHERS}
        problems = [problem for problem in store.check() if problem.referenced_by.rpartition("/")[2] not in FORGOTTEN]
        assert problems == []
        rows = blob_rows(store)
        assert {path.stem for path in packs_of(store)} == {name for _, name, _ in rows.values() if name}
        store.close()
        shutil.rmtree(tmp_path / str(step))
        deaths += status != 0
    assert deaths > 60 / STRIDE
    assert said[-1] == "compact"


FORGOTTEN = {f"{number:02}" for number in range(30)}
"""Of the older commit, whose blobs the test takes away as if nobody needed them."""


def _request():
    from datastore.testing.versioning_tools import request

    return request(allow_empty=True)


def test_a_pack_that_the_disk_does_not_take(store, monkeypatch):
    def refuses(fd):
        raise OSError(28, "No space left on device")

    before = set(listing(store.path))
    main = store.repo("garments").at("main")
    with monkeypatch.context() as patch:
        patch.setattr(packs, "fsync_file", refuses)
        with pytest.raises(DatastoreError, match="full"):
            put(main, OTHERS)
    assert set(listing(store.path)) == before
    assert staged(store.repo("garments")) == {}
    put(main, OTHERS)
    assert contents(main, "o/") == OTHERS
