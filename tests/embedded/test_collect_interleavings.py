"""A writer and `collect` on one store, at each other's every step.

`DATASTORE_STRESS=10000` tries a hundred pairs of steps for each kind of work.
"""

import contextlib
import os
import random
import shutil
from datetime import timedelta

import pytest

from datastore.embedded import batch as batch_module
from datastore.embedded import intents
from datastore.embedded.store import EmbeddedStore
from datastore.errors import Conflict, NotFound
from datastore.testing.versioning_tools import commit, request, save
from tests.embedded.interleaving import interleave, watch_steps
from tests.embedded.promises import broken_promises

PAIRS = int(os.environ.get("DATASTORE_STRESS", "300")) // 100
NOW = timedelta(0)
G, H = b"garbage " * 100, b"something else " * 100


def stopped_clock():
    """Equal content gives equal entries, so equal nodes: what died is what somebody makes again."""
    return 1_700_000_000_000_000


def dead_commit(repo, objects=None):
    """Make a commit on a branch that is gone; its blob, node, row and file are there."""
    repo.create_branch("dead", "main", hidden=True)
    made = save(repo, "dead", objects or {"k": G})
    repo.delete_branch("dead")
    return made.id


class Scenario:
    """What was there, what the writer does, what has to be true if it said yes; what else comes with the collect."""

    def prepare(self, repo): ...

    def act(self, repo, folder): ...

    def before_collecting(self, repo): ...

    def judge(self, repo, result): ...

    keep_deleted = NOW


class Put(Scenario):
    def prepare(self, repo):
        dead_commit(repo)

    def act(self, repo, folder):
        repo.at("main").put("k", G)

    def judge(self, repo, result):
        assert repo.at("main").read("k").read() == G


class StreamedPut(Put):
    def act(self, repo, folder):
        writer = repo.at("main").writer("k")
        writer.write(G[:100])
        writer.write(G[100:])
        writer.commit()


class CommitOfWhatIsDead(Scenario):
    """The same tree and the same blob as those of the dead commit."""

    def prepare(self, repo):
        dead_commit(repo)
        repo.at("main").put("k", G)

    def act(self, repo, folder):
        return commit(repo, "main", "All").id

    def judge(self, repo, result):
        assert repo.commit_of("main").id == result
        assert repo.at("main@").read("k").read() == G


class CommitOfWhatIsWrittenOver(Scenario):
    """From the moment of the new put on, nothing staged has the old blob, and the commit may have it still."""

    def prepare(self, repo):
        repo.at("main").put("k", G)

    def act(self, repo, folder):
        return commit(repo, "main", "All").id

    def before_collecting(self, repo):
        repo.at("main").put("k", H)

    def judge(self, repo, result):
        assert repo.at(result).read("k").read() in {G, H}
        assert repo.at("main").read("k").read() == H


class CommitOfWhatIsWrittenOverAndPutAgain(CommitOfWhatIsWrittenOver):
    def before_collecting(self, repo):
        repo.at("main").put("k", H)
        repo.at("main").delete(["k"])

    def judge(self, repo, result):
        with contextlib.suppress(NotFound):
            assert repo.at(result).read("k").read() in {G, H}


class Merge(Scenario):
    def prepare(self, repo):
        repo.create_branch("x", "main")
        save(repo, "x", {"k": G})

    def act(self, repo, folder):
        return repo.merge("x", "main", request("Merge")).id

    def before_collecting(self, repo):
        repo.delete_branch("x")

    def judge(self, repo, result):
        assert repo.at("main@").read("k").read() == G


class Squash(Merge):
    def act(self, repo, folder):
        return repo.merge("x", "main", request("Merge"), squash=True).id


class CherryPickOfTheDead(Scenario):
    def prepare(self, repo):
        self.dead = dead_commit(repo)

    def act(self, repo, folder):
        return repo.cherry_pick("main", self.dead, request("Pick")).id

    def judge(self, repo, result):
        assert repo.at("main@").read("k").read() == G


class RevertOfTheDead(Scenario):
    """What comes back is content of the dead one's parent, which is as dead."""

    def prepare(self, repo):
        repo.create_branch("dead", "main", hidden=True)
        save(repo, "dead", {"k": G})
        self.dead = save(repo, "dead", {"k": H}).id
        repo.delete_branch("dead")
        save(repo, "main", {"k": H})

    def act(self, repo, folder):
        return repo.revert("main", self.dead, request("Undo")).id

    def judge(self, repo, result):
        assert repo.at("main@").read("k").read() == G


class RestoreOfTheDead(Scenario):
    def prepare(self, repo):
        self.dead = dead_commit(repo, {"a/k": G, "a/l": H})

    def act(self, repo, folder):
        repo.restore("main", "a/", self.dead)

    def judge(self, repo, result):
        assert repo.at("main").read("a/k").read() == G
        assert repo.at("main").read("a/l").read() == H


class CopyOfWhatIsReset(Scenario):
    def prepare(self, repo):
        repo.at("main").put("k", G)

    def act(self, repo, folder):
        repo.at("main").copy("k", "l")

    def before_collecting(self, repo):
        repo.reset("main", key="k")

    def judge(self, repo, result):
        assert repo.at("main").read("l").read() == G


class CopyOfWhatIsWrittenOver(CopyOfWhatIsReset):
    def before_collecting(self, repo):
        repo.at("main").put("k", H)

    def judge(self, repo, result):
        assert repo.at("main").read("l").read() in {G, H}


class Read(CopyOfWhatIsWrittenOver):
    """No object is missing because it was written over and collected between a look and the next."""

    def act(self, repo, folder):
        return repo.at("main").read("k").read()

    def judge(self, repo, result):
        assert result in {G, H}


class LinkOfTheDead(Scenario):
    def prepare(self, repo):
        self.info = repo.at("main").put("k", G)
        repo.reset("main")

    def act(self, repo, folder):
        return repo.at("main").link(self.info, "l")

    def judge(self, repo, result):
        if result is not None:
            assert repo.at("main").read("l").read() == G


class Import(Scenario):
    def prepare(self, repo):
        dead_commit(repo, {"k": G, "l": b"3"})

    def act(self, repo, folder):
        files = []
        for number, data in enumerate((G, b"1", b"2", b"3", b"4")):
            (folder / str(number)).write_bytes(data)
            files.append((folder / str(number), f"in/{number}"))
        repo.at("main").import_files(files)

    def judge(self, repo, result):
        assert [repo.at("main").read(f"in/{number}").read() for number in range(5)] == [G, b"1", b"2", b"3", b"4"]


class BranchAtTheDead(CherryPickOfTheDead):
    def act(self, repo, folder):
        repo.create_branch("again", self.dead)

    def judge(self, repo, result):
        assert repo.at("again").read("k").read() == G


class TagAtTheDead(CherryPickOfTheDead):
    def act(self, repo, folder):
        repo.create_tag("again", self.dead)

    def judge(self, repo, result):
        assert repo.at("again").read("k").read() == G


class FastForwardToTheDead(CherryPickOfTheDead):
    def act(self, repo, folder):
        repo.fast_forward("main", self.dead, head=repo.commit_of("main").id)


class Repo(Scenario):
    def act(self, repo, folder):
        EmbeddedStore(repo.store.layout.root, clock=stopped_clock).create_repo("clothes")

    def judge(self, repo, result):
        store = EmbeddedStore(repo.store.layout.root)
        assert store.repo("clothes").commit_of("main").message
        store.close()


class BranchThatComesAndGoes(Scenario):
    """Its commit is made of dead parts and dead at once; its row is there, and so must be the rest."""

    def prepare(self, repo):
        dead_commit(repo)

    def act(self, repo, folder):
        repo.create_branch("short", "main", hidden=True)
        made = save(repo, "short", {"k": G})
        repo.delete_branch("short")
        return made.id

    def judge(self, repo, result):
        try:
            repo.create_branch("long", result)
        except NotFound:
            return
        assert repo.at("long").read("k").read() == G
        repo.delete_branch("long")


class Undelete(Scenario):
    keep_deleted = timedelta(days=1)

    def prepare(self, repo):
        repo.create_branch("x", "main")
        save(repo, "x", {"k": G})
        repo.at("x").put("l", H)

    def act(self, repo, folder):
        repo.delete_branch("x")
        repo.undelete_branch("x")

    def judge(self, repo, result):
        assert repo.at("x").read("k").read() == G
        assert repo.at("x").read("l").read() == H


class LateUndelete(Undelete):
    keep_deleted = NOW


class PutAgain(Scenario):
    def prepare(self, repo):
        repo.at("main").put("k", G)

    def act(self, repo, folder):
        repo.reset("main")
        repo.at("main").put("l", G)
        repo.reset("main")
        repo.at("main").put("m", G)

    def judge(self, repo, result):
        assert repo.at("main").read("m").read() == G


SCENARIOS = [
    found
    for found in list(globals().values())
    if isinstance(found, type) and issubclass(found, Scenario) and found is not Scenario
]


def pairs(tried):
    """Return pairs of steps; each side goes to its end in some of them."""
    dice = random.Random(tried)
    return [(dice.randrange(1, 70), dice.choice([dice.randrange(1, 90), 1000])) for _ in range(PAIRS)]


@pytest.mark.slow
@pytest.mark.parametrize("dead", [False, True], ids=["alive", "taken for dead"])
@pytest.mark.parametrize("order", ["writer first", "collect first"])
@pytest.mark.parametrize("kind", SCENARIOS, ids=[kind.__name__ for kind in SCENARIOS])
def test_no_interleaving_loses_anything(tmp_path, monkeypatch, kind, order, dead):
    monkeypatch.setattr(batch_module, "_FILES", 2)
    monkeypatch.setattr(batch_module, "PACKED", 0)  # every body counts as large, and gets its name early
    template = EmbeddedStore(tmp_path / "template", clock=stopped_clock)
    scenario = kind()
    repo = template.create_repo("garments")
    save(repo, "main", {"base": b"base"})
    scenario.prepare(repo)
    template.close()
    watch_steps(monkeypatch)
    for number, stops in enumerate(pairs(f"{kind.__name__} {order} {dead}")):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "template", folder)
        tried(scenario, folder, monkeypatch, stops, order=order, dead=dead)
        shutil.rmtree(folder)


def tried(scenario, folder, monkeypatch, stops, *, order, dead):
    mine, other, third = (EmbeddedStore(folder, clock=stopped_clock) for _ in range(3))
    files = folder.parent / "files"
    files.mkdir(exist_ok=True)
    is_gone = intents.is_gone

    def writes():
        return scenario.act(mine.repo("garments"), files)

    def collects():
        scenario.before_collecting(other.repo("garments"))
        return other.collect(grace=NOW, keep_deleted=scenario.keep_deleted)

    def mistaken(work):
        def run():
            monkeypatch.setattr(intents, "is_gone", lambda process, age: True)
            try:
                return work()
            finally:
                monkeypatch.setattr(intents, "is_gone", is_gone)

        return run if dead else work

    # Whoever comes second takes the first one, who stands still, for dead.
    first, second = (writes, collects) if order == "writer first" else (collects, writes)
    one, two = interleave(first, mistaken(second), first_stop=stops[0], second_stop=stops[1])
    writer, collector = (one, two) if order == "writer first" else (two, one)
    where = f"{type(scenario).__name__} {order} {stops}"
    for error in (writer.error, collector.error):
        if error is not None and not isinstance(error, NotFound | Conflict):
            raise AssertionError(where) from error
    try:
        for _ in range(2):
            assert broken_promises(third) == [], where
            assert list(third.check()) == [], where
            if writer.error is None:
                scenario.judge(third.repo("garments"), writer.result)
            third.collect(grace=NOW)
    except BaseException as error:
        error.add_note(where)
        raise
    finally:
        for store in (mine, other, third):
            store.close()
