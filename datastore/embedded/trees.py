"""The operations over committed trees.

A tree is named by the id of its root node (the format: `datastore.embedded.nodes`) and never changes: `Trees.apply`
writes the nodes that differ, gives back a new root, and shares the rest. Equal entries have equal roots, so two trees
are compared by skipping every subtree that both have.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from typing import Final, NamedTuple, Protocol, TypeAlias

from datastore.embedded.nodes import (
    LIMITS,
    DamagedNode,
    Entry,
    Limits,
    Node,
    Rows,
    check_row,
    compress,
    decode,
    decompress,
    encode,
    id_of,
    node_end,
    totals,
)
from datastore.errors import TooLarge, ValidationError
from datastore.listing import after_prefix

__all__ = ["EMPTY", "NodeStore", "Trees"]

Row: TypeAlias = tuple[str, Entry]
Edits: TypeAlias = Mapping[str, Entry | None]
Change: TypeAlias = tuple[str, Entry | None, Entry | None]
Span: TypeAlias = tuple[Rows, int, int]
# A node that a diff has not loaded yet: digest, parent (the root has none), row in the parent. Plain: there are many.
Branch: TypeAlias = tuple[bytes, Node | None, int]

EMPTY: Final = id_of(encode(0, Rows()))
"""The root of the tree without entries. Its node need not be in any store."""

_BATCH: Final = 1024  # rows between two looks at where a node ends, while building
_BLOCK: Final = 64  # rows made into entries at once by a scan
_WIDTH: Final = 256  # rows compared at once by a diff


class NodeStore(Protocol):
    """Where nodes are kept, by id. Several threads may call it at once."""

    def get(self, node_id: str) -> bytes:
        """Return the stored bytes, or raise `KeyError`."""
        ...

    def put_new(self, node_id: str, data: bytes) -> None:
        """Store the bytes; do nothing if the id is there already."""
        ...


class Trees:
    """Reads and writes trees in a store of nodes.

    Holds nothing but a cache of decoded nodes (about 0.2 MB each), so threads may share it. Reads check the checksum
    and the structure of what they load and raise `IntegrityError` for a node that is missing or damaged; `verify`
    checks the hashes too.

    Args:
        store: Where the nodes are.
        cache_nodes: Decoded nodes to keep.
        limits: Where nodes end; a part of the format that only tests change.
    """

    empty: Final = EMPTY

    def __init__(self, store: NodeStore, *, cache_nodes: int = 512, limits: Limits = LIMITS) -> None:
        self._store = store
        self._limits = limits
        self._load = lru_cache(maxsize=cache_nodes)(partial(_load, store))

    def get(self, root: str, key: str) -> Entry | None:
        """Return the entry of one key, None if it has none."""
        node = self._load(root)
        while node.level:
            at, _ = node.rows.find(key)
            if at == len(node.rows):
                return None
            node = self._child(node, at)
        at, found = node.rows.find(key)
        return node.rows.entry(at) if found else None

    def scan(self, root: str, *, prefix: str = "", start_after: str = "", start: str = "") -> Iterator[Row]:
        """Yield (key, entry) in the order of the keys' UTF-8 bytes.

        Args:
            root: The tree.
            prefix: Only keys that start so.
            start_after: Only keys above this one.
            start: Only this key and those above it.
        """
        first = max(prefix, start, start_after)
        for rows, low, high in self._spans(self._load(root), first, after_prefix(prefix)):
            skip = first == start_after and rows.keys[low] == first
            for at in range(low + skip, high, _BLOCK):  # a reader who seeks on leaves the rest of a leaf alone
                yield from rows.entries(at, min(at + _BLOCK, high))

    def count(self, root: str) -> tuple[int, int]:
        """Return (number of entries, bytes of their contents), from the root node alone."""
        node = self._load(root)
        return node.count, node.size

    def apply(self, root: str, edits: Edits, *, into: NodeStore | None = None) -> str:
        """Set (or, with None, remove) the entries of these keys; return the root of the result.

        Writes the nodes that are new, children first: none if nothing changes, about one per level for a change. The
        work grows with the edits, not with the tree. Reads none of what it writes.

        Args:
            root: The tree.
            edits: By key.
            into: Where new nodes go, if not to the store that is read from.

        Raises:
            ValidationError: The format cannot hold an entry; nothing was written.
            IntegrityError: A node of the old tree that is needed is missing or damaged.
        """
        for key, entry in edits.items():
            if entry is not None:
                check_row(key, entry)
        top = self._load(root)
        writer = _Writer(into or self._store)
        for level in range(top.level + 1):
            edits = self._rewrite(top, level, edits, writer)
            if not edits:
                return root
        # The old level of the root is all new now: what was set there is complete.
        nodes = [(key, entry) for key in sorted(edits) if (entry := edits[key]) is not None]
        return self._collapsed(self._root(iter(nodes), top.level, writer), writer)

    def build(self, rows: Iterable[Row]) -> str:
        """Return the root of a new tree of these rows; as `apply` on the empty tree, in bounded memory.

        Args:
            rows: (key, entry), strictly ascending by key.

        Raises:
            ValidationError: The rows are not in order, or the format cannot hold one. Nodes of the rows before it
                may have been written; nothing refers to them.
        """
        writer = _Writer(self._store)
        return self._root(self._nodes(_checked(rows), 0, writer), 0, writer)

    def diff(self, a: str, b: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield (key, entry in a, entry in b) where whole rows differ, time included, sorted; None stands for no entry.

        Skips what both trees share, so the work grows with the changes. Streams: holds the list of differing leaves
        and one leaf of each side. Use `Entry.same_content` to leave out rows that only have another time.
        """
        first, end = prefix, after_prefix(prefix)
        if a == b:
            return
        sides: list[list[Branch]] = [[(bytes.fromhex(root), None, 0)] for root in (a, b)]
        levels = [self._load(root).level for root in (a, b)]
        while any(levels):
            deepest = max(levels)
            for side in (0, 1):
                if levels[side] == deepest:
                    sides[side] = [part for branch in sides[side] for part in self._branches(branch, first, end)]
                    levels[side] -= 1
            shared = {digest for digest, _, _ in sides[0]} & {digest for digest, _, _ in sides[1]}
            sides = [[branch for branch in branches if branch[0] not in shared] for branches in sides]
        spans = [chain.from_iterable(self._spans(self._grown(leaf), first, end) for leaf in leaves) for leaves in sides]
        yield from _changes(_Cursor(spans[0]), _Cursor(spans[1]))

    def node_ids(self, root: str) -> Iterator[str]:
        """Yield the id of every node, parents before their children. Loads the index nodes only."""
        node = self._load(root)
        if node.rows.keys:
            yield root
        if node.level:
            yield from self._ids_below(node)

    def verify(self, root: str, *, seen: set[str]) -> Iterator[tuple[str, str]]:
        """Yield (node id, problem) for each node that is missing, damaged, or not where it belongs.

        Reads from the store, not the cache; checks hashes, canonical form, order, levels, totals, and where nodes end.
        Goes on after a problem, though not below a node that cannot be read.

        Args:
            root: The tree.
            seen: Ids that need no check, nor what is below them; grows by those of this tree.
        """
        pending = [_Place(root, None, 0, "", last=True)] if root != EMPTY else []
        here: set[str] = set()
        while pending:
            place = pending.pop()
            if place.node_id in here:
                yield place.node_id, "it is in one tree twice"
            here.add(place.node_id)
            if place.node_id in seen:
                continue
            seen.add(place.node_id)
            try:
                node = _load_hashed(self._store, place.node_id)
            except DamagedNode as error:
                yield place.node_id, error.problem
                continue
            yield from ((place.node_id, problem) for problem in place.problems(node, self._limits))
            if node.level:
                pending += reversed(place.below(node))

    def _child(self, parent: Node, at: int) -> Node:
        child = self._load(parent.rows.digest(at).hex())
        if problem := _misfit(parent, at, child):
            raise DamagedNode(parent.rows.digest(at).hex(), problem)
        return child

    def _spans(self, node: Node, first: str, end: str | None) -> Iterator[Span]:
        """Yield the parts of leaves, never empty, that hold the keys from `first` to before `end`."""
        keys = node.rows.keys
        low = bisect_left(keys, first)
        high = len(keys) if end is None else bisect_left(keys, end)
        if node.level:
            for at in range(low, min(high + 1, len(keys))):
                yield from self._spans(self._child(node, at), first, end)
        elif low < high:
            yield node.rows, low, high

    def _branches(self, branch: Branch, first: str, end: str | None) -> list[Branch]:
        """The children of a node that may hold keys from `first` to before `end`."""
        node = self._grown(branch)
        keys, digests = node.rows.keys, bytes(node.rows.digests)
        low = bisect_left(keys, first)
        high = len(keys) if end is None else min(bisect_left(keys, end) + 1, len(keys))
        return [(digests[32 * at : 32 * at + 32], node, at) for at in range(low, high)]

    def _grown(self, branch: Branch) -> Node:
        digest, parent, at = branch
        return self._load(digest.hex()) if parent is None else self._child(parent, at)

    def _ids_below(self, node: Node) -> Iterator[str]:
        for at in range(len(node.rows)):
            yield node.rows.digest(at).hex()
            if node.level > 1:
                yield from self._ids_below(self._child(node, at))

    def _rewrite(self, top: Node, level: int, edits: Edits, writer: "_Writer") -> dict[str, Entry | None]:
        """Carry edits out on one level of a tree; return the edits that this means for the level above.

        A node that changes is read into open rows with its edits. When these end just where the node did, the old and
        the new level are in step again: on to the next edit. Else the next node is taken too; the last one is closed
        as it is.
        """
        above: dict[str, Entry | None] = {}
        rows = _OpenRows(level, self._limits, writer)
        walk = _Walk(self._child, top, level)
        keys = sorted(edits)
        at = 0
        while rows or at < len(keys):
            old = walk.following() if rows else walk.seek(keys[at])
            stop = len(keys) if walk.at_end else bisect_right(keys, old.rows.last_key, at)
            mine = keys[at:stop]
            at = stop
            if rows or _changes_anything(old.rows, mine, edits):
                if old.rows.keys:
                    above[old.rows.last_key] = None
                above.update(rows.merge(old.rows, mine, edits))
                if walk.at_end:
                    above.update(rows.cut(final=True))
        return above

    def _nodes(self, rows: Iterator[Row], level: int, writer: "_Writer") -> Iterator[Row]:
        """Write all nodes of one level; yield the rows that the level above has for them."""
        open_rows = _OpenRows(level, self._limits, writer)
        while batch := list(islice(rows, _BATCH)):
            open_rows.rows.append_all(batch)
            yield from open_rows.cut()
        yield from open_rows.cut(final=True)

    def _root(self, nodes: Iterator[Row], level: int, writer: "_Writer") -> str:
        """Build levels on top of all the nodes of one, up to the first level that has a single node."""
        first, second = next(nodes, None), next(nodes, None)
        if first is None:
            return EMPTY
        if second is None:
            return first[1].digest.hex()
        return self._root(self._nodes(chain((first, second), nodes), level + 1, writer), level + 1, writer)

    def _collapsed(self, root: str, writer: "_Writer") -> str:
        """Descend from a root while it has a single child. Such a new one was never written."""
        while True:
            if root in writer.held:
                root = writer.held[root].only_child
            elif root in writer.written or root == EMPTY:
                return root
            else:
                node = self._load(root)
                if not node.level or len(node.rows) > 1:
                    return root
                root = node.rows.digest(0).hex()


def _load(store: NodeStore, node_id: str) -> Node:
    if node_id == EMPTY:
        return Node(level=0, rows=Rows(), count=0, size=0)
    return decode(node_id, _read(store, node_id))


def _load_hashed(store: NodeStore, node_id: str) -> Node:
    raw = _read(store, node_id)
    if id_of(raw) != node_id:
        raise DamagedNode(node_id, "its bytes do not match its id")
    node = decode(node_id, raw)
    if encode(node.level, node.rows) != raw:
        raise DamagedNode(node_id, "it is not in canonical form")
    return node


def _read(store: NodeStore, node_id: str) -> bytes:
    try:
        data = store.get(node_id)
    except KeyError:
        raise DamagedNode(node_id, "it is missing") from None
    return decompress(node_id, data)


def _misfit(parent: Node, at: int, child: Node) -> str | None:
    """Say what of a node differs from what its parent's row says."""
    rows = parent.rows
    if child.level != parent.level - 1:
        return f"it has level {child.level}, below a node of level {parent.level}"
    if child.rows.last_key != rows.keys[at]:
        return f"its greatest key is {child.rows.last_key!r}, its parent says {rows.keys[at]!r}"
    if at and child.rows.keys[0] <= rows.keys[at - 1]:
        return f"its keys are not above those of the node before it ({rows.keys[at - 1]!r})"
    if child.size != rows.sizes[at] or child.count != rows.numbers[at]:
        return "its totals are not what its parent says"
    return None


def _checked(rows: Iterable[Row]) -> Iterator[Row]:
    before = ""
    for row in rows:
        check_row(*row)
        if row[0] <= before:
            raise ValidationError(
                f"rows out of order: key {row[0]!r} after {before!r}", hint="sort them; each key once"
            )
        before = row[0]
        yield row


def _changes_anything(rows: Rows, keys: Sequence[str], edits: Edits) -> bool:
    at = 0
    for key in keys:
        at, found = rows.find(key, start=at)
        if (rows.entry(at) if found else None) != edits[key]:
            return True
    return False


class _HeldNode(NamedTuple):
    only_child: str
    data: bytes


class _Writer:
    """Puts new nodes into a store, children first.

    An index node with a single row is held back until a larger one is written: that one shows that the node has
    siblings. Held nodes that are left over are what collapses at the root, and are never written.
    """

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self.held: dict[str, _HeldNode] = {}
        self.written: set[str] = set()

    def write(self, level: int, rows: Rows) -> Row:
        """Write (or hold) a node; return its row for the level above."""
        count, size = totals(level, rows)
        if size >= 2**63:
            raise TooLarge(f"a tree with {size} bytes of content is over the limit of 2**63 - 1")
        raw = encode(level, rows)
        node_id = id_of(raw)
        if level and len(rows) == 1:
            self.held[node_id] = _HeldNode(rows.digest(0).hex(), compress(raw))
        else:
            for held_id, held in self.held.items():
                self._put(held_id, held.data)
            self.held.clear()
            self._put(node_id, compress(raw))
        return rows.last_key, Entry(bytes.fromhex(node_id), size, count, "")

    def _put(self, node_id: str, data: bytes) -> None:
        self._store.put_new(node_id, data)
        self.written.add(node_id)


class _OpenRows:
    """Collects the rows of one level until they fill nodes."""

    def __init__(self, level: int, limits: Limits, writer: _Writer) -> None:
        self.rows = Rows()
        self._level = level
        self._limits = limits
        self._writer = writer
        self._scanned = 0

    def __bool__(self) -> bool:
        return bool(self.rows.keys)

    def merge(self, old: Rows, keys: Sequence[str], edits: Edits) -> list[Row]:
        """Add the rows of an old node with its edits, as slices between the edits; write what fills a node."""
        written: list[Row] = []
        at = 0
        for key in keys:
            place, found = old.find(key, start=at)
            if place > at:
                self.rows.splice(old, at, place)
            at = place + found
            entry = edits[key]
            if entry is not None:
                self.rows.append(key, entry)
            if len(self.rows) >= 2 * self._limits.max_rows:
                written += self.cut()
        self.rows.splice(old, at, len(old))
        return written + self.cut()

    def cut(self, *, final: bool = False) -> list[Row]:
        """Write each node that the rows fill (`final`: and one of the rest); return their rows for the level above."""
        written: list[Row] = []
        start, rows = 0, self.rows
        while (end := self._end(start)) is not None or (final and start < len(rows)):
            part = Rows()
            part.splice(rows, start, end := end or len(rows))
            written.append(self._writer.write(self._level, part))
            start = end
        rows.drop(start)
        self._scanned = len(rows)
        return written

    def _end(self, start: int) -> int | None:
        return node_end(self.rows, start, level=self._level, limits=self._limits, scanned=self._scanned)


class _Walk:
    """Visits nodes of one level of a tree from left to right."""

    def __init__(self, child: Callable[[Node, int], Node], top: Node, level: int) -> None:
        self._child = child
        self._top = top
        self._level = level
        self._path: list[tuple[Node, int]] = []

    @property
    def at_end(self) -> bool:
        """Whether the current node is the last of its level."""
        return all(at + 1 == len(node.rows) for node, at in self._path)

    def seek(self, key: str) -> Node:
        """Go to the node that holds the key, or would."""
        self._path = []
        node = self._top
        while node.level > self._level:
            at, _ = node.rows.find(key)
            node = self._enter(node, min(at, len(node.rows) - 1))
        return node

    def following(self) -> Node:
        """Go to the next node; there is one unless `at_end`."""
        node, at = self._path.pop()
        while at + 1 == len(node.rows):
            node, at = self._path.pop()
        node = self._enter(node, at + 1)
        while node.level > self._level:
            node = self._enter(node, 0)
        return node

    def _enter(self, node: Node, at: int) -> Node:
        self._path.append((node, at))
        return self._child(node, at)


class _Cursor:
    """A place in the rows of a side of a diff."""

    __slots__ = ("_spans", "at", "end", "rows")

    def __init__(self, spans: Iterator[Span]) -> None:
        self._spans = spans
        self.rows: Rows
        self.at: int
        self.end: int
        self.rows, self.at, self.end = next(spans, (Rows(), 0, 0))

    @property
    def key(self) -> str:
        return self.rows.keys[self.at]

    @property
    def entry(self) -> Entry:
        return self.rows.entry(self.at)

    def move(self, count: int) -> None:
        """Go on, not beyond the end of this span."""
        self.at += count
        if self.at == self.end:
            self.rows, self.at, self.end = next(self._spans, (Rows(), 0, 0))

    def rest(self) -> Iterator[Row]:
        """Yield all rows from here on."""
        for rows, low, high in chain([(self.rows, self.at, self.end)], self._spans):
            yield from rows.entries(low, high)


def _changes(a: _Cursor, b: _Cursor) -> Iterator[Change]:
    """Yield the rows that differ. Equal stretches are passed in slices, which shrink where they differ."""
    width = _WIDTH
    while a.rows and b.rows:
        count = min(width, a.end - a.at, b.end - b.at)
        if a.rows.same(a.at, b.rows, b.at, count):
            a.move(count)
            b.move(count)
            width = min(4 * width, _WIDTH)
        elif count > 1:
            width = max(count // 4, 1)
        else:
            key = min(a.key, b.key)
            in_a, in_b = a.key == key, b.key == key
            yield key, a.entry if in_a else None, b.entry if in_b else None
            a.move(in_a)
            b.move(in_b)
    yield from ((key, entry, None) for key, entry in a.rest())
    yield from ((key, None, entry) for key, entry in b.rest())


class _Place(NamedTuple):
    """Where a node to verify hangs: below a parent (the root has none), its keys above `after`."""

    node_id: str
    parent: Node | None
    at: int
    after: str
    last: bool

    def below(self, node: Node) -> "list[_Place]":
        """The places of the node's children."""
        ends = len(node.rows) - 1
        return [
            _Place(
                node.rows.digest(at).hex(),
                node,
                at,
                node.rows.keys[at - 1] if at else self.after,
                last=self.last and at == ends,
            )
            for at in range(len(node.rows))
        ]

    def problems(self, node: Node, limits: Limits) -> Iterator[str]:
        """Yield what of a node does not belong in this place."""
        misfit = _misfit(self.parent, self.at, node) if self.parent is not None else None
        if misfit:
            yield misfit
        elif self.after and node.rows.keys[0] <= self.after:
            yield f"its keys are not above those of the node before it ({self.after!r})"
        if self.parent is None and node.level and len(node.rows) == 1:
            yield "it is a root with a single child"
        end = node_end(node.rows, 0, level=node.level, limits=limits)
        if end != len(node.rows) and not (self.last and end is None):
            yield "it does not end where the format says"
