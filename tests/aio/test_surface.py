"""Both surfaces have the same names with the same parameters, and what asks a store is awaited."""

import inspect
import subprocess
import sys
from contextlib import AbstractAsyncContextManager, AbstractContextManager

import pytest

import datastore as ds
from datastore import aio, api, engines
from datastore.aio.twin import Twin
from datastore.caching import Cache
from datastore.provider import Provider
from datastore.streaming.stream import Stream
from tools import twins

PAIRS = {
    "Branch": (ds.Branch, aio.Branch),
    "Cache": (Cache, aio.Cache),
    "Experiment": (ds.Experiment, aio.Experiment),
    "Objects": (Provider, aio.Objects),
    "Repo": (ds.Repo, aio.Repo),
    "Stream": (Stream, aio.Stream),
    "Transaction": (ds.Transaction, aio.Transaction),
}
BLOCKS = {"Objects.read", "resolving"}  # `async with`
STEPS = {"Objects.list", "Stream.worker"}  # `async for`


def public(cls):
    return {name for name in vars(cls) if not name.startswith("_")}


def parameters(function):
    found = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in found if one.name != "self"]


def test_the_committed_modules_are_those_that_the_tool_writes():
    stale = [path.name for path, text in twins.modules().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python -m tools.twins"


def test_all_functions_have_a_twin_of_the_same_parameters():
    assert {*api.__all__, *engines.__all__} <= set(aio.__all__)
    for name in (*api.__all__, *engines.__all__):
        if name == "cache":
            continue
        there, here = getattr(ds, name), getattr(aio, name)
        assert (name, parameters(here)) == (name, parameters(there))
        awaited = name not in {"filesystem", "mount", "repo", "resolving", "url"}
        assert (name, inspect.iscoroutinefunction(here)) == (name, awaited)


def test_what_is_public_can_be_imported_and_is_listed_once():
    assert len(set(aio.__all__)) == len(aio.__all__)
    assert [name for name in aio.__all__ if not hasattr(aio, name)] == []


@pytest.mark.parametrize("name", PAIRS)
def test_all_verbs_have_a_twin_of_the_same_parameters(name):
    there, here = PAIRS[name]
    left_out = {one.partition(".")[2] for one in twins.LEFT_OUT if one.startswith(f"{name}.")}
    assert public(there) - left_out == public(here) - set(twins.ATTRIBUTES.get(name, ()))
    for verb in public(there) - left_out:
        full, one, other = f"{name}.{verb}", getattr(there, verb), vars(here)[verb]
        free = full in twins.FREE
        if isinstance(one, property):
            assert (full, isinstance(other, property)) == (full, free)
        else:
            assert (full, parameters(other)) == (full, parameters(one))
        assert (full, inspect.iscoroutinefunction(other)) == (full, not free and full not in BLOCKS | STEPS)


def test_attributes_and_blocks_have_twins_too(place):
    repo = ds.create_repo("garments")
    made = {
        "Repo": repo,
        "Branch": repo.branch("main"),
        "Experiment": repo.experiment("x"),
        "Transaction": repo.transaction(message="x"),
    }
    for name, handle in made.items():
        attributes = {attribute for attribute in vars(handle) if not attribute.startswith("_")}
        assert (name, attributes) == (name, set(twins.ATTRIBUTES[name]))
        twin = getattr(aio, name)(handle)
        for attribute in attributes:
            value = getattr(twin, attribute)
            assert (value.sync if isinstance(value, Twin) else value) == getattr(handle, attribute)
        block = isinstance(handle, AbstractContextManager)
        assert (name, isinstance(twin, AbstractAsyncContextManager)) == (name, block)
        assert not isinstance(twin, AbstractContextManager)


def test_every_name_in_the_tables_of_the_tool_is_one_that_there_is():
    known = {f"{name}.{verb}" for name, (there, _) in PAIRS.items() for verb in vars(there)} | {
        *api.__all__,
        *engines.__all__,
    }
    assert {*twins.FREE, *twins.SAME, *twins.LEFT_OUT} - known == set()


def test_handles_compare_hash_show_and_pickle_as_their_twins(place):
    import pickle

    ds.create_repo("garments")
    repo, other = aio.repo("garments"), aio.Repo(ds.repo("garments"))
    assert repo == other
    assert repo.branch("main") == pickle.loads(pickle.dumps(other.branch("main")))
    assert repo.branch("main") != repo.branch("exp")
    assert repo != ds.repo("garments")
    assert len({repo, other, repo.branch("main"), other.branch("main")}) == 2
    assert (repr(repo), repr(repo.branch("main"))) == ("aio.Repo('garments')", "aio.Branch('garments', 'main')")
    assert "garments" in repo._repr_html_()
    assert repo.experiment("x")._repr_html_() is None
    assert repo.branch("main") / "a.csv" == "ds://garments@main/a.csv"
    assert repo.url("a.csv", ref=repo.branch("main")) == "ds://garments@main/a.csv"


def test_the_import_starts_no_thread_and_loads_nothing_heavy():
    program = (
        "import sys, threading; from datastore import aio; aio.url('ds://a/b');"
        "print(threading.active_count(), *(m for m in ('pandas', 'pyarrow', 'pycurl', 'botocore') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
