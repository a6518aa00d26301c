"""Commits as lakeFS keeps them, resolved from refs; what a commit was once is remembered, because it never changes.

The committer of lakeFS is the user of the API, and its times are in seconds. Who really made a commit, the `op_id` of
the attempt, and the exact time of a commit that comes from elsewhere, are pairs of its metadata, which are not shown.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from datastore.errors import DatastoreError, NotFound, ValidationError, nearest
from datastore.names import RefExpression, check_branch, check_metadata, is_commit_id, parse_ref
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.endpoints import NoRepo, Remote
from datastore.providers.lakefs.rows import CommitRow
from datastore.values import CommitInfo, CommitRequest

__all__ = [
    "author_of",
    "check_request",
    "commit_info",
    "exact",
    "forget_all",
    "metadata_of",
    "on_branch",
    "op_id_of",
    "remember",
    "resolve",
    "unknown_branch",
    "unknown_ref",
]

_AUTHOR: Final = "datastore_author"
_OP_ID: Final = "datastore_op_id"
_TIME: Final = "datastore_time_us"
_OURS: Final = frozenset({_AUTHOR, _OP_ID, _TIME})
_SERVERS_OWN: Final = ".lakefs."
_PICKED: Final = frozenset({"cherry-pick-committer", "cherry-pick-origin"})
"""What the server adds to a cherry-pick. Not shown of our own ones, which carry what was asked for and nothing else."""
_SHORT_HEX: Final = re.compile(r"[0-9a-f]{1,7}", re.ASCII)
"""What lakeFS takes for the beginning of a commit id, and we do not."""

_MOST: Final = 10_000
_known: Final[dict[tuple[LakeFSClient, str, str], CommitRow]] = {}


def commit_info(row: CommitRow) -> CommitInfo:
    """Return a commit as people see it."""
    metadata = row.metadata or {}
    hidden = _OURS | _PICKED if _OP_ID in metadata else _OURS
    return CommitInfo(
        id=row.id,
        parents=row.parents,
        author=metadata.get(_AUTHOR) or row.committer,
        time_us=_time_of(row, metadata.get(_TIME, "")),
        message=row.message,
        metadata={
            name: value for name, value in metadata.items() if name not in hidden and not name.startswith(_SERVERS_OWN)
        },
        tree=row.meta_range_id,
    )


def _time_of(row: CommitRow, exact_us: str) -> int:
    return int(exact_us) if exact_us.isdecimal() else row.creation_date * 1_000_000


def op_id_of(row: CommitRow) -> str | None:
    """Return the name of the attempt that made a commit."""
    return (row.metadata or {}).get(_OP_ID)


def author_of(request: CommitRequest) -> dict[str, str]:
    """Return what a commit on the way to the one that was asked for is to carry."""
    return {_AUTHOR: request.author}


def metadata_of(request: CommitRequest) -> dict[str, str]:
    """Return what a commit is to carry on the server."""
    time = {} if request.time_us is None else {_TIME: str(request.time_us)}
    return {**request.metadata, **time, _AUTHOR: request.author, _OP_ID: request.op_id}


def check_request(request: CommitRequest) -> None:
    """Raise `ValidationError` for a request that no commit can be made of."""
    if not request.message.strip():
        hint = 'say in a few words what changed: commit("Drop duplicates")'
        raise ValidationError("a commit needs a message", hint=hint)
    if not request.op_id:
        raise ValidationError("a commit needs an op_id", hint="uuid.uuid4().hex, made once for each attempt")
    for name, text in (("message", request.message), ("author", request.author), ("op_id", request.op_id)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"the {name} {text[:80]!r} has a lone surrogate", hint="texts are UTF-8") from None
    for name in check_metadata(request.metadata):
        if name in _OURS or name.startswith(_SERVERS_OWN):
            raise ValidationError(f"metadata {name!r} is a name of the store's own", hint="choose another one")


def remember(remote: Remote, row: CommitRow) -> CommitRow:
    """Keep a commit, so that this process never asks for it again."""
    if len(_known) >= _MOST:
        _known.clear()
    _known[remote.client, remote.name, row.id] = row
    return row


def forget_all(client: LakeFSClient, repo: str) -> None:
    """Forget the commits of a repo that was deleted."""
    for key in [key for key in list(_known) if key[:2] == (client, repo)]:
        _known.pop(key, None)


def resolve(remote: Remote, ref: str) -> CommitRow:
    """Return the commit of a ref expression; one request, none for a full id that was seen before.

    Raises:
        NotFound: Nothing has this name.
        ValidationError: It does not follow the grammar, or is no branch and has an `@`.
    """
    expression = parse_ref(ref)
    if expression.plain and (known := _known.get((remote.client, remote.name, ref))) is not None:
        return known
    if _SHORT_HEX.fullmatch(expression.name) and not _is_name(remote, expression.name):
        raise unknown_ref(remote, expression.name)
    try:
        row = remote.run(remote.commit_call(ref))
    except ValidationError as error:
        raise _no_such_step(expression, ref) if expression.steps else _no_branch(expression, error) from None
    if row is None:
        raise _missing(remote, expression, ref)
    return remember(remote, row)


def exact(remote: Remote, ref: str) -> str:
    """Return an expression that means to the server what this one means to us; no request for nearly all of them."""
    return resolve(remote, ref).id if _SHORT_HEX.fullmatch(parse_ref(ref).name) else ref


def _is_name(remote: Remote, name: str) -> bool:
    branch, tags = remote.two(remote.branch_call(name), remote.tags_call(prefix=name, amount=1))
    return branch is not None or name in {tag.id for tag in tags.results}


def _missing(remote: Remote, expression: RefExpression, ref: str) -> NotFound:
    if expression.steps and remote.run(remote.commit_call(expression.name)) is not None:
        return _no_such_step(expression, ref)
    return unknown_ref(remote, expression.name)


def _no_such_step(expression: RefExpression, ref: str) -> NotFound:
    return NotFound(
        f"{ref[:80]!r} goes too far back: there is no such ancestor of {expression.name!r}",
        hint="`log` shows the commits",
    )


def _no_branch(expression: RefExpression, error: ValidationError) -> ValidationError:
    if not expression.committed:
        return error
    name = expression.name
    return ValidationError(
        f"ref '{name}@': {name!r} is not a branch", hint="leave the '@' out: it has no uncommitted changes"
    )


def unknown_ref(remote: Remote, name: str) -> NotFound:
    """The error for a name that nothing has, with the nearest ones as a hint."""
    if is_commit_id(name):
        return NotFound(f"no commit {name[:16]}… in this repo", hint="`log` shows the commits")
    return NotFound(f"no branch, tag or commit {name!r}", hint=lambda: _nearest(remote, name, tags=True))


def unknown_branch(remote: Remote, name: str) -> NotFound:
    """The error for a branch that is not there, with the nearest ones as a hint."""
    return NotFound(f"no branch {name!r}", hint=lambda: _nearest(remote, name, tags=False))


@contextmanager
def on_branch(remote: Remote, name: str) -> Generator[None]:
    """Check the name of a branch, and let a 404 of the server say that there is no such branch."""
    check_branch(name)
    try:
        yield
    except NoRepo:
        raise
    except NotFound:
        raise unknown_branch(remote, name) from None


def _nearest(remote: Remote, name: str, *, tags: bool) -> str | None:
    try:
        names = [row.id for row in remote.run(remote.branches_call()).results]
        names += [row.id for row in remote.run(remote.tags_call()).results] if tags else []
    except DatastoreError:  # the error was kept until the server was gone
        return None
    return nearest(name, names, what="refs" if tags else "branches")
