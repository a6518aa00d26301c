"""Many processes that write, commit, merge and collect in one embedded store, and a look at all that came of it.

python -m datastore.testing.store_stress --commits 10000
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from datastore.embedded.repo import EmbeddedRepo
from datastore.embedded.store import EmbeddedStore
from datastore.errors import HeadMoved, NothingToCommit, UncommittedChanges
from datastore.testing.store_children import Child, Say
from datastore.testing.store_scenarios import REPO
from datastore.values import CommitInfo, CommitRequest

__all__ = ["Outcome", "stress"]

_HOUR = 3600
_BODIES = [f"body {number} ".encode() * 40 * (number + 1) for number in range(24)]
"""Few, so that processes keep on writing what others have written, dropped and had collected."""
_SHARED = "shared"


class Outcome(Struct):
    """What was done, and what is wrong with it.

    Attributes:
        done: How often each thing was acknowledged or refused.
        kills: How many processes were killed.
        seconds: How long the processes worked.
        problems: What an invariant says against it; empty if all is well.
    """

    done: Counter[str] = field(default_factory=Counter[str])
    kills: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        commits = self.done["commit"]
        numbers = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        return f"{numbers}, {self.kills} kills in {self.seconds:.0f} s: {commits / self.seconds:.0f} commits/s"


def stress(
    folder: Path,
    *,
    workers: int = 8,
    commits: int = 400,
    kills: int = 0,
    seed: int = 1,
    open_store: Callable[[Path], EmbeddedStore] = EmbeddedStore,
) -> Outcome:
    """Let processes loose on a new store, then examine it.

    Args:
        folder: A new or empty folder, for the store and the records of the processes.
        workers: How many processes.
        commits: How many commits and merges they are to make, together.
        kills: How many times one of them is killed and started again.
        seed: Of the choices that they make.
        open_store: Makes a handle of the store, in each process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(folder / "store")
    repo = store.create_repo(REPO)
    for branch in (_SHARED, *(f"writer-{me}" for me in range(workers))):
        repo.create_branch(branch, "main")
    store.close()
    outcome = Outcome()
    begin = time.monotonic()
    crew = _Crew(folder, open_store=open_store, share=-(-commits // workers), seed=seed)
    outcome.problems += crew.work(workers, kills=kills)
    outcome.kills = crew.killed
    outcome.seconds = time.monotonic() - begin
    store = open_store(folder / "store")
    try:
        outcome.problems += _examined(store, _records(folder), outcome)
    finally:
        store.close()
    return outcome


class _Crew:
    """The processes, seen from their parent."""

    def __init__(self, folder: Path, *, open_store: Callable[[Path], EmbeddedStore], share: int, seed: int) -> None:
        self._folder = folder
        self._open_store = open_store
        self._share = share
        self._seed = seed
        self._lives: Counter[int] = Counter()
        self.killed = 0

    def _start(self, me: int) -> Child:
        self._lives[me] += 1
        worker = _Worker(me, self._lives[me], folder=self._folder, share=self._share, seed=self._seed)
        return Child(partial(worker.live, self._open_store), seconds=_HOUR)

    def work(self, workers: int, *, kills: int) -> list[str]:
        """Run them to their end; return what went wrong."""
        dice = random.Random(self._seed)  # noqa: S311 - it chooses whom to kill
        crew = {me: self._start(me) for me in range(workers)}
        while crew and self.killed < kills:
            time.sleep(dice.uniform(0.01, 0.1))
            me = dice.choice(sorted(crew))
            crew[me].kill()
            said, status = crew[me].lines()
            if status == -signal.SIGKILL:
                self.killed += 1
                crew[me] = self._start(me)
            elif status == 0:
                del crew[me]  # it was done
            else:
                return [f"writer {me}: {said}"]
        ends = {me: child.lines() for me, child in crew.items()}
        return [f"writer {me}: {said}" for me, (said, status) in ends.items() if status or said]


class _Worker:
    """One process: it writes under its own names, to its own branch and to a shared one."""

    def __init__(self, me: int, life: int, *, folder: Path, share: int, seed: int) -> None:
        self._me = me
        self._life = life
        self._folder = folder
        self._share = share
        self._dice = random.Random(f"{seed} {me} {life}")  # noqa: S311 - a walk to be repeated
        self._mine = f"writer-{me}"
        self._record = -1
        self._commits = 0

    def live(self, open_store: Callable[[Path], EmbeddedStore], _: Say) -> None:
        """Work until this writer's share of the commits is made."""
        file = self._folder / f"record-{self._me}"
        self._record = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._commits = sum(line.startswith("commit ") for line in file.read_text().splitlines())
        store = open_store(self._folder / "store")
        repo = store.repo(REPO)
        number = 0
        while self._commits < self._share:
            number += 1
            self._round(store, repo, number)
        store.close()

    def _say(self, *words: object) -> None:
        os.write(self._record, (" ".join(map(str, words)) + "\n").encode())

    def _round(self, store: EmbeddedStore, repo: EmbeddedRepo, number: int) -> None:
        name = f"{self._me}.{self._life}.{number}"
        for branch in (self._mine, _SHARED):
            self._put(repo, branch, f"{branch}/{name}")
            self._commit(repo, branch, f"{branch} {name}")
        if number % 3 == 0:
            self._waste(repo, name)
        if number % 4 == 0:
            self._acknowledge("main", lambda: repo.merge(self._mine, "main", _request(f"merge {name}")))
        if number % 7 == 0:
            self._aside(repo, name)
        if number % 10 == self._me % 10:
            store.collect(grace=timedelta(0))
            self._say("collect")

    def _put(self, repo: EmbeddedRepo, branch: str, key: str) -> None:
        body = self._dice.randrange(len(_BODIES))
        repo.at(branch).put(key, _BODIES[body])
        self._say("put", branch, key, body)

    def _commit(self, repo: EmbeddedRepo, branch: str, message: str) -> None:
        self._acknowledge(branch, lambda: repo.commit(branch, _request(message)))

    def _acknowledge(self, branch: str, make: Callable[[], CommitInfo]) -> bool:
        try:
            made = make()
        except (NothingToCommit, HeadMoved, UncommittedChanges) as error:
            self._say("refused", type(error).__name__)  # another process took the keys, or was faster, or is not done
            return False
        self._say("commit", branch, made.id)
        self._commits += 1
        return True

    def _waste(self, repo: EmbeddedRepo, name: str) -> None:
        """Leave bytes behind that nothing needs; other writers may be about to need just these."""
        key = f"wasted/{name}"
        repo.at(self._mine).put(key, self._dice.choice(_BODIES))
        repo.reset(self._mine, key=key)

    def _aside(self, repo: EmbeddedRepo, name: str) -> None:
        """A transaction: a hidden branch that is merged, or thrown away with its commits."""
        aside = "aside-" + name.replace(".", "-")
        repo.create_branch(aside, "main", hidden=True)
        key = f"aside/{name}"
        body = self._dice.randrange(len(_BODIES))
        repo.at(aside).put(key, _BODIES[body])
        repo.commit(aside, _request(aside))
        if self._dice.random() < 0.5:
            merged = self._acknowledge("main", lambda: repo.merge(aside, "main", _request(f"merge {aside}")))
            if merged:
                self._say("put", "main", key, body)
        repo.delete_branch(aside)


def _request(message: str) -> CommitRequest:
    return CommitRequest(message=message, author="stress", op_id=message)


class _Records(Struct):
    """What the processes were told: commits by branch, keys with the number of their body by branch."""

    commits: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    puts: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    counts: Counter[str] = field(default_factory=Counter[str])


def _records(folder: Path) -> _Records:
    found = _Records()
    for file in sorted(folder.glob("record-*")):
        for line in file.read_text().splitlines():
            what, *words = line.split()
            found.counts[f"{what} {words[0]}" if what == "refused" else what] += 1
            if what == "commit":
                found.commits.setdefault(words[0], []).append(words[1])
            elif what == "put":
                found.puts.setdefault(words[0], {})[words[1]] = int(words[2])
    return found


def _examined(store: EmbeddedStore, records: _Records, outcome: Outcome) -> list[str]:
    """Compare the store with the records; return what is wrong."""
    outcome.done = records.counts
    repo = store.repo(REPO)
    problems = [f"check: {problem}" for problem in store.check(deep=True)]
    for branch in (info.name for info in repo.branches()):
        history = [info for info in repo.log(branch, first_parent=True) if info.parents]
        found = Counter(info.id for info in history)
        told = Counter(records.commits.get(branch, []))
        problems += [f"{branch}: {found[commit]} times {commit}" for commit in told if found[commit] != 1]
        # A process that was killed was not told of its last commit; nobody else made one that is not in the records.
        if len(history) - len(told) > outcome.kills:
            problems.append(f"{branch}: {len(history)} commits, {len(told)} acknowledged, {outcome.kills} kills")
        twice = [text for text, count in Counter(info.message for info in history).items() if count > 1]
        problems += [f"{branch}: {text!r} was committed twice" for text in twice]
        problems += _wrong_keys(repo, branch, history, records.puts.get(branch, {}))
    return problems


def _wrong_keys(repo: EmbeddedRepo, branch: str, history: list[CommitInfo], puts: dict[str, int]) -> list[str]:
    """Every key that was put is new in exactly one commit of the branch, or uncommitted, with its bytes."""
    added: Counter[str] = Counter(change.key for change in repo.uncommitted(branch))
    for info in history:
        added.update(change.key for change in repo.diff(info.parents[0], info.id))
    problems = [f"{branch}: {key} is in {added[key]} commits" for key in puts if added[key] != 1]
    problems += [
        f"{branch}: {key} is in {count} commits" for key, count in added.items() if key not in puts and count > 1
    ]
    digests = {info.key: info.digest for page in repo.at(branch).list() for info in page.objects}
    for key, body in puts.items():
        if digests.get(key) != f"sha256:{hashlib.sha256(_BODIES[body]).hexdigest()}":
            problems.append(f"{branch}: {key} has other bytes: {digests.get(key)}")
    return problems


def main() -> None:
    """Run it and print the numbers."""
    parser = argparse.ArgumentParser(prog="python -m datastore.testing.store_stress", description=__doc__)
    parser.add_argument("--commits", type=int, default=1000, help="how many, by all processes together")
    parser.add_argument("--workers", type=int, default=8, help="how many processes")
    parser.add_argument("--kills", type=int, default=0, help="how many times one of them is killed")
    parser.add_argument("--seed", type=int, default=1, help="of the choices that they make")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = stress(
            Path(folder), workers=chosen.workers, commits=chosen.commits, kills=chosen.kills, seed=chosen.seed
        )
    print(outcome, *outcome.problems[:50], sep="\n    ")  # noqa: T201
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
