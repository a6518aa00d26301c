"""What the embedded store keeps of data that stays outside, without anything that knows mounts."""

import hashlib
import json

import pytest

from datastore.errors import ConfigError, Forbidden, IntegrityError, UnsupportedOperation, ValidationError
from datastore.providers.memory import MemoryProvider
from datastore.testing.versioning_tools import save
from datastore.values import Link, ObjectInfo, digest_of


def info(key="raw/a.csv", **fields):
    link = Link(url="ds://raw/a.csv", etag="e1", address="s3://acme/a.csv")
    given = {"size": 2, "modified_us": 1, "etag": "e1", "identity": "acme/a.csv#e1", "link": link, **fields}
    return ObjectInfo(key=key, content_type="text/csv", **given)


@pytest.fixture
def repo(opened):
    return opened().create_repo("garments")


def test_what_an_entry_records_is_in_the_format(repo):
    repo.at("main").link_outside([info()])
    save(repo, "main", {"b": b"1"})
    commit = repo.commit_of("main")
    entry = repo.store.trees.get(commit.tree, "raw/a.csv")
    assert entry.extra == (
        '{"address":"s3://acme/a.csv","etag":"e1","identity":"acme/a.csv#e1","url":"ds://raw/a.csv"}'
    )
    assert entry.digest == hashlib.sha256(entry.extra.encode()).digest()
    assert (entry.kind, entry.size, entry.content_type) == (2, 2, "text/csv")


def test_a_known_digest_is_the_entrys_own(repo):
    (made,) = repo.at("main").link_outside([info(digest=digest_of(b"id"))])
    assert (made.digest, made.etag) == (digest_of(b"id"), digest_of(b"id").removeprefix("sha256:"))
    assert (made.link, made.identity) == (info().link, "acme/a.csv#e1")
    unknown = repo.at("main").link_outside([info("other.csv")])[0]
    assert unknown.digest is None
    assert repo.at("main").head("other.csv") == unknown


def test_the_same_link_again_is_no_change(repo):
    repo.at("main").link_outside([info()])
    save(repo, "main", {})
    repo.at("main").link_outside([info()])
    assert list(repo.uncommitted("main")) == []
    repo.at("main").link_outside([info(link=Link(url="ds://raw/a.csv", etag="e2"))])
    assert [change.kind for change in repo.uncommitted("main")] == ["changed"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (info("a//b"), ValidationError),
        (info(link=None), ValidationError),
        (info(link=Link(url="", etag="1", address="s3://acme/a")), UnsupportedOperation),
        (info(metadata={"a": 1}), ValidationError),
    ],
)
def test_of_several_links_one_that_is_wrong_keeps_all_out(repo, wrong, error):
    with pytest.raises(error):
        repo.at("main").link_outside([info(), wrong])
    assert list(repo.uncommitted("main")) == []


def test_only_a_branch_takes_links(repo, opened):
    repo.create_tag("v1", "main")
    with pytest.raises(Forbidden):
        repo.at("v1").link_outside([info()])
    with pytest.raises(Forbidden):
        opened(read_only=True).repo("garments").at("main").link_outside([info()])


def test_links_are_opened_by_what_is_handed_in(opened, path):
    source = MemoryProvider()
    etag = source.put("a.csv", b"id").etag
    asked = []

    def opener(link, span):
        asked.append((link.url, link.etag))
        return source.read("a.csv", range=span, if_match=link.etag)

    store = opened()
    repo = store.create_repo("garments")
    repo.at("main").link_outside([info(link=Link(url="ds://raw/a.csv", etag=etag))])
    with pytest.raises(UnsupportedOperation, match="knows no mounts"):
        repo.at("main").read("raw/a.csv")
    store.follow_links(opener)
    with repo.at("main").read("raw/a.csv") as reader:
        assert (reader.info.key, reader.read()) == ("raw/a.csv", b"id")
    assert asked == [("ds://raw/a.csv", etag)]
    # Also one repo alone, and a handle that is opened later.
    other = opened(path)
    other.follow_links(opener)
    assert other.repo("garments").at("main").read("raw/a.csv").read() == b"id"
    one = opened(path).repo("garments")
    one.follow_links(opener)
    assert one.at("main").read("raw/a.csv").read() == b"id"


def test_a_source_of_another_size_is_not_read(repo):
    source = MemoryProvider()
    source.put("a.csv", b"longer")
    repo.follow_links(lambda link, span: source.read("a.csv", range=span))
    repo.at("main").link_outside([info()])
    with pytest.raises(IntegrityError, match="6 bytes instead of 2"):
        repo.at("main").read("raw/a.csv")


def test_other_errors_of_a_source_stay_what_they_are(repo):
    def opener(link, span):
        raise ConfigError("no mount 'raw'")

    repo.follow_links(opener)
    repo.at("main").link_outside([info()])
    with pytest.raises(ConfigError, match="raw"):
        repo.at("main").read("raw/a.csv")


def test_extra_is_canonical_json(repo):
    repo.at("main").link_outside([info(digest=digest_of(b"id"))])
    save(repo, "main", {})
    extra = repo.store.trees.get(repo.commit_of("main").tree, "raw/a.csv").extra
    assert extra == json.dumps(json.loads(extra), sort_keys=True, separators=(",", ":"))
