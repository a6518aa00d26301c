"""What a notebook shows of a handle: one plain table, nothing that could run, and nothing fetched for it."""

import builtins
import io
import os
import sqlite3
from html.parser import HTMLParser

import pytest

import datastore as ds
from datastore.repository import Branch, Repo
from tests.api.helpers import write

HOSTILE = '<script>alert(1)</script> & "quotes" \'><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def handles(repo, main):
    write(main, {f"{HOSTILE}.csv".replace("/", "|"): "1", "a.csv": "2"})
    commit = main.commit(HOSTILE, metadata={HOSTILE: HOSTILE})
    write(main, {"c.csv": "1"})
    return {
        "repo": repo,
        "branch": main,
        "commit": commit,
        "log": repo.log(),
        "diff": commit.diff(),
        "uncommitted": main.uncommitted(),
    }


@pytest.fixture
def no_io(monkeypatch):
    """Everything that could reach a disk or a database fails."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a repr must not do any I/O")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "stat"), (os, "scandir")):
            patch.setattr(module, name, refuse)
        yield


@pytest.mark.parametrize("name", ["repo", "branch", "commit", "log", "diff", "uncommitted"])
def test_a_handle_shows_as_one_plain_table(handles, name):
    handle = handles[name]
    html = Tags(handle._repr_html_())
    assert html.tags.count("table") == 1
    assert not {"script", "style", "img", "a", "iframe", "svg", "link"}.intersection(html.tags)
    assert not [attribute for attribute in html.attributes if attribute.startswith("on")]
    text = repr(handle)
    assert text
    assert "<table" not in text
    assert "object at 0x" not in text


@pytest.mark.parametrize("name", ["commit", "log", "diff"])
def test_what_others_wrote_is_shown_as_text(handles, name):
    html = handles[name]._repr_html_()
    assert "<script" not in html
    assert "<script>alert(1)" in Tags(html).text


def test_they_say_what_they_are(handles):
    commit = handles["commit"]
    shown = {name: Tags(handle._repr_html_()).text for name, handle in handles.items()}
    assert "garments" in shown["repo"]
    assert "garments" in shown["branch"]
    assert "main" in shown["branch"]
    assert commit.id[:8] in shown["commit"]
    assert "First rows" in shown["log"]
    assert "+1 added" in shown["diff"]
    assert "c.csv" in shown["uncommitted"]
    assert repr(handles["repo"]) == "Repo('garments')"
    assert repr(handles["branch"]) == "Branch('garments', 'main')"
    assert commit.id[:8] in repr(commit)


def test_handles_in_a_list_stay_short(repo, main):
    repo.create_branch("exp")
    assert repr(repo.branches()) == "[Branch('garments', 'exp'), Branch('garments', 'main')]"
    assert repr(ds.repos()) == "[Repo('garments')]"


@pytest.mark.parametrize("name", ["repo", "branch", "commit", "log", "diff", "uncommitted"])
def test_showing_asks_nobody(handles, name, request):
    handle = handles[name]
    request.getfixturevalue("no_io")
    assert handle._repr_html_().count("<table") == 1
    assert repr(handle)


def test_a_repo_that_does_not_exist_shows_too(no_io):
    repo = Repo("nowhere")
    branch = Branch(repo, "main")
    assert repr(repo) == "Repo('nowhere')"
    assert repr(branch) == "Branch('nowhere', 'main')"
    assert "nowhere" in repo._repr_html_()
    assert "nowhere" in branch._repr_html_()
    assert repr(repo.experiment("exp")) == "Experiment('nowhere', 'exp')"
    assert "nowhere" in repr(repo.transaction("main", message="x"))


def test_the_name_of_a_handle_is_escaped(no_io):
    for handle in (Repo(HOSTILE), Branch(Repo(HOSTILE), HOSTILE)):
        html = handle._repr_html_()
        assert Tags(html).tags.count("table") == 1
        assert "<script" not in html
        assert "<img" not in html
