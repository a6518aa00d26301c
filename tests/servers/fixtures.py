"""Real servers for tests: started when the first test asks, shared by all, ended with the session.

The root conftest.py registers this as a plugin. A test that asks for a server gets the marker `servers`, so that
`pytest -m "not servers"` needs no Go; one that asks by `request.getfixturevalue` has to be marked by hand.
"""

import os

import pytest

from datastore.errors import NotFound
from datastore.testing import servers
from datastore.testing.servers import building

_FIXTURES = frozenset({"versitygw", "versitygw_tls", "minio", "lakefs", "lakefs_local", "toxiproxy", "built_servers"})


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


@pytest.fixture(scope="session")
def built_servers(request):
    """Builds servers by name, which is told past pytest's capturing: it takes minutes. Skips where there is no Go."""
    capturing = request.config.pluginmanager.getplugin("capturemanager")

    def built(*names: building.Name) -> None:
        try:
            for name in names:
                if not building.is_built(name):
                    with capturing.global_and_fixture_disabled():
                        building.build(name)
        except NotFound as error:
            if os.environ.get("CI"):  # there a server that is missing is a failure
                raise
            pytest.skip(f"{error}; {error.hint}")

    return built


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory, built_servers):
    built_servers("versitygw")
    with servers.start_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_tls(tmp_path_factory, built_servers):
    built_servers("versitygw")
    with servers.start_versitygw(tmp_path_factory.mktemp("versitygw_tls"), tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def minio(tmp_path_factory, built_servers):
    built_servers("minio")
    with servers.start_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def lakefs(tmp_path_factory, built_servers):
    built_servers("versitygw", "lakefs")
    with servers.start_lakefs(tmp_path_factory.mktemp("lakefs")) as server:
        yield server


@pytest.fixture(scope="session")
def lakefs_local(tmp_path_factory, built_servers):
    built_servers("lakefs")
    with servers.start_lakefs(tmp_path_factory.mktemp("lakefs_local"), local=True) as server:
        yield server


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory, built_servers):
    built_servers("toxiproxy")
    with servers.start_toxiproxy(tmp_path_factory.mktemp("toxiproxy")) as server:
        yield server
