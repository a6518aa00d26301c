"""Many local files at once, all of them or none."""

import os
from pathlib import Path

import pytest

from datastore.errors import Forbidden, NotFound, Unavailable
from datastore.http.observe import observed
from datastore.providers.lakefs import importing
from datastore.providers.lakefs.repo import LakeFSRepo
from datastore.testing.versioning_tools import contents, request, save, staged
from tests.providers.lakefs.versioned import Flaky, fresh


@pytest.fixture(params=["lakefs", "lakefs_local"])
def repo(request):
    return fresh(request.getfixturevalue(request.param))


pytestmark = pytest.mark.servers


def written(folder: Path, sizes):
    files = [(folder / f"{number}.bin", f"in/{number}.bin") for number in range(len(sizes))]
    for (path, _), size in zip(files, sizes, strict=True):
        path.write_bytes(os.urandom(size))
    return files


def test_files_of_all_sizes(repo, tmp_path):
    files = written(tmp_path, [0, 1, 10_000, (1 << 20) + 1, 9 << 20])
    infos = repo.at("main").import_files(files)
    assert [info.size for info in infos] == [0, 1, 10_000, (1 << 20) + 1, 9 << 20]
    assert contents(repo.at("main")) == {key: path.read_bytes() for path, key in files}
    assert [repo.at("main").head(info.key).identity for info in infos] == [info.identity for info in infos]
    repo.commit("main", request())
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


def test_it_costs_two_requests_for_each_file(repo, tmp_path):
    files = written(tmp_path, [100] * 30)
    main = repo.at("main")
    main.capabilities  # noqa: B018 - asks once whether it is a branch
    repo.default_branch  # noqa: B018 - asks once for the repo
    with observed() as seen:
        main.import_files(files)
    assert len(seen) == 2 * 30 + 2  # and a hidden branch for the time being


def test_a_file_that_goes_away_meanwhile_leaves_nothing(repo, tmp_path, monkeypatch):
    save(repo, "main", {"in/0.bin": b"old"})
    files = written(tmp_path, [10, 10, 10])
    real = importing.in_memory

    def in_memory(body):
        files[2][0].unlink(missing_ok=True)
        return real(body)

    monkeypatch.setattr(importing, "in_memory", in_memory)
    with pytest.raises(FileNotFoundError):
        repo.at("main").import_files(files)
    assert staged(repo) == {}
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


def test_what_cannot_be_written_is_refused_at_once(repo, tmp_path):
    save(repo, "main", {"a": b"a"})
    repo.create_tag("v1", "main")
    files = written(tmp_path, [10, 10])
    with pytest.raises(Forbidden):
        repo.at("v1").import_files(files)
    with pytest.raises(NotFound, match="mian"):
        repo.at("mian").import_files(files)
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


def test_a_hidden_branch_that_cannot_be_deleted_does_no_harm(lakefs, tmp_path):
    flaky = Flaky(lakefs)
    repo = LakeFSRepo(flaky, lakefs.new_repo())
    files = written(tmp_path, [10, 10])
    flaky.drop += ["delete branch"]
    repo.at("main").import_files(files)
    assert flaky.drop == []
    assert contents(repo.at("main")) == {key: path.read_bytes() for path, key in files}
    flaky.drop += ["create branch"]
    with pytest.raises(Unavailable):
        repo.at("main").import_files(written(tmp_path, [5, 5]))
    assert {info.size for page in repo.at("main").list() for info in page.objects} == {10}
