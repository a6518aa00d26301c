"""Commits: their bytes, which are a format, and ancestry beside a brute-force model."""

import hashlib

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from datastore.embedded.commits import Commit, decode, encode, history, merge_base
from datastore.embedded.trees import EMPTY
from datastore.errors import IntegrityError
from datastore.values import CommitInfo

FIXED = CommitInfo(
    id="",
    parents=("1" * 64, "2" * 64),
    author="Ada <ada@example.com>",
    time_us=1_795_235_623_742_509,
    message='Add "Größe" \u2028 and 😀\n\nSecond line\t/',
    metadata={"run": "12", "ä": "ö", "a": ""},
    tree=EMPTY,
)


def test_the_bytes_of_a_commit_are_format_1():
    """If this fails, no store that was written before can be read: make a new format instead."""
    commit_id, data = encode(FIXED, op_id="0123456789abcdef")
    assert data.decode() == (
        '{"author":"Ada <ada@example.com>","format":1,"message":"Add \\"Größe\\" \u2028 and 😀\\n\\nSecond line\\t/",'
        '"metadata":{"a":"","run":"12","ä":"ö"},"op_id":"0123456789abcdef",'
        f'"parents":["{"1" * 64}","{"2" * 64}"],"time_us":1795235623742509,'
        '"tree":"e62f15fc512426446d07ff8d98b88452da8de0f7b05f9fbc9c6b9cb909367505"}'
    )
    assert commit_id == "10f5b5095beeb62999eb2abefa5d10f9b9a5b84f67f022191936341f4e416bc1"


def test_the_id_is_the_hash_of_the_bytes():
    commit_id, data = encode(FIXED, op_id="x")
    assert commit_id == hashlib.sha256(data).hexdigest()
    assert decode(commit_id, data) == msgspec.structs.replace(FIXED, id=commit_id)


@pytest.mark.parametrize(
    "change",
    [
        {"message": "other"},
        {"author": "other"},
        {"time_us": 5},
        {"metadata": {}},
        {"parents": ()},
        {"parents": FIXED.parents[::-1]},
        {"tree": "0" * 64},
    ],
)
def test_every_field_is_part_of_the_id(change):
    assert encode(msgspec.structs.replace(FIXED, **change), op_id="x")[0] != encode(FIXED, op_id="x")[0]
    assert encode(FIXED, op_id="y")[0] != encode(FIXED, op_id="x")[0]


def test_the_order_of_metadata_is_not():
    backwards = msgspec.structs.replace(FIXED, metadata=dict(reversed(FIXED.metadata.items())))
    assert encode(backwards, op_id="x") == encode(FIXED, op_id="x")


def test_damaged_bytes_are_an_integrity_error():
    commit_id, data = encode(FIXED, op_id="x")
    for damaged in (data[:-1], data.replace(b"Ada", b"Eve"), b"", bytes(len(data))):
        with pytest.raises(IntegrityError, match=commit_id[:8]):
            decode(commit_id, damaged)
    for other in (b"{}", b"[]", b"not json", data.replace(b'"format":1', b'"format":"x"')):
        with pytest.raises(IntegrityError, match="cannot be read"):
            decode(hashlib.sha256(other).hexdigest(), other)


# ancestry


@st.composite
def graphs(draw):
    """Random histories: each commit has parents among the four before it; times may tie or run backwards."""
    size = draw(st.integers(1, 14))
    commits = {}
    for number in range(size):
        name = f"{number:02}"
        recent = [f"{other:02}" for other in range(max(0, number - 4), number)]
        parents = tuple(draw(st.lists(st.sampled_from(recent), max_size=3, unique=True))) if recent else ()
        generation = 1 + max((commits[parent].generation for parent in parents), default=0)
        info = CommitInfo(
            id=name, parents=parents, author="", time_us=draw(st.integers(0, 3)), message="", metadata={}, tree=""
        )
        commits[name] = Commit(info, generation)
    return commits


def ancestors(commits, start):
    found, pending = set(), [start]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += commits[name].info.parents
    return found


@given(graphs(), st.data())
def test_the_merge_base_is_a_best_common_ancestor(commits, data):
    a, b = (data.draw(st.sampled_from(sorted(commits))) for _ in range(2))
    found = merge_base(a, b, load=commits.__getitem__)
    common = ancestors(commits, a) & ancestors(commits, b)
    assert found == merge_base(b, a, load=commits.__getitem__)
    if not common:
        assert found is None
        return
    assert found in common
    assert not any(found in ancestors(commits, other) for other in common - {found})
    if a in common:
        assert found == a


@given(graphs(), st.data())
def test_history_is_complete_and_has_children_first(commits, data):
    start = data.draw(st.sampled_from(sorted(commits)))
    found = [info.id for info in history(start, load=commits.__getitem__)]
    assert found[0] == start
    assert sorted(found) == sorted(ancestors(commits, start))
    place = {name: at for at, name in enumerate(found)}
    assert all(place[name] < place[parent] for name in found for parent in commits[name].info.parents)


@given(graphs(), st.data())
def test_history_along_first_parents(commits, data):
    name = data.draw(st.sampled_from(sorted(commits)))
    found = [info.id for info in history(name, load=commits.__getitem__, first_parent=True)]
    for at, child in enumerate(found):
        assert commits[child].info.parents[:1] == tuple(found[at + 1 : at + 2])


def test_history_is_lazy():
    names = [f"{number:04}" for number in range(1000)]
    loaded = []

    def load(name):
        loaded.append(name)
        at = int(name)
        parents = (names[at - 1],) if at else ()
        return Commit(
            CommitInfo(id=name, parents=parents, author="", time_us=at, message="", metadata={}, tree=""), at + 1
        )

    steps = history("0999", load=load)
    assert [next(steps).id for _ in range(3)] == ["0999", "0998", "0997"]
    assert len(set(loaded)) < 6
