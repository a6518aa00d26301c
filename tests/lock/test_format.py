"""The text of a lock file: what is written is read again, and what is damaged is said with its place."""

import contextlib
import itertools
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.lockformat import Pin, check_pin_name, format_lock, parse_lock

few = settings(max_examples=60, deadline=None)
digits = st.text("0123456789abcdef", min_size=64, max_size=64)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda key: "::" not in f"/{key}")
urls = st.builds(lambda key: f"ds://garments@main/{key}", keys) | st.builds(lambda key: f"./{key}", keys)
sizes = st.integers(0, 2**60)
digests = st.builds(lambda text: f"sha256:{text}", digits)
commits = st.none() | digits
pins = (
    st.builds(Pin, url=urls, commit=commits, digest=digests, size=sizes)
    | st.builds(Pin, url=urls, commit=commits, etag=st.text(st.characters(exclude_categories=["Cs"])), size=sizes)
    | st.builds(Pin, url=urls, commit=commits, listing=digests, objects=st.integers(0, 10**9), size=sizes)
)
locks = st.dictionaries(names, pins, max_size=5)
TRAIN = Pin(url="ds://garments@main/train/", commit="a" * 64, listing=f"sha256:{'b' * 64}", objects=2, size=10)
LABELS = Pin(url="ds://raw/labels.csv", etag="5d41", size=5)


def read(text):
    return parse_lock(text if isinstance(text, bytes) else text.encode(), where="datastore.lock")


@few
@given(locks)
def test_what_is_written_is_read_again(lock):
    assert read(format_lock(lock)) == lock


@few
@given(locks)
def test_the_text_is_plain_toml_sorted_by_name_and_the_same_in_any_order(lock):
    text = format_lock(lock)
    assert list(tomllib.loads(text).get("pins", {})) == sorted(lock)
    for order in itertools.islice(itertools.permutations(lock.items()), 6):
        assert format_lock(dict(order)) == text
    assert text.endswith("\n")


@few
@given(locks, names, pins)
def test_one_more_pin_adds_lines_and_changes_none(lock, name, pin):
    lock.pop(name, None)
    before, after = format_lock(lock).splitlines(), format_lock(lock | {name: pin}).splitlines()
    added = format_lock({name: pin}).splitlines()[2:]
    start = next(i for i in range(len(after)) if after[i : i + len(added)] == added and after[:i] == before[:i])
    assert after[:start] + after[start + len(added) :] == before


@few
@given(locks, st.data())
def test_a_file_that_was_cut_is_damaged_or_has_whole_pins_only(lock, data):
    text = format_lock(lock).encode()
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        found = read(cut)
    except ds.ConfigError:
        return
    assert found.items() <= lock.items()


@few
@given(st.binary() | st.text().map(str.encode))
def test_anything_else_is_an_error_of_ours(data):
    with pytest.raises(ds.ConfigError, match=r"datastore\.lock"):
        read(data)


@few
@given(st.dictionaries(names, pins, min_size=1, max_size=2), st.data())
def test_what_was_overwritten_somewhere_is_a_lock_file_or_an_error_of_ours(lock, data):
    text = format_lock(lock).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new = data.draw(st.binary(max_size=5) | st.sampled_from([b"9" * 5000, b"[" * 5000, b"nan", b"1979-05-27", b"\n"]))
    with contextlib.suppress(ds.ConfigError):
        read(text[:start] + new + text[end:])


def test_an_empty_file_is_no_lock_file():
    for text in ("", "\n", "# nothing\n"):
        with pytest.raises(ds.ConfigError, match=r"datastore\.lock is no lock file"):
            read(text)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_conflict_of_a_merge_names_the_line(ending):
    lines = format_lock({"train": TRAIN}).splitlines()
    at = lines.index(f'commit = "{"a" * 64}"')
    other = [lines[at].replace("a", "c")]
    ours = ["<<<<<<< HEAD", lines[at], "=======", *other, ">>>>>>> other"]
    text = ending.join([*lines[:at], *ours, *lines[at + 1 :]])
    with pytest.raises(ds.ConfigError, match=rf"datastore\.lock, line {at + 1}: '<<<<<<<'") as caught:
        read(text)
    assert "datastore lock check" in str(caught.value.hint)


def test_a_merge_that_left_a_pin_twice_is_damaged():
    text = format_lock({"train": TRAIN})
    with pytest.raises(ds.ConfigError, match=r"damaged.*train.*line"):
        read(text + text.partition("version = 1\n")[2])


@pytest.mark.parametrize(
    "text",
    [
        'version = 1\nrequires-python = ">=3.11"\n[[package]]\nname = "attrs"\n',  # uv
        '[[package]]\nname = "attrs"\nversion = "1"\n',  # poetry
        "version = 1\npins = 3\n",
        "version = true\n",
        'version = "1"\n',
        b"\x89PNG\r\n\x1a\n\xff",
    ],
)
def test_a_foreign_file_is_said_to_be_one(text):
    with pytest.raises(ds.ConfigError, match="no lock file of datastore"):
        read(text)


def test_a_newer_version_says_so():
    with pytest.raises(ds.ConfigError, match="newer version of datastore: 2"):
        read("version = 2\n[things]\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('etag = "5d41"\n', "", "pins.labels: it has neither"),
        ("size = 5\n", "", "pins.labels.size is missing"),
        ("size = 5", "size = -5", "pins.labels: size"),
        ("size = 5", 'size = "5"', "pins.labels.size"),
        ('etag = "5d41"', 'etga = "5d41"', "pins.labels.etga is not known"),
        ('etag = "5d41"', 'commit = "main"\netag = "1"', "pins.labels: commit is 'main'"),
        ('etag = "5d41"', 'digest = "md5:1"', "pins.labels: digest"),
        ('url = "ds://raw/labels.csv"', 'url = "s3://raw/labels.csv"', "pins.labels: url is 's3://raw/labels.csv'"),
        ('url = "ds://raw/labels.csv"', 'url = "ds://RAW/labels.csv"', "pins.labels: .*RAW"),
        ("[pins.labels]", '[pins."la bels"]', "'la bels' is not a valid name"),
        ("[pins.labels]\n", "[pins.labels]\nx = [", "damaged.*line"),
    ],
)
def test_a_change_by_hand_names_the_pin_and_the_field(old, new, said):
    text = format_lock({"labels": LABELS})
    assert old in text
    with pytest.raises(ds.ConfigError, match=f"datastore.lock.*{said}"):
        read(text.replace(old, new))


def test_an_error_names_the_nearest_field():
    with pytest.raises(ds.ConfigError) as caught:
        read(format_lock({"labels": LABELS}).replace("etag", "etga"))
    assert "etag" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a.b", "ä", "a" * 65, "a\n"])
def test_names_of_pins(name):
    with pytest.raises(ds.ValidationError, match="not a valid name for a pin"):
        check_pin_name(name)
