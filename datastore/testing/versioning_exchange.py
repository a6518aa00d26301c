"""The exam's part on what push and pull are built of: commits that are made anew, and how a branch comes to them."""

import pytest

from datastore.bridging import SupportsFastForward, SupportsRemote
from datastore.errors import Diverged, Forbidden, HeadMoved, NotFound, UncommittedChanges
from datastore.provider import SupportsVersioning
from datastore.testing.versioning_tools import contents, request, save, staged, write

__all__ = ["ExchangeExam"]

_LONG_AGO = 1_600_000_000_123_456


class ExchangeExam:
    """`time_us`, cherry-picks that say everything by themselves, `fast_forward`, `remote`."""

    def test_a_commit_keeps_the_time_that_it_was_made_first(self, versioned: SupportsVersioning) -> None:
        write(versioned.at("main"), {"a": b"1"})
        made = versioned.commit("main", request(time_us=_LONG_AGO))
        assert abs(made.time_us - _LONG_AGO) < 1_000_000  # not every store has more than seconds
        assert versioned.commit_of("main") == made
        later = save(versioned, "main", {"b": b"1"})
        assert later.time_us > made.time_us + 1_000_000

    def test_a_commit_has_the_metadata_that_were_asked_for_and_no_others(self, versioned: SupportsVersioning) -> None:
        asked = {"datastore_origin": "0" * 64, "datastore_onto": versioned.commit_of("main").id, "lr": "3e-4"}
        assert dict(save(versioned, "main", {"a": b"1"}, metadata=asked).metadata) == asked

    def test_a_cherry_pick_takes_all_but_the_changes_from_the_request(self, versioned: SupportsVersioning) -> None:
        head = versioned.commit_of("main")
        versioned.create_branch("work", head.id, hidden=True)
        made = save(versioned, "work", {"a": b"1"}, message="There", author="Bo", metadata={"there": "1"})
        asked = request("Here", author="Cleo", metadata={"here": "1"}, time_us=_LONG_AGO, allow_empty=True)
        landed = versioned.cherry_pick("main", made.id, asked)
        assert (landed.parents, landed.message, landed.author) == ((head.id,), "Here", "Cleo")
        assert dict(landed.metadata) == {"here": "1"}
        assert abs(landed.time_us - _LONG_AGO) < 1_000_000
        assert versioned.commit_of("main") == landed
        assert contents(versioned.at("main")) == {"a": b"1"}

    def test_an_empty_commit_can_be_picked_if_that_is_wanted(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1"})
        versioned.create_branch("work", head.id, hidden=True)
        made = versioned.commit("work", request("Nothing", allow_empty=True))
        landed = versioned.cherry_pick("main", made.id, request("Nothing", allow_empty=True))
        assert landed.parents == (head.id,)
        assert list(versioned.diff(head.id, landed.id)) == []

    def test_a_branch_moves_forward_to_a_commit_that_is_there(self, versioned: SupportsVersioning) -> None:
        repo = _forwarding(versioned)
        head = save(versioned, "main", {"a": b"1"})
        versioned.create_branch("work", "main", hidden=True)
        save(versioned, "work", {"b": b"1"})
        made = save(versioned, "work", {"a": None})
        for _ in range(2):  # where it is there already, nothing is to do
            assert repo.fast_forward("main", made.id, head=head.id).head == made.id
            assert versioned.commit_of("main") == made
        assert contents(versioned.at("main")) == {"b": b"1"}

    def test_a_branch_does_not_move_over_what_others_did(self, versioned: SupportsVersioning) -> None:
        repo = _forwarding(versioned)
        head = save(versioned, "main", {"a": b"1"})
        versioned.create_branch("work", "main", hidden=True)
        made = save(versioned, "work", {"b": b"1"})
        write(versioned.at("main"), {"mine": b"1"})
        with pytest.raises(UncommittedChanges, match="mine"):
            repo.fast_forward("main", made.id, head=head.id)
        assert staged(versioned) == {"mine": "added"}
        theirs = versioned.commit("main", request())
        with pytest.raises(HeadMoved, match=theirs.id[:8]):
            repo.fast_forward("main", made.id, head=head.id)
        with pytest.raises(Diverged):
            repo.fast_forward("main", made.id, head=theirs.id)
        with pytest.raises(NotFound):
            repo.fast_forward("main", "f" * 64, head=theirs.id)
        versioned.create_branch("next", "work", hidden=True)
        following = save(versioned, "next", {"c": b"1"})
        versioned.protect("work")
        with pytest.raises(Forbidden, match="protected"):
            repo.fast_forward("work", following.id, head=made.id)
        assert versioned.commit_of("work") == made

    def test_a_remote_is_remembered(self, versioned: SupportsVersioning) -> None:
        if not isinstance(versioned, SupportsRemote):
            pytest.skip(f"{type(versioned).__name__} is no SupportsRemote")
        assert versioned.remote() is None
        for url in ("ds://team/garments", "ds://lakefs/garments", None):
            versioned.set_remote(url)
            assert versioned.remote() == url


def _forwarding(versioned: SupportsVersioning) -> SupportsFastForward:
    if not isinstance(versioned, SupportsFastForward):
        pytest.skip(f"{type(versioned).__name__} is no SupportsFastForward")
    return versioned
