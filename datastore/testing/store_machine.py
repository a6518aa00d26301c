"""A hypothesis state machine: the embedded store beside a model, through every verb, death and second process."""

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from datastore.embedded.compact import compact
from datastore.embedded.repo import EmbeddedRepo
from datastore.embedded.store import EmbeddedStore
from datastore.errors import DatastoreError, MergeConflict
from datastore.testing.repo_model import Landing, RepoModel, difference
from datastore.testing.store_children import Child, Say, die_at
from datastore.testing.store_scenarios import REPO
from datastore.testing.versioning_tools import request, staged
from datastore.values import CommitInfo, Link, ObjectInfo

__all__ = ["StoreMachine"]

T = TypeVar("T")
S = TypeVar("S")

_KEYS = [f"{folder}{name}" for folder in ("", "x/", "x/y/") for name in ("a.txt", "z.csv")]
_PREFIXES = ["", "x/", "x/y/"]
_BRANCHES = ["main", "exp", "fix"]
_HIDDEN = "hidden"
_MERGES = [(None, False), (None, True), ("source-wins", False), ("dest-wins", False), ("source-wins", True)]
_BODIES = {"empty": b"", "zero": b"0", "one": b"1", "two": b"2", "large": b"large " * 12_000}
_LOST = "lost"
"""How the names begin under which `repair` brings commits back that no ref leads to."""

keys = st.sampled_from(_KEYS)
bodies = st.sampled_from(sorted(_BODIES))
numbers = st.integers(0, 50)


def _bytes(repo: EmbeddedRepo, ref: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    provider = repo.at(ref)
    for info in (info for page in provider.list() for info in page.objects):
        if info.link is not None:
            found[info.key] = _link_as_bytes(info.link)
            continue
        with provider.read(info.key) as reader:
            found[info.key] = reader.read()
    return found


def _link_as_bytes(link: Link) -> bytes:
    return f"link to {link.url} with {link.etag}".encode()


def _tried(do: Callable[[], T]) -> tuple[T | None, DatastoreError | None]:
    try:
        return do(), None
    except DatastoreError as error:
        return None, error


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to a model, and compares everything after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.path = self.folder / "store"
        self.store = EmbeddedStore(self.path)
        self.repo = self.store.create_repo(REPO)
        self.model = RepoModel.new(self.repo.commit_of("main").id)
        self.attempts = 0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    # how the two are kept beside each other

    def new_op(self) -> str:
        self.attempts += 1
        return f"op {self.attempts}"

    def pick(self, names: Sequence[str], number: int) -> str:
        return names[number % len(names)]

    def branch(self, number: int) -> str:
        return self.pick(sorted(self.model.branches), number)

    def commit_id(self, number: int) -> str:
        reachable = self.model.reachable()
        return self.pick([commit for commit in reversed(self.model.commits) if commit in reachable], number)

    def both(self, wanted: Callable[[], T], done: Callable[[], S]) -> tuple[T, S] | None:
        """Do something to the model and to the store: both succeed, or both refuse for the same reason."""
        expected, refusal = _tried(wanted)
        result, told = _tried(done)
        assert type(told) is type(refusal), f"{told!r} instead of {refusal!r}"
        if isinstance(told, MergeConflict) and isinstance(refusal, MergeConflict):
            assert told.paths == refusal.paths
        return None if told is not None else (cast("T", expected), cast("S", result))

    def land(self, branch: str, wanted: Callable[[], Landing], done: Callable[[str], CommitInfo]) -> None:
        """Make a commit by both."""
        op_id = self.new_op()
        made = self.both(wanted, partial(done, op_id))
        if made is not None:
            landing, info = made
            assert info.parents == landing.parents
            self.model.landed(branch, info.id, landing, op_id=op_id)

    def open_again(self, path: Path | None = None) -> None:
        self.store.close()
        self.path = path or self.path
        self.store = EmbeddedStore(self.path)
        self.repo = self.store.repo(REPO)

    # uncommitted changes

    @rule(at=numbers, key=keys, body=bodies)
    def put(self, at: int, key: str, body: str) -> None:
        branch = self.branch(at)
        self.repo.at(branch).put(key, _BODIES[body])
        self.model.put(branch, {key: _BODIES[body]})

    @rule(at=numbers, key=keys)
    def put_the_same_again(self, at: int, key: str) -> None:
        branch = self.branch(at)
        body = self.model.branches[branch].view.get(key)
        if body is not None and not body.startswith(b"link"):
            self.repo.at(branch).put(key, body)

    @rule(at=numbers, gone=st.lists(keys, min_size=1, max_size=3, unique=True))
    def delete(self, at: int, gone: list[str]) -> None:
        branch = self.branch(at)
        assert not self.repo.at(branch).delete(gone)
        self.model.put(branch, dict.fromkeys(gone))

    @rule(at=numbers, key=keys, body=bodies)
    def put_in_another_process(self, at: int, key: str, body: str) -> None:
        branch, path = self.branch(at), self.path

        def puts(say: Say) -> None:
            store = EmbeddedStore(path)
            store.repo(REPO).at(branch).put(key, _BODIES[body])
            store.close()
            say("done")

        assert Child(puts).lines() == (["done"], 0)
        self.model.put(branch, {key: _BODIES[body]})

    @rule(at=numbers, key=keys, other=keys, take_over=st.booleans())
    def copy(self, at: int, key: str, other: str, take_over: bool) -> None:  # noqa: FBT001 - drawn by name
        branch = self.branch(at)
        body = self.model.branches[branch].view.get(key)
        if body is None or key.rpartition(".")[2] != other.rpartition(".")[2]:
            return
        provider = self.repo.at(branch)
        info = provider.head(key)
        if take_over and info.link is None:
            assert provider.link(info, other) is not None
        else:
            provider.copy(key, other)
        self.model.put(branch, {other: body})

    @rule(at=numbers, key=keys, version=st.sampled_from("12"))
    def link(self, at: int, key: str, version: str) -> None:
        branch, target = self.branch(at), Link(url=f"ds://r2/raw/{key}", etag=version)
        outside = ObjectInfo(key=key, size=3, modified_us=1, etag=version, identity=f"{key} {version}", link=target)
        self.repo.at(branch).link_outside([outside])
        self.model.put(branch, {key: _link_as_bytes(target)})

    @rule(at=numbers, objects=st.dictionaries(keys, bodies, min_size=1), folder=st.sampled_from(_PREFIXES))
    def import_folder(self, at: int, objects: dict[str, str], folder: str) -> None:
        branch = self.branch(at)
        files = [(self.folder / f"file-{number}", folder + key) for number, key in enumerate(objects)]
        for (path, _), body in zip(files, objects.values(), strict=True):
            path.write_bytes(_BODIES[body])
        self.repo.at(branch).import_files(files)
        self.model.put(branch, {folder + key: _BODIES[body] for key, body in objects.items()})

    @rule(at=numbers, prefix=st.sampled_from(_PREFIXES))
    def reset(self, at: int, prefix: str) -> None:
        branch = self.branch(at)
        assert self.repo.reset(branch, prefix=prefix) == self.model.reset(branch, prefix)

    @rule(at=numbers, key=st.sampled_from([*_KEYS, "x/", "x/y/"]), number=numbers)
    def restore(self, at: int, key: str, number: int) -> None:
        branch, commit = self.branch(at), self.commit_id(number)
        counts = self.both(
            lambda: self.model.restore(branch, key, commit), lambda: self.repo.restore(branch, key, commit)
        )
        assert counts is None or counts[0] == counts[1]

    # commits

    @rule(at=numbers)
    def commit(self, at: int) -> None:
        branch = self.branch(at)
        self.land(
            branch,
            lambda: self.model.commit(branch),
            lambda op_id: self.repo.commit(branch, request("A commit", op_id=op_id)),
        )

    @precondition(lambda self: self.model.op_ids)
    @rule(at=numbers, number=numbers)
    def repeat_an_attempt(self, at: int, number: int) -> None:
        op_id = self.pick(list(self.model.op_ids), number)
        assert self.repo.commit(self.branch(at), request("Again", op_id=op_id)).id == self.model.op_ids[op_id]

    def tidy(self, at: int) -> str:
        """Leave nothing uncommitted, which most other verbs ask for."""
        branch = self.branch(at)
        if self.model.pending(branch):
            self.commit(at)
        return branch

    @rule(at=numbers, number=numbers, how=st.sampled_from(_MERGES))
    def merge(self, at: int, number: int, how: tuple[Any, bool]) -> None:
        branch = self.branch(at)
        others = sorted({*self.model.branches, *self.model.tags} - {branch})
        self.merge_into(branch, self.pick([*others, branch], number), how)

    @rule(at=numbers, key=keys, other=keys, body=bodies, how=st.sampled_from(_MERGES))
    def work_on_both_sides_and_merge(self, at: int, key: str, other: str, body: str, how: tuple[Any, bool]) -> None:
        branch = self.branch(at)
        source = self.pick([*sorted(set(self.model.branches) - {branch}), branch], at)
        for name, changed, new in ((branch, other, b"ours"), (source, key, _BODIES[body])):
            self.repo.at(name).put(changed, new)
            self.model.put(name, {changed: new})
            self.tidy(sorted(self.model.branches).index(name))
        self.merge_into(branch, source, how)

    def merge_into(self, branch: str, source: str, how: tuple[Any, bool]) -> None:
        strategy, squash = how
        theirs, ours = self.model.commit_of(source), self.model.branches[branch].head
        base = self.repo.merge_base(theirs, ours)
        assert base is not None
        assert base.id in self.model.bases(theirs, ours)
        self.land(
            branch,
            lambda: self.model.merge(theirs, branch, base.id, strategy=strategy, squash=squash),
            lambda op_id: self.repo.merge(
                source, branch, request("A merge", op_id=op_id), strategy=strategy, squash=squash
            ),
        )

    @rule(at=numbers, number=numbers, backwards=st.booleans(), tidy=st.booleans())
    def revert_or_cherry_pick(self, at: int, number: int, backwards: bool, tidy: bool) -> None:  # noqa: FBT001 - drawn by name
        branch, commit = self.tidy(at) if tidy else self.branch(at), self.commit_id(number)
        verb = self.repo.revert if backwards else self.repo.cherry_pick
        self.land(
            branch,
            lambda: self.model.replay(branch, commit, backwards=backwards),
            lambda op_id: verb(branch, commit, request("Once more", op_id=op_id)),
        )

    # refs

    @rule(name=st.sampled_from([*_BRANCHES, _HIDDEN]), base=numbers)
    def create_branch(self, name: str, base: int) -> None:
        ref = self.pick([*sorted({*self.model.branches, *self.model.tags}), self.commit_id(base)], base)
        hidden = name == _HIDDEN
        self.both(
            lambda: self.model.create_branch(name, ref, hidden=hidden),
            lambda: self.repo.create_branch(name, ref, hidden=hidden),
        )

    @rule(at=numbers)
    def delete_branch(self, at: int) -> None:
        branch = self.branch(at)
        self.both(lambda: self.model.delete_branch(branch), lambda: self.repo.delete_branch(branch))

    @rule(at=numbers)
    def delete_and_bring_back(self, at: int) -> None:
        branch = self.branch(at)
        self.delete_branch(at)
        self.undelete_branch(branch)

    @rule(name=st.sampled_from([*_BRANCHES, _HIDDEN]))
    def undelete_branch(self, name: str) -> None:
        self.both(lambda: self.model.undelete_branch(name), lambda: self.repo.undelete_branch(name))

    @rule(name=st.sampled_from(["v1", "v2", "exp"]), number=numbers)
    def create_tag(self, name: str, number: int) -> None:
        commit = self.commit_id(number)
        self.both(lambda: self.model.create_tag(name, commit), lambda: self.repo.create_tag(name, commit))

    @precondition(lambda self: self.model.tags)
    @rule(number=numbers)
    def delete_tag(self, number: int) -> None:
        name = self.pick(sorted(self.model.tags), number)
        self.repo.delete_tag(name)
        del self.model.tags[name]

    # what happens to stores

    @rule()
    def reopen(self) -> None:
        self.open_again()

    @rule(at=numbers, key=keys, step=st.integers(1, 120))
    def crash_and_go_on(self, at: int, key: str, step: int) -> None:
        """Another process puts, commits, puts, and dies on the way; we go on after what it was told."""
        branch, path, op_id = self.branch(at), self.path, self.new_op()
        first, second = f"{op_id} first".encode(), f"{op_id} second".encode()
        steps: list[Callable[[EmbeddedRepo], object]] = [
            lambda repo: repo.at(branch).put(key, first),
            lambda repo: repo.commit(branch, request("Before a crash", op_id=op_id)).id,
            lambda repo: repo.at(branch).put(key, second),
        ]

        def dies(say: Say) -> None:
            die_at(step)
            store = EmbeddedStore(path)
            for do in steps:
                say(f"done {do(store.repo(REPO))}")
            store.close()

        said, status = Child(dies).lines()
        assert status in {0, -signal.SIGKILL}, said
        self.open_again()
        for do in steps[len(said) :]:
            do(self.repo)
        self.model.put(branch, {key: first})
        made = self.repo.commit_of(branch).id
        assert len(said) < 2 or said[1] == f"done {made}"
        self.model.landed(branch, made, self.model.commit(branch), op_id=op_id)
        self.model.put(branch, {key: second})

    @rule()
    def collect(self) -> None:
        self.store.collect(grace=timedelta(0))
        self.model.forget_unreachable()

    @rule()
    def rewrite_packs(self) -> None:
        compact(self.repo.store, dead=0)

    @rule()
    def lose_the_index_and_repair(self) -> None:
        """What is uncommitted was only there; all else comes back."""
        self.store.close()
        for file in self.path.glob("meta.db*"):
            file.unlink()
        self.store.repair()
        self.open_again()
        for branch in (*self.model.branches.values(), *(gone.branch for gone in self.model.deleted)):
            branch.view = dict(self.model.commits[branch.head].tree)
        with self.repo.store.db.read() as db:
            kept = Counter(row[0] for row in db.execute("SELECT name FROM deleted_branches"))
        for gone in reversed(list(self.model.deleted)):
            kept[gone.name] -= 1
            if kept[gone.name] < 0:
                self.model.deleted.remove(gone)

    @rule()
    def back_up_restore_and_use_that(self) -> None:
        number = f"{self.attempts}-{len(list(self.folder.iterdir()))}"
        self.store.backup(self.folder / f"backup-{number}")
        backup = EmbeddedStore(self.folder / f"backup-{number}")
        backup.restore(self.folder / f"restored-{number}")
        backup.close()
        self.open_again(self.folder / f"restored-{number}")

    # what holds after each step

    @initialize()
    def begin(self) -> None:
        """Begin with something to lose."""
        for body in ("one", "two"):
            self.put(0, "a.txt", body)
            self.put(0, "x/a.txt", body)
            self.commit(0)
        self.create_branch("exp", 0)
        self.put(0, "z.csv", "large")

    @invariant()
    def refs_are_the_same(self) -> None:
        heads = {branch.name: branch.head for branch in self.repo.branches(hidden=True)}
        wanted = {name: branch.head for name, branch in self.model.branches.items()}
        assert {name: head for name, head in heads.items() if not name.startswith(_LOST)} == wanted
        tags = {tag.name: tag.commit for tag in self.repo.tags() if not tag.name.startswith(_LOST)}
        assert tags == self.model.tags

    @invariant()
    def branches_show_the_same(self) -> None:
        for name, branch in self.model.branches.items():
            assert _bytes(self.repo, name) == branch.view
            assert staged(self.repo, name) == self.model.pending(name)

    @invariant()
    def commits_hold_the_same(self) -> None:
        """Every commit that can be reached, and through `parents` all of their ancestors."""
        for commit in self.model.reachable():
            info = self.repo.commit_of(commit)
            assert info.parents == self.model.commits[commit].parents
            assert _bytes(self.repo, commit) == self.model.commits[commit].tree

    @invariant()
    def histories_are_the_same(self) -> None:
        for name, branch in self.model.branches.items():
            found = [info.id for info in self.repo.log(name)]
            assert len(found) == len(set(found))
            assert set(found) == self.model.ancestors(branch.head)
            along = [info.id for info in self.repo.log(name, first_parent=True)]
            assert along == list(self.model.main_line(branch.head))

    @invariant()
    def differences_are_the_same(self) -> None:
        newest = list(self.model.commits)[-1]
        if newest not in self.model.reachable():
            return
        for name, branch in self.model.branches.items():
            found = {change.key: change.kind for change in self.repo.diff(branch.head, newest)}
            assert found == difference(self.model.tree(name), self.model.commits[newest].tree)

    @invariant()
    def check_finds_nothing(self) -> None:
        assert list(self.store.check(deep=True)) == []
