"""What holds for every test: docstring examples keep away from whoever runs them, a crash names its thread."""

import faulthandler
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.servers.fixtures"]

TESTS = Path(__file__).parent / "tests"
LAST = ("tests/filesystem/test_reading_counts.py", "tests/crossing/", "tests/engines/", "tests/handoff/")
"""Tests that start native threads of other libraries, which stay: no test that forks comes after them."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a crash show the thread that crashed, and not two hundred others before it."""
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # pytest has put a file in the place of stderr
        faulthandler.enable(os.dup(2), all_threads=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the order as it is, but for `LAST`."""
    items.sort(key=lambda item: item.nodeid.startswith(LAST))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what is no test: `--doctest-modules` would import the scripts that tests start as child processes."""
    helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if helper and TESTS in collection_path.parents else None


@pytest.fixture(autouse=True, scope="session")
def _small_ballast() -> None:
    """Thousands of stores are made here, and 8 MiB for each would fill the disk."""
    from datastore.embedded.ballast import Ballast

    Ballast.size = 64 << 10


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_works() -> Iterator[None]:
    """Some tests press it. Where a shell starts pytest in the background, the process was told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _own_place_for_docstring_examples(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    from datastore.namespace import reset_current

    folder: Path = request.getfixturevalue("tmp_path")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    monkeypatch.setenv("DATASTORE_CACHE", str(folder / "cache"))
    reset_current()
    yield
    reset_current()
