"""The quickstart: a short true story on real data, told in plain words with measured figures.

It uses nothing but the public API and URLs, so that every step can be typed by hand.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.api import create_repo, delete_repo, filesystem, repos
from datastore.errors import AlreadyExists, MergeConflict, NotFound, ValidationError
from datastore.history import Commit
from datastore.namespace import current
from datastore.notebook.markup import size_text
from datastore.repository import Repo
from datastore.urls import DatasetURL
from datastore.values import same_object

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["penguins", "run", "write_notebook"]

_MARK = {"made-by": "datastore quickstart"}
_NOTEBOOK = "01_start.ipynb"

_READERS = {".csv": "read_csv", ".feather": "read_feather", ".parquet": "read_parquet"}
"""The formats that the story knows how to damage, with pandas' names for them."""


def penguins() -> "pd.DataFrame":
    """Return the Palmer penguins (344 rows × 9 columns), which come with this package; `id` is 1 to 344.

    CC0; Horst AM, Hill AP, Gorman KB (2020), doi:10.5281/zenodo.3960218.

    >>> penguins().shape
    (344, 9)
    """
    import pandas as pd

    with (files("datastore") / "data" / "penguins.csv").open("rb") as file:
        frame = pd.read_csv(file)
    frame.insert(0, "id", range(1, len(frame) + 1))
    return frame


def write_notebook(folder: Path) -> Path:
    """Write `01_start.ipynb` into a folder; one that is there already is left alone.

    Raises:
        AlreadyExists: There is another file of that name.
    """
    text = (files("datastore") / "data" / _NOTEBOOK).read_bytes()
    target = folder / _NOTEBOOK
    if target.exists():
        if target.read_bytes() != text:
            raise AlreadyExists(
                f"{target} is there already, with other content", hint="move it away, or keep working in it"
            )
        return target
    target.write_bytes(text)
    return target


class _Subject(Struct):
    """What the story is about: one file of the repo, and the column that tells its rows apart, if it is a table."""

    key: str
    column: str | None


def run(folder: Path | None = None, *, notebook: bool = False, echo: Callable[[str], None] = print) -> Repo:
    """Tell the story and leave its repo behind.

    Args:
        folder: The user's own data; the penguins if not given. It is copied, never changed.
        notebook: Also write `01_start.ipynb` into the working directory.
        echo: Takes each line.

    Raises:
        NotFound: The folder does not exist.
        ValidationError: It has no files.
    """
    if folder is not None and not folder.is_dir():
        raise NotFound(
            f"no folder {str(folder)!r}", hint="give the path of a folder with data, or none for the penguins"
        )
    with _data(folder) as source:
        story = _Story(_fresh_repo(_name_for(folder)), echo)
        subject = story.bring_in(source, example=folder is None)
    story.branch(subject)
    story.damage(subject)
    story.undo(subject)
    good = story.keep_a_change(subject)
    story.conflict(subject, good)
    story.travel(subject)
    if notebook:
        echo(f"\nNotebook: {write_notebook(Path.cwd())}")
    story.farewell(subject)
    return story.repo


@contextmanager
def _data(folder: Path | None) -> Generator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as made:
        penguins().to_parquet(Path(made) / "penguins.parquet")
        shutil.copyfile(str(files("datastore") / "data" / "SOURCE.md"), Path(made) / "SOURCE.md")
        yield Path(made)


def _name_for(folder: Path | None) -> str:
    if folder is None:
        return "penguins"
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:50]
    return name if len(name) >= 3 else f"{name or 'my'}-data"


def _fresh_repo(wanted: str) -> Repo:
    """Make the repo; one of an earlier quickstart is begun anew, any other of that name is left alone."""
    taken = {repo.name: repo for repo in repos()} | {mount.name: None for mount in current().mounts()}
    for number in range(1, 100):
        name = wanted if number == 1 else f"{wanted}-{number}"
        if name not in taken:
            return create_repo(name)
        if (found := taken[name]) is not None and _is_ours(found):
            delete_repo(name)
            return create_repo(name)
    raise AlreadyExists(f"there are a hundred repos called {wanted!r} already", hint="give another folder")


def _is_ours(repo: Repo) -> bool:
    """Whether nobody but a quickstart ever wrote to a repo."""
    for branch in repo.branches(hidden=True):
        if branch.uncommitted() or any(
            commit.parents and commit.metadata.get("made-by") != _MARK["made-by"] for commit in branch.log()
        ):
            return False
    return True


class _Story:
    """The steps, each told as it is done."""

    def __init__(self, repo: Repo, echo: Callable[[str], None]) -> None:
        self.repo = repo
        self._echo = echo
        self._main = repo.branch("main")
        self._started = time.perf_counter()

    def _title(self, text: str) -> None:
        self._echo(f"\n{text}")

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._echo(f"  {line}")

    def bring_in(self, source: Path, *, example: bool) -> _Subject:
        """Import the folder and commit it."""
        self._title("1. Bring data in")
        if example:
            self._say("Palmer penguins, a real data set that comes with this package (CC0; see SOURCE.md in the repo).")
        with _timed() as took:
            changes = self._main.import_folder(source)
        if not changes:
            raise ValidationError(f"{str(source)!r} has no files to import", hint="give a folder with data")
        with _timed() as took_commit:
            commit = self._main.commit("Import", metadata=_MARK)
        size = sum(change.after.size for change in changes if change.after)
        self._say(
            f"{len(changes)} files, {size_text(size)}, copied in {took}; commit {commit.id[:8]} in {took_commit}."
        )
        tables = [change.key for change in changes if Path(change.key).suffix in _READERS]
        key = tables[0] if tables else changes[0].key
        return _Subject(key, self._unique_column(key) if tables else None)

    def _read(self, ref: str, key: str) -> "pd.DataFrame":
        import pandas as pd

        return getattr(pd, _READERS[Path(key).suffix])(self.repo.url(key, ref=ref))

    @staticmethod
    def _write(frame: "pd.DataFrame", url: DatasetURL) -> None:
        if url.suffix == ".csv":
            frame.to_csv(url, index=False)
        elif url.suffix == ".feather":
            frame.reset_index(drop=True).to_feather(url)
        else:
            frame.to_parquet(url)

    def _unique_column(self, key: str) -> str | None:
        try:
            frame = self._read("main", key)
        except ValueError:  # it only looks like a table
            return None
        usable = (str(name) for name in frame.columns if frame[name].notna().all() and frame[name].is_unique)
        return next(usable, None) if len(frame) > 20 else None

    def branch(self, subject: _Subject) -> None:
        """Make a branch."""
        self._title("2. Make a branch to try something on")
        before = _bytes_on_disk()
        with _timed() as took:
            self.repo.create_branch("try", "main")
        self._say(f"Branch 'try' in {took}, {_bytes_on_disk() - before} bytes: nothing is copied.")
        self._say(f"It is a place like any other: {self.repo.branch('try') / subject.key}")

    def damage(self, subject: _Subject) -> None:
        """Spoil the file through its URL, and look at what happened."""
        self._title("3. Make a mistake there")
        url = self.repo.branch("try") / subject.key
        if subject.column is None:
            filesystem().pipe_file(url, b"oops")
            self._say(f"Overwrote {subject.key} with four bytes.")
            self._say(str(self.repo.branch("try").uncommitted()))
            return
        frame = self._read("try", subject.key)
        broken = frame.iloc[:-3].copy()
        column = next((name for name in broken.select_dtypes(["int64", "float64"]) if name != subject.column), None)
        if column is not None:
            few = broken.index.isin(broken[column].dropna().index[:5])
            broken[column] = broken[column].mask(few, broken[column] * 1000)
        self._write(broken, url)
        spoiled = f", {column} × 1000 in five of them" if column else ""
        self._say(f"pandas wrote {len(broken)} of {len(frame)} rows to {url}{spoiled}.")
        with _timed() as took:
            rows = self.repo.branch("try").uncommitted().table(subject.key, key=subject.column, limit=3)
        self._say(f"What changed, row by row ({took}):")
        self._say(str(rows))

    def undo(self, subject: _Subject) -> None:
        """Drop the uncommitted change."""
        self._title("4. Undo it")
        branch = self.repo.branch("try")
        with _timed() as took:
            dropped = branch.reset()
        same = same_object(branch.objects.head(subject.key), self._main.objects.head(subject.key))
        self._say(f"branch.reset() dropped {dropped} uncommitted change in {took}.")
        self._say(f"Same bytes as on main: {'yes' if same else 'NO'}.")

    def keep_a_change(self, subject: _Subject) -> Commit:
        """Commit a good change on the branch."""
        self._title("5. Make a good change and commit it")
        branch = self.repo.branch("try")
        url = branch / subject.key
        before = _bytes_on_disk()
        if subject.column is None:
            branch.objects.put(subject.key, branch.objects.read(subject.key).read() + b"\n")
            what = "Add a line"
        else:
            frame = self._read("try", subject.key)
            clean = frame.dropna()
            clean = clean if len(clean) < len(frame) else frame.iloc[1:]
            self._write(clean, url)
            what = f"Keep {len(clean)} complete rows of {len(frame)}"
        with _timed() as took:
            commit = branch.commit(what, metadata=_MARK)
        grown = _bytes_on_disk() - before
        self._say(
            f"'{what}': commit {commit.id[:8]} in {took}; the second version takes {size_text(grown)} more on disk."
        )
        return commit

    def conflict(self, subject: _Subject, good: Commit) -> None:
        """Change the same file on main, meet the conflict, settle it."""
        self._title("6. Meanwhile main changes the same file: a conflict, and its end")
        url = self._main / subject.key
        if subject.column is None:
            self._main.objects.put(subject.key, b"changed on main")
        else:
            self._write(self._read("main", subject.key).iloc[:-1], url)
        self._main.commit("Drop the last row", metadata=_MARK)
        try:
            self.repo.merge("try", "main", metadata=_MARK)
        except MergeConflict as error:
            self._say(f"{type(error).__name__}: {error}. Nothing was changed.")
            with _timed() as took:
                merged = self.repo.merge("try", "main", choose={subject.key: "source"}, metadata=_MARK)
            self._say(
                f'We take the branch\'s version: choose={{{subject.key!r}: "source"}}; merge {merged.id[:8]} in {took}.'
            )
        same = same_object(self._main.objects.head(subject.key), self.repo.versioned.at(good.id).head(subject.key))
        self._say(f"main now has what 'try' had: {'yes' if same else 'NO'}.")

    def travel(self, subject: _Subject) -> None:
        """Tag, and read old versions."""
        self._title("7. Tag it, and travel in time")
        first = self.repo.log(key=subject.key)[-1]
        self.repo.create_tag("v1", first)
        self.repo.create_tag("v2", "main")
        for ref in ("v1", first.id[:8], "main~1", "main@"):
            url = self.repo.url(subject.key, ref=ref)
            with _timed() as took:
                if subject.column is None:
                    shown = f"{self.repo.versioned.at(ref).head(subject.key).size} bytes"
                else:
                    shown = f"{len(self._read(ref, subject.key))} rows"
            self._say(f"{url:<55} {shown:>12}  {took}")

    def farewell(self, subject: _Subject) -> None:
        """Say what to paste."""
        url = self.repo.url(subject.key, ref="main")
        self._title(f"Done in {time.perf_counter() - self._started:.1f} s. The repo '{self.repo.name}' stays.")
        self._say("In any Python process, without importing datastore:")
        if subject.column is None:
            self._say(f'import fsspec; fsspec.open("{url}").open().read()')
        else:
            self._say(f'import pandas as pd; pd.{_READERS[url.suffix]}("{url}")')


class _Took:
    """How long a block took, as text."""

    seconds = 0.0

    def __str__(self) -> str:
        return f"{self.seconds * 1000:.0f} ms" if self.seconds >= 0.0095 else f"{self.seconds * 1000:.1f} ms"


@contextmanager
def _timed() -> Generator[_Took]:
    took = _Took()
    started = time.perf_counter()
    yield took
    took.seconds = time.perf_counter() - started


def _bytes_on_disk() -> int:
    """Return the size of the store's files, without SQLite's log, which is written back now and then."""
    root = current().config.store
    sizes = (
        Path(folder, name).stat().st_size
        for folder, _, names in os.walk(root)
        for name in names
        if not name.startswith("meta.db-")
    )
    return sum(sizes)
