"""The grammars of names, refs and keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import InvalidURL, TooLarge, ValidationError
from datastore.names import (
    MAX_KEY_BYTES,
    RefExpression,
    check_branch,
    check_key,
    check_metadata,
    check_mount,
    check_repo,
    check_tag,
    content_type_of,
    is_commit_id,
    parse_ref,
)

COMMIT = "0123456789abcdef" * 4

branches = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,40}", fullmatch=True)
steps = st.lists(st.tuples(st.sampled_from(["~", "^"]), st.integers(0, 999_999_999)), max_size=5)


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (check_mount, "s"),
        (check_mount, "0-9"),
        (check_repo, "abc"),
        (check_repo, "a" * 63),
        (check_branch, "main"),
        (check_branch, "_hidden-1"),
        (check_branch, "Exp_2"),
        (check_branch, COMMIT[:63]),
        (check_tag, "v1.0"),
        (check_tag, "release+2026@home"),
        (check_tag, "a(b)!"),
    ],
)
def test_good_names_come_back_as_they_are(check, name: str):
    assert check(name) == name


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (check_mount, ""),
        (check_mount, "-a"),
        (check_mount, "A"),
        (check_mount, "a_b"),
        (check_mount, "a" * 64),
        (check_repo, "ab"),
        (check_repo, "Abc"),
        (check_repo, "abc\n"),
        (check_repo, "äbc"),
        (check_repo, "٣٣٣"),
        (check_branch, ""),
        (check_branch, "-main"),
        (check_branch, "exp/dedupe"),
        (check_branch, "main\n"),
        (check_branch, "brünch"),
        (check_branch, "v1.0"),
        (check_branch, COMMIT),
        (check_branch, "b" * 257),
        (check_tag, ""),
        (check_tag, COMMIT),
        (check_tag, ".a"),
        (check_tag, "-a"),
        (check_tag, "@"),
        (check_tag, "@a"),
        (check_tag, "a."),
        (check_tag, "a@"),
        (check_tag, "a..b"),
        (check_tag, "a.lock"),
        (check_tag, "a@{b"),
        (check_tag, "a b"),
        (check_tag, "a\x7f"),
        *[(check_tag, f"a{char}b") for char in "/^:?*[]\\~%$#`\"'<>|"],
    ],
)
def test_bad_names_are_refused_with_the_rule(check, name: str):
    with pytest.raises(ValidationError) as caught:
        check(name)
    assert caught.value.hint


@given(branches, steps, st.booleans())
def test_a_ref_is_parsed_into_its_parts(name: str, walk, committed: bool):
    text = name + "".join(f"{kind}{count}" for kind, count in walk)
    assert parse_ref(text) == RefExpression(name, tuple(walk), committed=False)
    if not walk:
        assert parse_ref(f"{name}@" if committed else name) == RefExpression(name, (), committed)


@given(st.text(max_size=40))
def test_any_text_is_a_ref_or_a_validation_error(text: str):
    try:
        ref = parse_ref(text)
    except ValidationError:
        return
    again = ref.name + ("@" if ref.committed else "") + "".join(f"{kind}{count}" for kind, count in ref.steps)
    assert parse_ref(again) == ref
    assert ref.plain == (again == ref.name)


def test_a_step_without_a_number_is_one():
    assert parse_ref("main~^").steps == (("~", 1), ("^", 1))
    assert parse_ref("main^0").steps == (("^", 0),)


@pytest.mark.parametrize(
    "text", ["", "@", "~1", "main~x", "main~1@", "main@~1", "main~1/a", "main~1234567890", "a b", "main~-1"]
)
def test_broken_refs_are_refused(text: str):
    with pytest.raises(ValidationError):
        parse_ref(text)


def test_commit_ids_and_their_prefixes_are_told_apart():
    assert is_commit_id(COMMIT)
    assert not is_commit_id(COMMIT[:-1])
    assert not is_commit_id(COMMIT.upper())
    assert not is_commit_id(COMMIT + "\n")
    assert parse_ref(COMMIT + "~1").name == COMMIT
    assert [parse_ref(name).may_be_prefix for name in (COMMIT[:8], COMMIT[:63], COMMIT[:7], COMMIT, "main")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/:\0"), min_size=1, max_size=30))
def test_plain_names_are_keys(name: str):
    if name not in {".", ".."}:
        assert check_key(name) == name
        assert check_key(f"a/{name}/b") == f"a/{name}/b"


@given(st.text(max_size=50))
def test_what_is_a_key_has_plain_segments(key: str):
    try:
        check_key(key)
    except (InvalidURL, TooLarge):
        return
    assert key.encode().decode() == key
    assert not set(key.split("/")) & {"", ".", ".."}
    assert "::" not in key
    assert "\0" not in key


def test_the_limit_of_a_key_is_in_bytes():
    assert check_key("ü" * (MAX_KEY_BYTES // 2))
    with pytest.raises(TooLarge, match=str(MAX_KEY_BYTES + 2)):
        check_key("ü" * (MAX_KEY_BYTES // 2 + 1))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "empty"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a//b", "empty segment"),
        ("a/../b", "'..'"),
        (".", "'.'"),
        ("a::b", "'::'"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
    ],
)
def test_a_refused_key_is_told_why(key: str, problem: str):
    with pytest.raises(InvalidURL, match=problem):
        check_key(key)


def test_metadata_is_copied_into_a_plain_dict():
    given_metadata = {"run": "12", "note": "größer", "empty": ""}
    checked = check_metadata(given_metadata)
    assert checked == given_metadata
    assert checked is not given_metadata


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        (["run"], "list"),
        (None, "NoneType"),
        ({"run": 12}, "12"),
        ({1: "run"}, "1"),
        ({"run": b"x"}, "run"),
        ({"run": "\ud800"}, "'run'"),
        ({"\ud800": "x"}, "surrogate"),
    ],
)
def test_metadata_that_is_not_text_is_refused_by_name(metadata: object, named: str):
    with pytest.raises(ValidationError, match=named):
        check_metadata(metadata)


def test_metadata_has_a_limit():
    room = 65_536 - len('{"x":""}')
    assert check_metadata({"x": "y" * room})
    for too_much in ("y" * (room + 1), '"' * (room // 2 + 1)):  # as JSON, where a quote takes two
        with pytest.raises(TooLarge):
            check_metadata({"x": too_much})


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.parquet", "application/vnd.apache.parquet"),
        ("b/A.JPG", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        (".csv", "application/octet-stream"),
        ("a.b/csv", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("folder.csv/", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_last_extension(key: str, expected: str):
    assert content_type_of(key) == expected
