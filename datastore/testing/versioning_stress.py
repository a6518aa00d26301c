"""The exam's part on many changes: threads at once, and a random walk beside a model of plain dictionaries."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

import pytest

from datastore.errors import HeadMoved, MergeConflict, NothingToCommit, UncommittedChanges
from datastore.provider import SupportsVersioning
from datastore.testing.repo_model import Tree, difference, edited, three_way
from datastore.testing.versioning_tools import commit, contents, kinds, messages, request, staged

__all__ = ["StressExam"]


class StressExam:
    """What only shows when much happens."""

    def test_threads_put_to_one_branch(self, versioned: SupportsVersioning) -> None:
        start = Barrier(8)

        def worker(number: int) -> None:
            start.wait()
            for step in range(5):
                versioned.at("main").put(f"{number}/{step}", b"%d %d" % (number, step))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(worker, range(8)))
        commit(versioned, "main", "All")
        expected = {f"{number}/{step}": b"%d %d" % (number, step) for number in range(8) for step in range(5)}
        assert contents(versioned.at("main@")) == expected
        assert staged(versioned) == {}

    def test_threads_put_and_commit_on_one_branch(self, versioned: SupportsVersioning) -> None:
        start = Barrier(4)

        def worker(number: int) -> list[str]:
            made: list[str] = []
            start.wait()
            for step in range(5):
                versioned.at("main").put(f"{number}/{step}", b"%d" % step)
                try:
                    made.append(commit(versioned, "main", f"{number}/{step}").id)
                except (NothingToCommit, HeadMoved):
                    continue  # another thread took it, or a later commit will
            return made

        with ThreadPoolExecutor(4) as pool:
            acknowledged = [commit_id for made in pool.map(worker, range(4)) for commit_id in made]
        if staged(versioned):
            acknowledged.append(commit(versioned, "main", "Rest").id)
        found = [info.id for info in versioned.log("main") if info.parents]
        assert sorted(found) == sorted(acknowledged)
        for number in range(4):
            for step in range(5):
                assert len(messages(versioned, key=f"{number}/{step}")) == 1
        assert len(contents(versioned.at("main@"))) == 20

    def test_threads_write_beside_each_other_on_their_branches(self, versioned: SupportsVersioning) -> None:
        def worker(number: int) -> None:
            name = f"worker-{number}"
            versioned.create_branch(name, "main")
            for step in range(3):
                versioned.at(name).put(f"{number}/{step}", b"%d" % step)
                commit(versioned, name, f"Step {step}")
            versioned.merge(name, "main", request(f"Merge {name}"))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(worker, range(4)))
        assert len(contents(versioned.at("main"))) == 12
        assert sorted(messages(versioned, first_parent=True)) == [f"Merge worker-{number}" for number in range(4)]

    @pytest.mark.parametrize("seed", range(4))
    def test_a_random_walk_beside_a_model(self, versioned: SupportsVersioning, seed: int) -> None:
        walk = _Walk(versioned, random.Random(seed))  # noqa: S311 - it has to be the same each time
        for _ in range(60):
            walk.step()
        walk.compare_everything()


class _Walk:
    """Does the same to a repo and to a model of it; every step ends with a comparison."""

    KEYS: Final = [f"{folder}{name}" for folder in ("", "a/", "a/b/", "c/") for name in ("x.txt", "y.csv", "z")]

    def __init__(self, versioned: SupportsVersioning, dice: random.Random) -> None:
        root = versioned.commit_of("main").id
        self.versioned = versioned
        self.dice = dice
        self.trees: dict[str, Tree] = {root: {}}
        self.parents: dict[str, tuple[str, ...]] = {root: ()}
        self.heads = {"main": root}
        self.views: dict[str, Tree] = {"main": {}}
        self.tags: dict[str, str] = {}

    def step(self) -> None:
        """Do one thing, then compare the branch that it was done to."""
        verbs = [self.put] * 6 + [self.delete] * 2 + [self.commit] * 4 + [self.merge] * 3
        verbs += [self.reset, self.revert, self.branch, self.tag]
        branch = self.dice.choice(sorted(self.heads))
        self.dice.choice(verbs)(branch)
        self.compare(branch)
        a, b = self.dice.choices(list(self.trees), k=2)
        assert kinds(self.versioned.diff(a, b)) == difference(self.trees[a], self.trees[b])

    def put(self, branch: str) -> None:
        key, data = self.dice.choice(self.KEYS), b"%d" % self.dice.randrange(4)
        self.versioned.at(branch).put(key, data)
        self.views[branch][key] = data

    def delete(self, branch: str) -> None:
        gone = self.dice.sample(self.KEYS, 2)
        assert not self.versioned.at(branch).delete(gone)
        for key in gone:
            self.views[branch].pop(key, None)

    def commit(self, branch: str) -> None:
        if self.views[branch] == self.trees[self.heads[branch]]:
            with pytest.raises(NothingToCommit):
                commit(self.versioned, branch, "Nothing")
            return
        made = commit(self.versioned, branch, "A commit")
        self._landed(branch, made.id, (self.heads[branch],), self.views[branch])

    def branch(self, base: str) -> None:
        if len(self.heads) < 4:
            name = f"branch-{len(self.heads)}"
            assert self.versioned.create_branch(name, base).head == self.heads[base]
            self.heads[name], self.views[name] = self.heads[base], dict(self.trees[self.heads[base]])

    def tag(self, branch: str) -> None:
        name = f"tag-{len(self.tags)}"
        assert self.versioned.create_tag(name, branch).commit == self.heads[branch]
        self.tags[name] = self.heads[branch]

    def reset(self, branch: str) -> None:
        pending = difference(self.trees[self.heads[branch]], self.views[branch])
        assert self.versioned.reset(branch) == len(pending)
        self.views[branch] = dict(self.trees[self.heads[branch]])

    def merge(self, into: str) -> None:
        source = self.dice.choice(sorted({*self.heads, *self.tags}))
        theirs, ours = self.heads.get(source) or self.tags[source], self.heads[into]
        base = self._merge_base(theirs, ours)
        edits, conflicts = three_way(self.trees[base], self.trees[theirs], self.trees[ours])
        result = edited(self.trees[ours], edits)
        if self.views[into] != self.trees[ours]:
            with pytest.raises(UncommittedChanges):
                self.versioned.merge(source, into, request())
        elif base == theirs:
            with pytest.raises(NothingToCommit):
                self.versioned.merge(source, into, request())
        elif conflicts:
            with pytest.raises(MergeConflict) as caught:
                self.versioned.merge(source, into, request())
            assert caught.value.paths == conflicts
            made = self.versioned.merge(source, into, request(), strategy="source-wins")
            won = {key: self.trees[theirs].get(key) for key in conflicts}
            self._landed(into, made.id, (ours, theirs), edited(result, won))
        elif edits:
            made = self.versioned.merge(source, into, request())
            self._landed(into, made.id, (ours, theirs), result)

    def revert(self, branch: str) -> None:
        undone = self.dice.choice(sorted(self._ancestors(self.heads[branch])))
        before = self.trees[self.parents[undone][0]] if self.parents[undone] else {}
        head = self.trees[self.heads[branch]]
        edits, conflicts = three_way(self.trees[undone], before, head)
        if self.views[branch] != head:
            with pytest.raises(UncommittedChanges):
                self.versioned.revert(branch, undone, request())
        elif conflicts:
            with pytest.raises(MergeConflict) as caught:
                self.versioned.revert(branch, undone, request())
            assert caught.value.paths == conflicts
        elif not edits:
            with pytest.raises(NothingToCommit):
                self.versioned.revert(branch, undone, request())
        else:
            made = self.versioned.revert(branch, undone, request())
            self._landed(branch, made.id, (self.heads[branch],), edited(head, edits))

    def _landed(self, branch: str, commit_id: str, parents: tuple[str, ...], tree: Tree) -> None:
        self.trees[commit_id], self.parents[commit_id], self.heads[branch] = dict(tree), parents, commit_id
        self.views[branch] = dict(tree)

    def _ancestors(self, start: str) -> set[str]:
        found, pending = {start}, [start]
        while pending:
            new = [parent for parent in self.parents[pending.pop()] if parent not in found]
            found.update(new)
            pending += new
        return found

    def _merge_base(self, a: str, b: str) -> str:
        """Ask the repo which of the best common ancestors it takes, and see that it is one of them."""
        common = self._ancestors(a) & self._ancestors(b)
        best = {one for one in common if not any(one in self._ancestors(other) for other in common - {one})}
        found = self.versioned.merge_base(a, b)
        assert found is not None
        assert found.id in best
        return found.id

    def compare(self, branch: str) -> None:
        """Compare what a branch shows, uncommitted and committed."""
        committed, view = self.trees[self.heads[branch]], self.views[branch]
        assert contents(self.versioned.at(branch)) == view
        assert contents(self.versioned.at(branch + "@")) == committed
        assert staged(self.versioned, branch) == difference(committed, view)
        info = self.versioned.commit_of(branch)
        assert (info.id, info.parents) == (self.heads[branch], self.parents[info.id])

    def compare_everything(self) -> None:
        """Compare every ref, every commit and every history."""
        for branch, head in self.heads.items():
            self.compare(branch)
            assert {info.id for info in self.versioned.log(branch)} == self._ancestors(head)
        for commit_id, tree in self.trees.items():
            assert contents(self.versioned.at(commit_id)) == tree
        assert {tag.name: tag.commit for tag in self.versioned.tags()} == self.tags
        assert {branch.name: branch.head for branch in self.versioned.branches()} == self.heads
