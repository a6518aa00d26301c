"""What work costs follows what changed, not what exists: counted in tree nodes that are read and written.

Sizes beyond 100,000 entries are tried where `DATASTORE_TEST_SCALE` names the largest, such as 10_000_000.
"""

import os
import random
import uuid
from functools import cache

import pytest

from datastore.embedded.advance import Plan, advance
from datastore.embedded.merge import three_way
from datastore.embedded.nodes import Entry
from datastore.embedded.objects import Drafts
from datastore.embedded.trees import Trees
from datastore.values import CommitRequest

LARGEST = int(os.environ.get("DATASTORE_TEST_SCALE", "100_000"))
SIZES = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size <= max(LARGEST, 100_000)]
CHANGES = 10


class Counted:
    """Nodes in memory, and how many were asked for and put since `reset`."""

    def __init__(self):
        self.nodes = {}
        self.reset()

    def reset(self):
        self.reads = self.writes = 0

    def get(self, node_id):
        self.reads += 1
        return self.nodes[node_id]

    def put_new(self, node_id, data):
        self.writes += 1
        self.nodes[node_id] = data


def key_of(number):
    return f"images/train/class_{number // 1000:05}/img_{number:08}.jpg"


def rows(size):
    return ((key_of(number), Entry(number.to_bytes(32, "big"), number, 1, "image/jpeg")) for number in range(size))


@cache
def built(size):
    store = Counted()
    return store, Trees(store).build(rows(size))


def some_changes(size, seed):
    """4 updates, 4 inserts and 2 deletes, scattered."""
    numbers = random.Random(seed).sample(range(size), CHANGES)
    new = Entry(seed.to_bytes(32, "big"), 7, 2, "image/jpeg")
    names = [key_of(number) for number in numbers]
    return dict.fromkeys(names[:4], new) | {f"{name}.new": new for name in names[4:8]} | dict.fromkeys(names[8:])


def depth_of(store, root):
    return Trees(store)._load(root).level + 1


def counted(store, work):
    """Return (reads, writes) of some work done with nothing decoded before, and what it gave."""
    store.reset()
    result = work(Trees(store))
    return store.reads, store.writes, result


@pytest.fixture(params=SIZES, ids=lambda size: f"{size:,}")
def tree(request):
    store, root = built(request.param)
    return store, root, request.param, depth_of(store, root)


def test_a_commit_reads_and_writes_a_node_per_level_and_change(tree):
    store, root, size, depth = tree
    reads, writes, _ = counted(store, lambda trees: trees.apply(root, some_changes(size, 1)))
    # An insert or a delete moves the end of a leaf now and then, which takes in the next one.
    assert reads <= depth * CHANGES + 4
    assert writes <= depth * CHANGES + 4


def test_a_diff_reads_a_node_of_each_side_per_level_and_change(tree):
    store, root, size, depth = tree
    edits = some_changes(size, 2)
    other = Trees(store).apply(root, edits)
    reads, writes, found = counted(store, lambda trees: list(trees.diff(root, other)))
    assert [key for key, _, _ in found] == sorted(edits)
    assert reads <= 2 * (depth * CHANGES + 4)
    assert writes == 0


def test_a_merge_reads_what_its_two_diffs_and_its_commit_read(tree):
    store, root, size, depth = tree
    sides = [Trees(store).apply(root, some_changes(size, seed)) for seed in (3, 4)]

    def merge(trees):
        merged = three_way(trees.diff(root, sides[0]), trees.diff(root, sides[1]))
        return trees.apply(sides[1], merged.edits)

    reads, writes, result = counted(store, merge)
    assert reads <= 5 * (depth * CHANGES + 4)
    assert writes <= depth * CHANGES + 4
    assert result == Trees(store).apply(root, some_changes(size, 3) | some_changes(size, 4))


def test_a_lookup_reads_a_node_per_level(tree):
    store, root, size, depth = tree
    reads, _, found = counted(store, lambda trees: trees.get(root, key_of(size // 2)))
    assert found.size == size // 2
    assert reads == depth


def test_a_prefix_listing_reads_the_leaves_that_it_lies_in(tree):
    store, root, size, depth = tree
    folder = key_of(size // 2).rpartition("/")[0] + "/"
    reads, _, found = counted(store, lambda trees: list(trees.scan(root, prefix=folder)))
    assert len(found) == 1000
    assert reads <= depth + 2


def test_totals_read_the_root_alone(tree):
    store, root, size, _ = tree
    assert counted(store, lambda trees: trees.count(root)) == (1, 0, (size, size * (size - 1) // 2))


# ------------------------------------------------------------------------------------------------ through the provider


@pytest.fixture
def repo(opened):
    """A repo with a commit of 20,000 entries, which remembers few nodes, and which counts those that it reads."""
    made = opened().create_repo("big")
    request = CommitRequest(message="all of it", author="me", op_id=uuid.uuid4().hex)

    def plan(now, drafts):
        return Plan(Trees(drafts).build(rows(20_000)), (now.branch.head,))

    advance(made.store, "big", "main", request, plan)
    made.create_branch("b", "main")
    return made


@pytest.fixture
def reads(repo, monkeypatch):
    asked = []
    read = repo.store.node_files.get

    def get(node_id):
        asked.append(node_id)
        return read(node_id)

    monkeypatch.setattr(repo.store.node_files, "get", get)
    repo.store.trees = Trees(Drafts(repo.store.node_files), cache_nodes=4)
    return asked


def leaves(repo):
    return len(list(repo.store.trees.node_ids(repo.commit_of("main").tree))) - 1


def test_what_asks_for_names_reads_no_node(repo, reads):
    for number in range(20):
        repo.create_branch(f"other{number}", "main")
    repo.create_tag("v1", "main")
    assert (len(repo.branches()), len(repo.tags()), len(list(repo.log("b")))) == (22, 1, 2)
    assert not repo.has_uncommitted("b")
    assert list(repo.uncommitted("b")) == []
    assert list(repo.diff("main", "b")) == []
    assert repo.merge_base("main", "b") == repo.commit_of("main")
    assert reads == []


def test_a_put_reads_one_path_to_a_leaf(repo, reads):
    repo.at("b").put(key_of(10_000), b"new")
    assert len(reads) == 2
    assert repo.has_uncommitted("b")
    assert len(reads) == 2


def test_many_keys_in_any_order_read_each_leaf_once(repo, reads):
    names = [key_of(number) for number in range(0, 20_000, 20)]
    random.Random(1).shuffle(names)
    expected = leaves(repo) + 1
    reads.clear()
    infos = repo.at("b").put_many([(name, name.encode(), None) for name in names])
    assert [info.key for info in infos] == names
    assert len(reads) <= expected
    reads.clear()
    assert len(list(repo.uncommitted("b"))) == len(names)
    assert len(reads) <= expected


def test_a_listing_by_folder_reads_each_leaf_once_whatever_is_staged(repo, reads):
    repo.at("b").put_many([(f"images/train/class_{number:05}/a", b"", None) for number in range(30)])
    expected = leaves(repo) + 1
    reads.clear()
    found = [prefix for page in repo.at("b").list("images/train/", delimiter="/") for prefix in page.prefixes]
    assert found == [f"images/train/class_{number:05}/" for number in range(30)]
    assert len(reads) <= expected


def test_the_first_page_reads_the_leaves_that_it_is_from(repo, reads):
    assert len(next(repo.at("b").list()).objects) == 1000
    assert len(reads) <= 4


def test_putting_again_looks_at_a_pack_once_however_many_blobs_it_holds(repo, monkeypatch):
    objects = [(f"small/{number:04}", b"%d" % number, None) for number in range(500)]
    repo.at("b").put_many(objects)
    looked = []
    path_of = repo.store.packs.path
    monkeypatch.setattr(repo.store.packs, "path", lambda name: looked.append(name) or path_of(name))
    repo.at("b").put_many(objects)
    # Once for each group of bodies that is read at a time, and in the transaction.
    assert 0 < len(looked) <= 500 / 32 + 3
