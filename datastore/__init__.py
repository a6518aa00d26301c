"""Versioned datasets behind one fsspec namespace, `ds://`.

    import datastore as ds

    repo = ds.create_repo("garments")
    frame.to_parquet(repo.branch("main") / "train.parquet")
    repo.branch("main").commit("First rows")

Everything here is loaded when it is first used: `import datastore` itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datastore.api import (
        cache,
        clone,
        create_repo,
        delete_repo,
        diff,
        download,
        filesystem,
        mount,
        mounts,
        pin,
        pinned,
        repo,
        repos,
        resolve,
        resolving,
        stream,
        sync,
        unpin,
        upload,
        url,
    )
    from datastore.engines import arrow, hf, scan, sql, storage_options
    from datastore.errors import (
        AlreadyExists,
        ConfigError,
        Conflict,
        DatastoreError,
        Diverged,
        Erased,
        Forbidden,
        HeadMoved,
        IntegrityError,
        InvalidURL,
        MergeConflict,
        NotCached,
        NotFound,
        NothingToCommit,
        SecurityError,
        TooLarge,
        Unavailable,
        UncommittedChanges,
        UnsupportedOperation,
        UnsupportedType,
        UntrustedConfig,
        ValidationError,
    )
    from datastore.experiments import Experiment
    from datastore.history import Commit, Diff, Log
    from datastore.mounted import Mount
    from datastore.pushing import Exchange
    from datastore.repository import Branch, Repo
    from datastore.streaming.stream import Stream
    from datastore.tables import TableDiff
    from datastore.transactions import Transaction
    from datastore.transfers.plans import Plan
    from datastore.urls import DatasetURL
    from datastore.values import Change, KeyConflict, ObjectInfo

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "Branch",
    "Change",
    "Commit",
    "ConfigError",
    "Conflict",
    "DatasetURL",
    "DatastoreError",
    "Diff",
    "Diverged",
    "Erased",
    "Exchange",
    "Experiment",
    "Forbidden",
    "HeadMoved",
    "IntegrityError",
    "InvalidURL",
    "KeyConflict",
    "Log",
    "MergeConflict",
    "Mount",
    "NotCached",
    "NotFound",
    "NothingToCommit",
    "ObjectInfo",
    "Plan",
    "Repo",
    "SecurityError",
    "Stream",
    "TableDiff",
    "TooLarge",
    "Transaction",
    "Unavailable",
    "UncommittedChanges",
    "UnsupportedOperation",
    "UnsupportedType",
    "UntrustedConfig",
    "ValidationError",
    "arrow",
    "cache",
    "clone",
    "create_repo",
    "delete_repo",
    "diff",
    "download",
    "filesystem",
    "hf",
    "mount",
    "mounts",
    "pin",
    "pinned",
    "repo",
    "repos",
    "resolve",
    "resolving",
    "scan",
    "sql",
    "storage_options",
    "stream",
    "sync",
    "unpin",
    "upload",
    "url",
]

_HOMES = {
    "datastore.api": (
        "cache",
        "clone",
        "create_repo",
        "delete_repo",
        "diff",
        "download",
        "filesystem",
        "mount",
        "mounts",
        "pin",
        "pinned",
        "repo",
        "repos",
        "resolve",
        "resolving",
        "stream",
        "sync",
        "unpin",
        "upload",
        "url",
    ),
    "datastore.engines": ("arrow", "hf", "scan", "sql", "storage_options"),
    "datastore.experiments": ("Experiment",),
    "datastore.history": ("Commit", "Diff", "Log"),
    "datastore.mounted": ("Mount",),
    "datastore.pushing": ("Exchange",),
    "datastore.repository": ("Branch", "Repo"),
    "datastore.streaming.stream": ("Stream",),
    "datastore.tables": ("TableDiff",),
    "datastore.transactions": ("Transaction",),
    "datastore.transfers.plans": ("Plan",),
    "datastore.urls": ("DatasetURL",),
    "datastore.values": ("Change", "KeyConflict", "ObjectInfo"),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'datastore' has no attribute {name!r}")
    found = getattr(import_module(_WHERE.get(name, "datastore.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
