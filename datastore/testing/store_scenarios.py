"""What the sweeps do to an embedded store: small stories of single steps, and the state that a store shows."""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.embedded.journal import Journal
from datastore.embedded.refs import current_epoch
from datastore.embedded.repo import EmbeddedRepo
from datastore.embedded.store import EmbeddedStore
from datastore.errors import DatastoreError
from datastore.testing.versioning_tools import kinds
from datastore.values import CommitRequest, Link, ObjectInfo

if TYPE_CHECKING:
    from datastore.provider import Provider

__all__ = [
    "REPO",
    "SCENARIOS",
    "Place",
    "Scenario",
    "Step",
    "journal_is_behind",
    "open_store",
    "request",
    "visible",
]

REPO = "garments"
_FILES = 12
_NOW = 1_800_000_000_000_000
"""One moment for all: the same steps make the same commits, so that states can be compared."""


class Place(Struct, frozen=True):
    """A store with a folder beside it, for what a story reads and what it writes elsewhere."""

    root: Path

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.root / "store"

    @property
    def beside(self) -> Path:
        """The other folder."""
        return self.root / "beside"


Do = Callable[[EmbeddedStore, Place], object]


class Step(Struct, frozen=True):
    """One acknowledged thing: done whole or not at all."""

    name: str
    do: Do


class Scenario(Struct, frozen=True, kw_only=True):
    """A story that is broken off at each of its system calls.

    Attributes:
        name: What it is called on the command line.
        steps: What is done, one after the other. Each can be done again after it failed.
        prepare: Makes the store that the story begins with.
        mend: What a user has to do after a crash; None says nothing at all, which is what it should say.
        proof: Looks at what the finished story left elsewhere; raises if that is wrong.
    """

    name: str
    steps: Sequence[Step]
    prepare: Do
    mend: Do | None = None
    proof: Do | None = None


def open_store(path: Path) -> EmbeddedStore:
    """Open a store whose clock stands still."""
    return EmbeddedStore(path, clock=lambda: _NOW)


def request(message: str) -> CommitRequest:
    """Return a request that gives the same commit wherever it is made."""
    return CommitRequest(message=message, author="Ada", op_id=f"op: {message}")


# what a store shows


def _object(provider: "Provider", info: ObjectInfo) -> object:
    if info.link is not None:
        return info.link.url, info.etag
    with provider.read(info.key) as reader:
        return reader.read()


def _objects(repo: EmbeddedRepo, ref: str) -> dict[str, object]:
    provider = repo.at(ref)
    return {info.key: _object(provider, info) for page in provider.list() for info in page.objects}


def _names(repo: EmbeddedRepo, ref: str) -> list[str]:
    # The first commit of a repo has an id of its own each time that the repo is made.
    return [info.id if info.parents else info.message for info in repo.log(ref)]


def visible(store: EmbeddedStore) -> dict[str, object]:
    """Return all that a user can see of a store: refs, histories, bytes, uncommitted changes, deleted branches."""
    found: dict[str, object] = {}
    for name in store.repos():
        repo = store.repo(name)
        for branch in repo.branches(hidden=True):
            shown = _names(repo, branch.name), _objects(repo, branch.name), _objects(repo, f"{branch.name}@")
            pending = kinds(repo.uncommitted(branch.name))
            found[f"{name}@{branch.name}"] = *shown, pending, branch.hidden, branch.protected
        for tag in repo.tags():
            found[f"{name} tag {tag.name}"] = _names(repo, tag.name), _objects(repo, tag.name)
        with repo.store.db.read() as db:
            query = "SELECT d.name FROM deleted_branches d JOIN repos r ON r.id = d.repo WHERE r.name = ? ORDER BY d.id"
            found[f"{name} deleted"] = [row[0] for row in db.execute(query, (name,))]
    return found


def journal_is_behind(repo: EmbeddedRepo) -> bool:
    """Tell whether the refs could not be rebuilt from the journal as they are now."""
    with repo.store.db.read() as db:
        epoch = current_epoch(db)
    return Journal(repo.store.layout.journal).last_epoch() != epoch


# the stories


def _put(key: str, data: bytes, *, ref: str = "main") -> Do:
    return lambda store, _: store.repo(REPO).at(ref).put(key, data)


def _with(act: Callable[[EmbeddedRepo], object]) -> Do:
    return lambda store, _: act(store.repo(REPO))


def _save(repo: EmbeddedRepo, branch: str, objects: dict[str, bytes], *, message: str) -> None:
    for key, data in objects.items():
        repo.at(branch).put(key, data)
    repo.commit(branch, request(message))


def _nothing(_: EmbeddedStore, __: Place) -> None:
    """No store at all."""


def _two_commits(store: EmbeddedStore, place: Place) -> None:
    """A store with some history, and files beside it to bring in."""
    repo = store.create_repo(REPO)
    _save(repo, "main", {"a.txt": b"first", "b.txt": b"same", "data/c.csv": b"c\n1\n"}, message="First")
    _save(repo, "main", {"a.txt": b"second", "d.txt": b"d"}, message="Second")
    repo.create_tag("v0", "main~1")
    place.beside.mkdir(exist_ok=True)
    for number in range(_FILES):
        (place.beside / f"{number}.bin").write_bytes(f"file {number // 2}".encode() * 3000)


def _two_sides(store: EmbeddedStore, place: Place) -> None:
    _two_commits(store, place)
    repo = store.repo(REPO)
    repo.create_branch("exp", "main~1")
    _save(repo, "exp", {"a.txt": b"theirs", "theirs.txt": b"t"}, message="Theirs")
    repo.create_branch("other", "main~1")
    _save(repo, "other", {"other.txt": b"o"}, message="Other")


def _garbage(store: EmbeddedStore, place: Place) -> None:
    """Blobs, nodes and commits that nothing reaches, beside some that much reaches; half of a pack, too."""
    _two_sides(store, place)
    repo = store.repo(REPO)
    for number in range(4):
        repo.at("main").put(f"gone/{number}", f"garbage {number}".encode())
    _imported(store, place)
    for number in range(2, _FILES):
        repo.at("main").delete([f"in/{number}.bin"])
    repo.commit("main", request("Of the pack a few"))
    repo.reset("main")
    store.create_repo("thrown-away")
    other = store.repo("thrown-away")
    _save(other, "main", {"x.txt": b"thrown away", "b.txt": b"same"}, message="Thrown away")
    store.delete_repo("thrown-away")
    repo.at("main").put("uncommitted.txt", b"uncommitted")


def _without_index(store: EmbeddedStore, place: Place) -> None:
    _two_sides(store, place)
    store.close()
    for leftover in place.store.glob("meta.db*"):
        leftover.unlink()


def _written_large(store: EmbeddedStore, _: Place) -> None:
    writer = store.repo(REPO).at("main").writer("large.bin")
    try:
        for number in range(3):
            writer.write(bytes([number]) * (70 << 10))
        writer.commit()
    except DatastoreError:
        writer.abort()
        raise


def _imported(store: EmbeddedStore, place: Place) -> None:
    names = [f"{number}.bin" for number in range(_FILES)]
    store.repo(REPO).at("main").import_files([(place.beside / name, f"in/{name}") for name in names])


def _linked(store: EmbeddedStore, _: Place) -> None:
    infos = [
        ObjectInfo(
            key=f"raw/{number}.csv",
            size=number,
            modified_us=_NOW,
            etag=f"e{number}",
            identity=f"i{number}",
            link=Link(url=f"ds://r2/raw/{number}.csv", etag=f"e{number}"),
        )
        for number in range(5)
    ]
    store.repo(REPO).at("main").link_outside(infos)


def _taken_over(repo: EmbeddedRepo) -> None:
    at = repo.at("main")
    assert at.link(at.head("data/c.csv"), "taken/c.csv") is not None


def _backed_up(store: EmbeddedStore, place: Place) -> None:
    """Into a new folder each time: what a broken backup left is the user's to look at."""
    new = (place.root / f"backup-{number}" for number in count())
    store.backup(next(folder for folder in new if not os.path.lexists(folder)))


def _backup_is_whole(store: EmbeddedStore, place: Place) -> None:
    """The next run finishes what a broken one left, and the backup opens as a store that shows the same."""
    newest = max(place.root.glob("backup-*"), key=lambda path: path.name, default=place.root / "backup-0")
    store.backup(newest)
    copy = open_store(newest)
    assert list(copy.check(deep=True)) == []
    assert visible(copy) == visible(store)
    copy.close()


_COMMIT = _with(lambda repo: repo.commit("main", request("Third")))

SCENARIOS: Sequence[Scenario] = (
    Scenario(
        name="create",
        prepare=_nothing,
        steps=[Step("create the store", lambda store, _: store.create_repo(REPO)), Step("put", _put("a.txt", b"a"))],
    ),
    Scenario(
        name="put",
        prepare=_two_commits,
        steps=[
            Step("new", _put("new.txt", b"new")),
            Step("replace", _put("a.txt", b"third")),
            Step("the same again", _put("b.txt", b"same")),
            Step("by a writer", _written_large),
            Step("empty", _put("empty", b"")),
            Step("copy", _with(lambda repo: repo.at("main").copy("a.txt", "copy.txt"))),
            Step("delete", _with(lambda repo: repo.at("main").delete(["b.txt", "d.txt"]))),
            Step("restore", _with(lambda repo: repo.restore("main", "b.txt", "v0"))),
            Step("reset", _with(lambda repo: repo.reset("main", key="a.txt"))),
        ],
    ),
    Scenario(name="import", prepare=_two_commits, steps=[Step("import", _imported), Step("commit", _COMMIT)]),
    Scenario(
        name="commit",
        prepare=_two_commits,
        steps=[
            Step("put", _put("a.txt", b"third")),
            Step("put another", _put("e.txt", b"e")),
            Step("commit", _COMMIT),
            Step("the same again", _COMMIT),
            Step("revert", _with(lambda repo: repo.revert("main", "main", request("Undo")))),
            Step("cherry-pick", _with(lambda repo: repo.cherry_pick("main", "main~1", request("Again")))),
        ],
    ),
    Scenario(
        name="merge",
        prepare=_two_sides,
        steps=[
            Step("merge", _with(lambda repo: repo.merge("other", "main", request("Merge other")))),
            Step(
                "settle a conflict",
                _with(lambda repo: repo.merge("exp", "main", request("Merge exp"), strategy="source-wins")),
            ),
            Step(
                "fast-forward",
                _with(lambda repo: repo.fast_forward("exp", "main", head=repo.commit_of("exp").id)),
            ),
        ],
    ),
    Scenario(
        name="refs",
        prepare=_two_commits,
        steps=[
            Step("branch", _with(lambda repo: repo.create_branch("exp", "main~1"))),
            Step("put to it", _put("e.txt", b"e", ref="exp")),
            Step("tag", _with(lambda repo: repo.create_tag("v1", "main"))),
            Step("delete the branch", _with(lambda repo: repo.delete_branch("exp"))),
            Step("bring it back", _with(lambda repo: repo.undelete_branch("exp"))),
            Step("protect it", _with(lambda repo: repo.protect("exp"))),
            Step("delete the tag", _with(lambda repo: repo.delete_tag("v1"))),
            Step("another repo", lambda store, _: store.create_repo("shoes")),
            Step("rename it", lambda store, _: store.rename_repo("shoes", "boots")),
            Step("delete it", lambda store, _: store.delete_repo("boots")),
        ],
    ),
    Scenario(
        name="link",
        prepare=_two_commits,
        steps=[
            Step("link", _linked),
            Step("take over", _with(_taken_over)),
            Step("commit", _COMMIT),
        ],
    ),
    Scenario(
        name="collect",
        prepare=_garbage,
        steps=[
            Step("collect", lambda store, _: store.collect(grace=timedelta(0))),
            Step("put what was collected", _put("gone/again", b"garbage 1")),
            Step("commit", _COMMIT),
            Step("collect again", lambda store, _: store.collect(grace=timedelta(0))),
        ],
    ),
    Scenario(
        name="repair",
        prepare=_without_index,
        mend=lambda store, _: store.repair(),
        steps=[Step("repair", lambda store, _: store.repair())],
    ),
    Scenario(
        name="backup",
        prepare=_two_sides,
        steps=[Step("put", _put("a.txt", b"third")), Step("backup", _backed_up)],
        proof=_backup_is_whole,
    ),
)
