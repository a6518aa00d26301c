"""Where a store keeps what, and the file `config.json` that says that a folder is a store."""

import os
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from datastore.embedded.ballast import Ballast
from datastore.embedded.database import Database
from datastore.embedded.disks import require_local
from datastore.embedded.durable import disk_errors, fsync_directory, write_new
from datastore.embedded.gate import Gate
from datastore.embedded.processes import scratch_name
from datastore.errors import ConfigError, IntegrityError, NotFound, ValidationError

__all__ = ["FORMAT", "Layout", "StoreConfig"]

FORMAT = 1
_FOLDERS = ("blobs", "trees", "commits", "tmp", "locks")
_OURS = {
    *_FOLDERS,
    "config.json",
    "meta.db",
    "meta.db-wal",
    "meta.db-shm",
    "meta.db-journal",
    "refs.journal",
    "ballast",
}


class StoreConfig(Struct, frozen=True, kw_only=True):
    """The content of `config.json`.

    Attributes:
        format: Version of everything on disk.
        store_id: A uuid; a handle that was pickled elsewhere must find the same one.
        hash: How content is named.
        read_features: What a program has to know to read this store.
        write_features: What a program has to know to write to it.
    """

    format: int
    store_id: str
    hash: str = "sha256"
    read_features: list[str] = []
    write_features: list[str] = []


class Layout:
    """The paths of one store.

    config.json   format, store_id; written last, so that a folder without it is no store yet
    meta.db       SQLite: refs, staging, index of commits and blobs
    blobs/ab/…    content, raw, named by sha256
    trees/…       nodes of committed trees, zstd
    commits/…     commits, JSON
    refs.journal  every change of a ref, one JSON line each
    tmp/          files in the making
    locks/        the writer gate
    ballast       space that `collect` gives back first when the disk is full
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.json"
        self.index = root / "meta.db"
        self.blobs = root / "blobs"
        self.trees = root / "trees"
        self.commits = root / "commits"
        self.journal = root / "refs.journal"
        self.scratch = root / "tmp"
        self.gate = root / "locks" / "write.lock"
        self.ballast = Ballast(root / "ballast", scratch=self.scratch)

    def exists(self) -> bool:
        """Whether a store is here, whole or damaged; what an interrupted creation left is none."""
        return self.config.exists() or bool(self._remains())

    def _remains(self) -> list[str]:
        """What only a store has that was whole once: it begins with a commit."""
        found = [path.name for path in (self.blobs, self.trees, self.commits) if path.is_dir() and any(path.iterdir())]
        return found + [path.name for path in (self.journal,) if path.exists()]

    def read(self) -> StoreConfig:
        """Check that this is a store that this program can read, and return what it says of itself.

        Raises:
            NotFound: No store here.
            ConfigError: A newer format.
            IntegrityError: A part is missing or cannot be read.
        """
        try:
            config = msgspec.json.decode(self.config.read_bytes(), type=StoreConfig)
        except (FileNotFoundError, NotADirectoryError):
            raise self._absent() from None
        except (msgspec.MsgspecError, OSError) as error:
            message = f"{self.config} cannot be read: {error}"
            raise IntegrityError(message, hint="put the file back from a backup; nothing was changed") from None
        if config.format != FORMAT or config.read_features or config.hash != "sha256":
            unknown = [*config.read_features, *([config.hash] if config.hash != "sha256" else ())]
            features = f" with {', '.join(unknown)}" if unknown else ""
            raise ConfigError(
                f"the store {self.root} has format {config.format}{features}; this program knows format {FORMAT}",
                hint="upgrade: pip install -U datastore-sdk; nothing was changed",
            )
        missing = [name for name in _FOLDERS if not (self.root / name).is_dir()]
        missing += [self.index.name] if not self.index.is_file() else []
        if missing:
            message = f"the store {self.root} is only half there: {', '.join(missing)} missing"
            raise IntegrityError(message, hint="put them back from a backup; nothing was changed")
        return config

    def _absent(self) -> NotFound | IntegrityError:
        remains = self._remains()
        if remains and not self.config.exists():  # in this order: somebody may be creating the store right now
            message = f"the store {self.root} has lost its config.json; it has {', '.join(remains)}"
            return IntegrityError(message, hint="put the file back from a backup; nothing was changed")
        return NotFound(
            f"no store at {self.root}", hint="ds.create_repo(name) makes one, or set DATASTORE_STORE to its folder"
        )

    def create(self) -> None:
        """Make a store here, or finish what an interrupted creation began. Harmless where one exists."""
        if self.config.exists():
            return
        require_local(self.root)
        self._refuse_foreign_folder()
        with disk_errors(self.root):
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
            gate = Gate(self.gate)
            try:
                with gate.held():
                    if not self.config.exists():
                        self._create_here()
            finally:
                gate.close()

    def _refuse_foreign_folder(self) -> None:
        if isinstance(error := self._absent(), IntegrityError):
            raise error
        there = next((folder for folder in (self.root, *self.root.parents) if folder.exists()), self.root)
        if not there.is_dir():
            raise ValidationError(f"{there} is a file, no folder", hint="choose an empty or new folder")
        foreign = sorted(set(os.listdir(there)) - _OURS) if there == self.root else []
        if foreign:
            message = f"{self.root} is not a store, and it is not empty: it has {foreign[0]!r}"
            raise ValidationError(message, hint="choose an empty or new folder")

    def _create_here(self) -> None:
        config = StoreConfig(format=FORMAT, store_id=str(uuid.uuid4()))
        for name in _FOLDERS:
            (self.root / name).mkdir(exist_ok=True)
        for leftover in (self.index, *self.root.glob("meta.db-*")):
            leftover.unlink(missing_ok=True)  # of an interrupted creation: it holds nothing yet
        Database.create(self.index, store_id=config.store_id)
        draft = self.scratch / scratch_name()
        write_new(draft, msgspec.json.format(msgspec.json.encode(config)))
        self.ballast.make()
        fsync_directory(self.root)
        draft.replace(self.config)
        fsync_directory(self.root)
