"""The index's tables: what each holds, and who may rebuild it from what."""

__all__ = ["ADDED_COLUMNS", "APPLICATION_ID", "INDEXES", "SCHEMA", "SCHEMA_VERSION"]

APPLICATION_ID = 0x64737431  # "dst1"
SCHEMA_VERSION = 2

SCHEMA = """
-- One row. `seq` numbers staged rows, `token` hands out staging areas, `epoch` counts changes of refs.
CREATE TABLE IF NOT EXISTS store (
    one INTEGER PRIMARY KEY CHECK (one = 1), store_id TEXT NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0, token INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS repos (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, default_branch TEXT NOT NULL
);
-- With which other repo it exchanges commits: a ds:// URL.
CREATE TABLE IF NOT EXISTS remotes (
    repo INTEGER PRIMARY KEY REFERENCES repos (id) ON DELETE CASCADE, url TEXT NOT NULL
);
-- `token` names the branch's staging area. `gen` moves whenever the head moves or a staged row goes away, so that a
-- commit that was prepared from an older state cannot land.
CREATE TABLE IF NOT EXISTS branches (
    repo INTEGER NOT NULL REFERENCES repos (id), name TEXT NOT NULL, head TEXT NOT NULL, token INTEGER NOT NULL UNIQUE,
    gen INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0, protected INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repo, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deleted_branches (
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL REFERENCES repos (id), name TEXT NOT NULL, head TEXT NOT NULL,
    token INTEGER NOT NULL UNIQUE, deleted_us INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS tags (
    repo INTEGER NOT NULL REFERENCES repos (id), name TEXT NOT NULL, head TEXT NOT NULL, PRIMARY KEY (repo, name)
) WITHOUT ROWID;
-- An index of the files in commits/; `generation` is 1 + the largest of the parents'.
CREATE TABLE IF NOT EXISTS commits (
    repo INTEGER NOT NULL REFERENCES repos (id), id TEXT NOT NULL, tree TEXT NOT NULL, generation INTEGER NOT NULL,
    op_id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (repo, id), UNIQUE (repo, op_id)
) WITHOUT ROWID;
-- Uncommitted changes; a NULL digest says that the key is deleted.
CREATE TABLE IF NOT EXISTS staging (
    token INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, digest BLOB, size INTEGER NOT NULL DEFAULT 0,
    modified INTEGER NOT NULL DEFAULT 0, content_type TEXT NOT NULL DEFAULT '', metadata TEXT NOT NULL DEFAULT '',
    kind INTEGER NOT NULL DEFAULT 0, extra TEXT NOT NULL DEFAULT '', PRIMARY KEY (token, key)
) WITHOUT ROWID;
-- Where content is: a file in blobs/, or from `offset` on in a pack. A put skips writing if the row is durable, or of
-- this `boot` of the machine: what an earlier one wrote without a sync may be torn. What is in a pack is durable.
CREATE TABLE IF NOT EXISTS blobs (
    digest BLOB PRIMARY KEY, size INTEGER NOT NULL, durable INTEGER NOT NULL, boot TEXT NOT NULL,
    pack INTEGER, offset INTEGER
) WITHOUT ROWID;
-- Files in packs/. The rows of a pack come with it, in one transaction, and can only become fewer after that.
CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL
);
-- Work under way, see `intents.py`: of which process, since when. `collects`: 1 looks for what is needed, 2 removes.
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, boot TEXT NOT NULL, space TEXT NOT NULL, pid INTEGER NOT NULL, ticks INTEGER NOT NULL,
    began_us INTEGER NOT NULL, collects INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- What that work is about to need: ids of 32 bytes each, joined. Numbers only grow, so that what is new is known.
CREATE TABLE IF NOT EXISTS intents (
    number INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, repo INTEGER NOT NULL DEFAULT 0, ids BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS intents_by_session ON intents (session);
"""

ADDED_COLUMNS = {2: ("blobs.pack INTEGER", "blobs.offset INTEGER")}
"""By the version that brought them: columns of tables that were there before."""

INDEXES = """
CREATE INDEX IF NOT EXISTS blobs_by_pack ON blobs (pack, offset, size) WHERE pack IS NOT NULL;
"""
