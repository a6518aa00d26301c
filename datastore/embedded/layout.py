"""Where a store keeps what, and the file `config.json` that says that a folder is a store."""

import errno
import json
import os
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from datastore.disks import require_local
from datastore.durable import disk_error, disk_errors, fsync_directory, write_new
from datastore.embedded.ballast import Ballast
from datastore.embedded.database import Database
from datastore.embedded.gate import Gate
from datastore.errors import ConfigError, IntegrityError, NotFound, ValidationError
from datastore.processes import scratch_name

__all__ = ["FORMAT", "Layout", "StoreConfig", "fields_missing"]

FORMAT = 1
_FOLDERS = ("blobs", "trees", "commits", "tmp", "locks")
_INDEX = ("meta.db", "meta.db-wal", "meta.db-shm", "meta.db-journal")
_OURS = {*_FOLDERS, *_INDEX, "packs", "backups", "ballast", "config.json", "refs.journal"}


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


class _Format(Struct, frozen=True):
    """What every format has."""

    format: int


def fields_missing(config: bytes) -> list[str]:
    """Return the fields that a `config.json` lacks: every program writes all of them."""
    # Names that are no UTF-8 any more are not looked at where they are not known.
    found = json.loads(config.decode(errors="replace"), strict=False)
    return [name for name in StoreConfig.__struct_fields__ if name not in found]


def _format_of(config: Path) -> int | None:
    """Return the format that a `config.json` names which cannot be read otherwise."""
    try:
        return msgspec.json.decode(config.read_bytes(), type=_Format).format
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
        return None


class Layout:
    """The paths of one store.

    config.json   format, store_id; written last, so that a folder without it is no store yet
    meta.db       SQLite: refs, staging, index of commits and blobs
    blobs/ab/…    content, raw, named by sha256
    packs/        many small blobs in one file each; made with the first pack
    trees/…       nodes of committed trees, zstd
    commits/…     commits, JSON
    refs.journal  every change of a ref, one JSON line each
    tmp/          files in the making
    locks/        the writer gate
    quarantine/   what `repair` took out of the way: nothing of it is read
    backup.json   in a backup, and in what is being restored from one
    ballast       space that `collect` gives back first when the disk is full
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.json"
        self.index = root / "meta.db"
        self.blobs = root / "blobs"
        self.packs = root / "packs"
        self.trees = root / "trees"
        self.commits = root / "commits"
        self.journal = root / "refs.journal"
        self.scratch = root / "tmp"
        self.quarantine = root / "quarantine"
        self.backup = root / "backup.json"
        self.gate = root / "locks" / "write.lock"
        self.ballast = Ballast(root / "ballast", scratch=self.scratch)

    @property
    def folders(self) -> list[Path]:
        """Those that every store has."""
        return [self.root / name for name in _FOLDERS]

    @property
    def missing(self) -> list[str]:
        """The folders and files that every store has and that are not there."""
        missing = [folder.name for folder in self.folders if not folder.is_dir()]
        return missing + ([] if self.index.is_file() else [self.index.name])

    def exists(self) -> bool:
        """Whether a store is here, whole or damaged; what an interrupted creation left is none."""
        with disk_errors(self.root):
            return self.config.exists() or bool(self._remains())

    def _remains(self) -> list[str]:
        """What only a store has that was whole once: it begins with a commit."""
        folders = (self.blobs, self.packs, self.trees, self.commits)
        found = [path.name for path in folders if path.is_dir() and any(path.iterdir())]
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
            with disk_errors(self.root):
                absent = self._absent()
            raise absent from None
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EIO:
                raise disk_error(self.root, error) from error
            if _format_of(self.config) not in {FORMAT, None}:
                raise self._newer(f"format {_format_of(self.config)}") from None
            message = f"{self.config} cannot be read: {error}"
            raise IntegrityError(message, hint="run `datastore repair`; nothing was changed") from None
        if config.format != FORMAT or config.read_features or config.hash != "sha256":
            unknown = [*config.read_features, *([config.hash] if config.hash != "sha256" else ())]
            features = f" with {', '.join(unknown)}" if unknown else ""
            raise self._newer(f"format {config.format}{features}")
        with disk_errors(self.root):
            missing = self.missing
        if missing:
            message = f"the store {self.root} is only half there: {', '.join(missing)} missing"
            raise IntegrityError(message, hint="run `datastore repair`; nothing was changed")
        return config

    def _newer(self, what: str) -> ConfigError:
        message = f"the store {self.root} has {what}; this program knows format {FORMAT}"
        return ConfigError(message, hint="upgrade: pip install -U datastore-sdk; nothing was changed")

    def _absent(self) -> NotFound | IntegrityError:
        if self.backup.exists() and not self.config.exists():
            message = f"the copy of a store in {self.root} was not finished"
            return IntegrityError(message, hint="run the same `datastore backup` or `datastore restore-backup` again")
        remains = self._remains()
        if remains and not self.config.exists():  # in this order: somebody may be creating the store right now
            message = f"the store {self.root} has lost its config.json; it has {', '.join(remains)}"
            return IntegrityError(message, hint="run `datastore repair`; nothing was changed")
        return NotFound(
            f"no store at {self.root}", hint="ds.create_repo(name) makes one, or set DATASTORE_STORE to its folder"
        )

    def create(self) -> None:
        """Make a store here, or finish what an interrupted creation began. Harmless where one exists."""
        with disk_errors(self.root):
            if self.config.exists():
                return
            require_local(self.root)
            self._refuse_foreign_folder()
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
