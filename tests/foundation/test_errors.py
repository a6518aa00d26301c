"""The error tree: what a handler catches, what a traceback shows, what crosses a process."""

import copy
import io
import pickle
import traceback

import pytest

from datastore import errors
from datastore.errors import (
    Conflict,
    DatastoreError,
    Forbidden,
    HeadMoved,
    IntegrityError,
    MergeConflict,
    NotFound,
    SecurityError,
    Unavailable,
    UncommittedChanges,
    UnsupportedOperation,
    ValidationError,
    nearest,
)
from datastore.values import KeyConflict

CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "nearest"]
PLAIN = [cls for cls in CLASSES if cls not in {MergeConflict, UncommittedChanges}]


def conflict(key: str) -> KeyConflict:
    return KeyConflict(key=key, base=None, source=None, dest=None)


def examples() -> list[DatastoreError]:
    """One of each class, with everything that it can carry."""
    plain = [cls(f"{cls.__name__} of 'a'", hint="the way out", url="ds://x@main/a") for cls in PLAIN]
    return [
        *plain,
        HeadMoved("moved", hint="look", url="ds://x@main/a", landed="f" * 64),
        MergeConflict("both changed", conflicts=[conflict("a"), conflict("b")], hint="choose"),
        UncommittedChanges("not clean", keys=["a", "b"], hint="commit"),
    ]


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_everything_survives_a_pickle(error: DatastoreError, again):
    twin = again(error)
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert (str(twin), twin.args, twin.kind, twin.hint) == (str(error), error.args, error.kind, error.hint)
    assert traceback.format_exception_only(twin) == traceback.format_exception_only(error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_a_traceback_shows_message_and_hint_and_no_errno(error: DatastoreError):
    shown = "".join(traceback.format_exception_only(error))
    assert shown == f"datastore.errors.{type(error).__name__}: {error.message}\nhint: {error.hint}\n"


def test_without_a_hint_there_is_no_note():
    assert not hasattr(NotFound("no object 'a'"), "__notes__")


def test_kinds_are_stable_words_and_tell_classes_apart():
    kinds = {cls: cls.kind for cls in CLASSES}
    assert len(set(kinds.values())) == len(CLASSES)
    assert all(kind == kind.lower() and " " not in kind for kind in kinds.values())


@pytest.mark.parametrize(
    ("caught", "raised"),
    [
        (FileNotFoundError, NotFound),
        (FileNotFoundError, errors.NotCached),
        (FileExistsError, errors.AlreadyExists),
        (PermissionError, Forbidden),
        (PermissionError, errors.UnsafeKey),
        (ValueError, errors.InvalidURL),
        (ValueError, errors.ConfigError),
        (OSError, IntegrityError),
        (OSError, errors.Erased),
        (OSError, Unavailable),
        (io.UnsupportedOperation, UnsupportedOperation),
        (ValidationError, errors.TooLarge),
        (SecurityError, errors.BlockedAddress),
        (Conflict, HeadMoved),
        (Conflict, errors.NothingToCommit),
    ],
)
def test_the_builtin_that_callers_expect_catches_it(caught: type[Exception], raised: type[DatastoreError]):
    with pytest.raises(caught):
        raise raised("a")


def test_all_derive_from_one_and_only_what_may_work_later_is_retryable():
    assert all(issubclass(cls, DatastoreError) for cls in CLASSES)
    assert [cls for cls in CLASSES if cls.retryable] == [Unavailable]


def test_a_conflict_is_not_mistaken_for_trouble_of_the_disk():
    # `except OSError` around a write must not swallow a lost race.
    assert not any(issubclass(cls, OSError) for cls in CLASSES if issubclass(cls, Conflict))


def test_a_merge_conflict_names_its_keys():
    error = MergeConflict("both changed 2 keys", conflicts=iter([conflict("a"), conflict("b")]))
    assert (error.paths, [each.key for each in error.conflicts]) == (["a", "b"], ["a", "b"])


@pytest.mark.parametrize(
    ("name", "known", "what", "expected"),
    [
        ("mian", ["main", "exp"], "branches", "did you mean 'main'?"),
        ("garment", ["garments", "garmentz", "x"], "", "did you mean 'garmentz' or 'garments'?"),
        ("xyz", ["main", "exp"], "branches", "known branches: exp, main"),
        ("xyz", ["main"], "", None),
        ("xyz", [], "branches", None),
        ("q", "abcdefghij", "letters", "known letters: a, b, c, d, e, f, g, h, … (10 in all)"),
    ],
)
def test_nearest_names_what_was_probably_meant(name: str, known, what: str, expected: str | None):
    assert nearest(name, known, what=what) == expected
