"""A process that dies at any step of its work, one after the other: nothing to repair, nothing acknowledged is lost."""

import os
import signal

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.testing.store_children import Child, die_at
from datastore.testing.versioning_tools import commit, contents, keys, request, save, staged

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")


def work(store, say):
    """Everything that moves a ref or stages a row."""
    repo = store.repo("garments")
    repo.at("main").put("a.txt", b"new")
    say("put")
    repo.at("main").delete(["gone.txt"])
    say("delete")
    say("commit " + commit(repo, "main", "On main").id)
    say("branch " + repo.create_branch("exp", "main~1").head)
    say("commit-exp " + save(repo, "exp", {"b.txt": b"b"}).id)
    say("merge " + repo.merge("exp", "main", request("Merge")).id)
    say("tag " + repo.create_tag("v1", "main").commit)
    say("revert " + repo.revert("main", "v1", request("Undo")).id)
    say("close")


def judge(store, said):
    """See that the store holds what was acknowledged, and at most one step more."""
    repo = store.repo("garments")
    assert list(store.check()) == []
    ids = dict(line.split() for line in said if " " in line)
    done = [line.split()[0] for line in said]
    history = [info.id for info in repo.log("main")]
    assert all(ids[word] in history for word in ("commit", "merge", "revert") if word in ids)
    names = {branch.name: branch.head for branch in repo.branches()}
    assert ("branch" in done) <= ("exp" in names)
    assert ids.get("commit-exp", names.get("exp")) == names.get("exp")
    assert [tag.commit for tag in repo.tags()] in ([ids["tag"]] if "tag" in ids else [], [ids.get("merge")])
    if "delete" in done:
        assert "gone.txt" not in keys(repo.at("main"))
    if "put" in done:
        assert contents(repo.at("main"))["a.txt"] == b"new"
    if "commit" in done:
        assert contents(repo.at(ids["commit"])) == {"a.txt": b"new"}
        assert staged(repo) == {}
    if "merge" in done:
        assert contents(repo.at(ids["merge"])) == {"a.txt": b"new", "b.txt": b"b"}


@pytest.mark.slow
def test_death_at_every_step(tmp_path):
    step, deaths = 1, 0
    while True:
        store = EmbeddedStore(tmp_path / str(step))
        save(store.create_repo("garments"), "main", {"a.txt": b"old", "gone.txt": b"x"})
        store.close()

        def dies(say, store=store, step=step):
            die_at(step)
            work(store, say)

        said, status = Child(dies).lines()
        judge(store, said)
        save(store.repo("garments"), "main", {"after.txt": b"the store works on"})
        assert list(store.check(deep=False)) == []
        store.close()
        if status == 0:
            break
        assert status == -signal.SIGKILL, said
        deaths += 1
        step += 1
    assert deaths > 100
    assert said[-1] == "close"
