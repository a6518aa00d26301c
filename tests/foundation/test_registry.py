"""Finding and opening providers, and what a mistake in their options says."""

import pickle
import sys
import traceback

import pytest

from datastore.errors import ConfigError
from datastore.registry import check_options, open_provider, schemes
from datastore.secret import Secret

PLANTED = "pl4nted-s3cr3t"

THIRD_PARTY = """
from typing import Literal
from pathlib import Path
from msgspec import Struct
from datastore.errors import ValidationError
from datastore.providers.memory import MemoryProvider
from datastore.secret import Secret

class Inner(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    depth: int = 0

class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    bucket: str
    token: Secret | None = None
    size: int = 1
    level: Literal["low", "high"] = "low"
    inner: Inner = Inner()
    path: Path | None = None
    anything: object = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValidationError("size must not be negative", hint="leave it out")

seen = []

def open_mount(options):
    seen.append(options)
    return MemoryProvider()
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """Install a package that brings providers, the way pip does."""
    name = "datastore_third_party"
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    points = {"vault": name, "broken": "not_installed_anywhere", "empty": "this"}
    lines = "\n".join(f"{scheme} = {module}" for scheme, module in points.items())
    (info / "entry_points.txt").write_text(f"[datastore.providers]\n{lines}\n")
    (tmp_path / f"{name}.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "this", sys.modules[__name__])
    yield name
    sys.modules.pop(name, None)


def fails(scheme, options):
    with pytest.raises(ConfigError) as caught:
        open_provider(scheme, options, where="mount 'm' (/x/datastore.yaml)")
    error = caught.value
    assert "mount 'm' (/x/datastore.yaml)" in str(error)
    assert PLANTED not in "".join(traceback.format_exception(error))
    assert PLANTED not in repr(error.__context__)
    assert PLANTED.encode() not in pickle.dumps(error)
    return f"{error} | {error.hint}"


def test_each_provider_of_this_version_opens_by_its_scheme(tmp_path):
    assert open_provider("memory", {}, where="m").capabilities.writable
    assert open_provider("local", {"path": str(tmp_path)}, where="m").capabilities.local
    assert list(open_provider("embedded", {"path": str(tmp_path / "store")}, where="m").repos()) == []


def test_a_near_miss_of_a_scheme_is_pointed_out():
    assert "did you mean 'memory'?" in fails("memroy", {})
    assert "embedded, hetzner, lakefs, local, memory, minio" in fails("zzz", {})


@pytest.mark.parametrize("scheme", ["gcs", "azure", "supabase"])
def test_what_is_not_built_yet_is_said_plainly(scheme):
    told = fails(scheme, {})
    assert f"no provider {scheme!r} yet" in told
    assert "embedded, hetzner, lakefs, local" in told


def test_an_option_that_does_not_exist_names_the_nearest(third_party):
    told = fails("vault", {"bucket": "b", "tokn": Secret(PLANTED)})
    assert "option 'tokn'" in told
    assert "did you mean 'token'?" in told
    assert "did you mean 'ref'?" in fails("vault", {"bucket": "b", "reff": "main"})
    assert "option 'x'" in fails("memory", {"x": 1})


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({}, ["option 'bucket' is missing"]),
        ({"bucket": 3}, ["option 'bucket'", "expected `str`"]),
        ({"bucket": "b", "size": PLANTED}, ["option 'size'", "expected `int`"]),
        ({"bucket": "b", "level": PLANTED}, ["option 'level'", "not allowed"]),
        ({"bucket": "b", "inner": {"dept": 1}}, ["option 'inner.dept'", "not known"]),
        ({"bucket": "b", "inner": {"depth": PLANTED}}, ["option 'inner.depth'"]),
        ({"bucket": "b", "token": 5}, ["option 'token'", "expected"]),
        ({"bucket": "b", "size": -1}, ["size must not be negative", "leave it out"]),
        ({"bucket": Secret(PLANTED)}, ["option 'bucket'", "secret"]),
        ({"bucket": "b", "path": Secret(PLANTED)}, ["option 'path'", "secret"]),
    ],
)
def test_a_wrong_option_is_named_and_its_value_is_not_quoted(third_party, options, parts):
    told = fails("vault", options)
    for part in parts:
        assert part in told


def test_a_package_brings_a_provider_and_gets_its_options_typed(third_party):
    options = {"bucket": "b", "token": Secret(PLANTED), "inner": {"depth": 2}, "path": "/x", "anything": {"a": [1]}}
    assert open_provider("vault", options, where="m").capabilities.writable
    (seen,) = sys.modules[third_party].seen
    assert seen.token.reveal() == PLANTED
    assert (seen.inner.depth, str(seen.path), seen.anything) == (2, "/x", {"a": [1]})
    assert PLANTED not in repr(seen)
    assert "vault" in schemes()
    assert check_options("vault", {"bucket": "b", "token": "plain"}, where="m").token == Secret("plain")


def test_a_package_that_is_broken_says_so(third_party):
    assert "cannot be imported" in fails("broken", {})
    assert "incomplete" in fails("empty", {})


def test_a_package_cannot_take_the_place_of_a_provider_of_ours(third_party, tmp_path):
    (tmp_path / "third_party-1.0.dist-info" / "entry_points.txt").write_text(
        "[datastore.providers]\nmemory = nowhere\n"
    )
    assert open_provider("memory", {}, where="m").capabilities.writable
