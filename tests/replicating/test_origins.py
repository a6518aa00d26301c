"""Which commits of two repos are the same one."""

import pytest
from msgspec import structs

from datastore.replicating.origins import ONTO, ORIGIN, origin_of, recorded, without_record
from datastore.values import CommitInfo

MADE = CommitInfo(id="b2", parents=("b1",), author="Ada", time_us=1, message="m", metadata={"lr": "1"}, tree="t")


def test_a_commit_is_its_own_origin_where_it_was_made():
    assert origin_of(MADE) == "b2"


def test_a_replica_is_its_original_however_many_repos_it_went_through():
    replica = structs.replace(MADE, metadata=recorded(MADE.metadata, origin="a2", onto="b1"))
    assert origin_of(replica) == "a2"
    again = structs.replace(
        MADE, id="c2", parents=("c1",), metadata=recorded(replica.metadata, origin=origin_of(replica), onto="c1")
    )
    assert origin_of(again) == "a2"
    assert without_record(again.metadata) == {"lr": "1"}


@pytest.mark.parametrize("parents", [("b9",), (), ("b9", "b1")])
def test_a_record_counts_only_on_the_parent_that_it_was_written_for(parents):
    replica = structs.replace(MADE, parents=parents, metadata=recorded({}, origin="a2", onto="b1"))
    assert origin_of(replica) == "b2"


def test_half_a_record_is_none():
    assert origin_of(structs.replace(MADE, metadata={ORIGIN: "a2"})) == "b2"
    assert origin_of(structs.replace(MADE, metadata={ONTO: "b1"})) == "b2"
