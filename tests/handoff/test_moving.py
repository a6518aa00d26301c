"""Engines obey the rule about moving refs: a frozen process reads by the lock file, one of several ranks no branch."""

import pytest

import datastore as ds
from datastore.errors import ValidationError
from datastore.namespace import reset_current
from tests.handoff.reading import ENGINES, FRAME, same


@pytest.fixture
def frozen(main, monkeypatch):
    """Make what follows happen in a frozen process, on a branch that has moved since `sales/` was pinned."""
    FRAME[:10].to_parquet(main / "sales/t.parquet", index=False)
    FRAME[:10].to_parquet(main / "other/t.parquet", index=False)
    main.commit("Rows")
    ds.pin(main / "sales/", name="train")
    FRAME[:20].to_parquet(main / "sales/t.parquet", index=False)
    main.commit("More rows")
    monkeypatch.setenv("DATASTORE_FROZEN", "1")
    reset_current()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("frozen")
def test_a_frozen_process_reads_what_was_pinned_or_nothing(engine):
    same(ENGINES[engine]("ds://garments@main/sales/t.parquet"), FRAME[:10])
    with pytest.raises(ValidationError, match="frozen"):
        ENGINES[engine]("ds://garments@main/other/t.parquet")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_of_several_ranks_reads_no_branch(main, monkeypatch, engine):
    FRAME[:10].to_parquet(main / "t.parquet", index=False)
    commit = main.commit("Rows")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValidationError, match="each rank"):
        ENGINES[engine](main / "t.parquet")
    same(ENGINES[engine](f"ds://garments@{commit.id}/t.parquet"), FRAME[:10])
