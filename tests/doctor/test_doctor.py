import pytest

import datastore as ds
from datastore.calls import HttpResponse
from datastore.doctor import examine, examine_machine, examine_mount
from datastore.doctor.sharing import _preflight
from datastore.errors import Forbidden
from datastore.namespace import current, reset_current
from datastore.probing import Finding
from datastore.providers.memory import MemoryProvider
from tests.places import isolate


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("DATASTORE_STORE", str(tmp_path / "store"))
    reset_current()
    yield tmp_path
    reset_current()


def states(findings):
    return {finding.check: finding.state for finding in findings}


@pytest.fixture
def patient(monkeypatch):
    """Examine a provider of the test's own, as if a mount had it."""

    def examine(provider, **options):
        monkeypatch.setattr("datastore.doctor._root", lambda _: (provider, ""))
        return list(examine_mount("patient", **options))

    return examine


def test_a_machine_is_described_without_secrets(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pa55word@proxy.example:3128")
    findings = list(examine_machine())
    told = " ".join(finding.detail for finding in findings)
    assert {"versions", "libcurl", "certificates", "configuration", "store", "proxies"} <= states(findings).keys()
    assert "failed" not in states(findings).values()
    assert "proxy.example" in told
    assert "pa55word" not in told
    assert str(tmp_path / "store") in told


def test_a_certificate_file_that_is_not_there_is_found(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    found = next(finding for finding in examine_machine() if finding.check == "certificates")
    assert (found.state, "/nowhere/ca.pem" in found.detail) == ("failed", True)
    assert found.hint


@pytest.mark.parametrize("provider", ["memory", "local"])
def test_a_good_mount_is_fine_and_left_as_it_was(provider, tmp_path):
    options = {"path": str(tmp_path / "data")} if provider == "local" else {"name": str(tmp_path)}
    (tmp_path / "data").mkdir()
    ds.mount("m", provider=provider, **options)
    findings = list(examine_mount("m"))
    assert [finding for finding in findings if finding.state in {"failed", "warning"}] == []
    found = states(findings)
    assert found["write and read"] == found["delete"] == found["order"] == found["clean-up"] == "ok"
    assert found["match"] == ("ok" if provider == "memory" else "skipped")
    assert list(current().root("m").list()) == []
    assert list((tmp_path / "data").iterdir()) == []


def test_who_may_only_look_writes_nothing(patient):
    provider = MemoryProvider()
    provider.put("a", b"1")
    assert "write and read" not in states(patient(provider, write=False))
    assert [info.key for page in provider.list() for info in page.objects] == ["a"]


class Careless(MemoryProvider):
    """Says that it keeps conditions, and does not; sorts as UTF-16 does; forgets metadata."""

    def put(self, key, body, *, mode="overwrite", attributes=None):
        return super().put(key, body)

    def list(self, prefix="", *, delimiter=None, start_after=None):
        for page in super().list(prefix, delimiter=delimiter, start_after=start_after):
            yield type(page)(sorted(page.objects, key=lambda info: info.key.encode("utf-16-be")), page.prefixes)


def test_a_service_that_does_less_than_it_says_is_found_out(patient):
    provider = Careless()
    findings = patient(provider)
    found = states(findings)
    assert found["create"] == found["match"] == found["order"] == found["attributes"] == "failed"
    assert found["write and read"] == found["copy"] == "ok"
    assert all(finding.hint for finding in findings if finding.check in {"create", "match", "order"})
    assert list(provider.list()) == []


class Closed(MemoryProvider):
    """Lets nobody write, and tells nobody what is missing."""

    def put(self, key, body, *, mode="overwrite", attributes=None):
        raise Forbidden("access denied", hint="ask the owner of the bucket")

    def head(self, key):
        raise Forbidden(f"cannot head object {key!r}: access denied")


def test_what_is_forbidden_is_told_with_the_cure(patient):
    found = {finding.check: finding for finding in patient(Closed())}
    assert found["missing object"].state == "warning"
    assert "s3:ListBucket" in found["missing object"].hint
    assert found["write and read"] == Finding(
        check="write and read", state="failed", detail="access denied", hint="ask the owner of the bucket"
    )
    assert found["clean-up"].state == "ok"


class Probed(MemoryProvider):
    """A provider that knows more of itself."""

    swept = None

    def probe(self, folder, *, write):
        yield Finding(check="who", detail=f"{'writes' if write else 'looks'} under {folder[:18]}")
        raise Forbidden("no more")

    def sweep(self, folder):
        self.swept = folder


def test_a_provider_adds_what_only_it_can_see(patient):
    provider = Probed()
    found = {finding.check: finding for finding in patient(provider)}
    assert found["who"].detail == "writes under .datastore-doctor-"
    assert found["service"] == Finding(check="service", state="failed", detail="no more", hint=None)
    assert found["write and read"].state == "ok"
    assert provider.swept.startswith(".datastore-doctor-")


def test_what_is_interrupted_is_swept(patient):
    class Interrupted(Probed):
        def copy(self, source, target, *, mode="overwrite"):
            raise KeyboardInterrupt

    provider = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        patient(provider)
    assert list(provider.list()) == []
    assert provider.swept


def test_a_store_of_repos_is_looked_at_without_a_trace():
    repo = ds.create_repo("garments")
    repo.branch("main").objects.put("a.csv", b"1")
    before = repo.branch("main").uncommitted()
    found = {finding.check: finding for finding in examine_mount("garments")}
    assert found["branches"].detail == "1 branches: main"
    assert found["listing"].detail == "1 names: a.csv"
    assert "failed" not in {finding.state for finding in found.values()}
    assert list(repo.branch("main").uncommitted()) == list(before)


def test_mounts_that_cannot_be_opened_are_told(tmp_path, monkeypatch):
    (tmp_path / "datastore.yaml").write_text("mounts: {bad: {provider: local, pth: /x}, good: {provider: memory}}\n")
    monkeypatch.setenv("DATASTORE_CONFIG", str(tmp_path / "datastore.yaml"))
    reset_current()
    found = {finding.check: finding for finding in examine()}
    assert found["mount good"].state == "ok"
    assert found["mount bad"].state == "failed"
    assert "pth" in found["mount bad"].detail
    assert [finding.state for finding in examine_mount("bad")] == ["failed"]
    assert [finding.check for finding in examine_mount("nowhere")] == ["open"]


@pytest.mark.parametrize(
    ("status", "headers", "state"),
    [
        (204, {"allow-origin": "https://a.example", "allow-methods": "GET, PUT"}, "ok"),
        (200, {"allow-origin": "*", "allow-methods": "*"}, "ok"),
        (200, {"allow-origin": "https://b.example", "allow-methods": "PUT"}, "failed"),
        (200, {"allow-origin": "*", "allow-methods": "GET"}, "failed"),
        (403, {"allow-origin": "*", "allow-methods": "PUT"}, "failed"),
        (200, {}, "failed"),
    ],
)
def test_a_preflight_is_judged_as_a_browser_does(status, headers, state):
    named = {f"access-control-{name}": text for name, text in headers.items()}
    found = _preflight("PUT", "https://a.example", HttpResponse(status=status, headers=named))
    assert found.state == state
    assert (found.hint is None) == (state == "ok")
