"""Servers and engines for the tests of the HTTP engine."""

import ssl

import pytest
import trustme

from datastore.http.engine import Engine
from datastore.http.retry import Policy
from tests.http.wire import Wire

QUICK = Policy(base=0.001, cap=0.01)


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "aws_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve():
    """Starts servers that answer as a function says."""
    servers = []

    def start(script, **options):
        servers.append(Wire(script, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def engine():
    """An engine of its own that waits only a moment before it tries again."""
    made = Engine(policy=QUICK)
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority():
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def tls(authority):
    """What a server with a certificate of that authority needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, monkeypatch, tmp_path):
    """Makes SSL_CERT_FILE name that authority; the file."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path
