"""Which branches take changes only by merge or revert: lakeFS's rules of branch protection."""

import re
import time
import uuid
from collections.abc import Sequence
from fnmatch import translate
from typing import Final

import msgspec

from datastore.calls import Call, HttpResponse
from datastore.errors import Conflict, Forbidden, Unavailable
from datastore.names import check_branch
from datastore.providers.lakefs.answers import decoded
from datastore.providers.lakefs.client import status_only
from datastore.providers.lakefs.commits import unknown_branch
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.rows import ProtectionRule

__all__ = ["Rules", "protect", "protecting", "refuse_protected", "rules_call"]

_TRIES: Final = 8
_LONGEST: Final = 20.0
"""Seconds to wait for the server to know a new rule; it keeps rules for 3 to 6 s (facts/lakefs.md §2)."""
_BETWEEN: Final = 0.25
_BRACES: Final = re.compile(r"\{([^{}]*)\}")


class Rules(msgspec.Struct, frozen=True):
    """The patterns in force, with the etag of the setting."""

    patterns: tuple[str, ...]
    etag: str


def rules_call(remote: Remote) -> Call[Rules]:
    """Return the call that reads the rules as they are, not as the server may still enforce them."""

    def finish(response: HttpResponse) -> Rules:
        rows = decoded(list[ProtectionRule])(response)
        return Rules(tuple(row.pattern for row in rows), response.headers.get("etag", ""))

    what = f"read the branch protection of {remote.name!r}"
    return remote.client.call("GET", _path(remote), what=what, finish=finish)


def _save_call(remote: Remote, patterns: Sequence[str], etag: str) -> Call[None]:
    # The first rule of all is saved without a condition: the server knows no etag for "none", and libcurl sends no
    # header without a value.
    return remote.client.call(
        "PUT",
        _path(remote),
        what=f"change the branch protection of {remote.name!r}",
        json=[{"pattern": pattern} for pattern in patterns],
        headers={"if-match": etag} if etag else {},
        statuses=frozenset({204}),
        finish=status_only,
    )


def _path(remote: Remote) -> list[str]:
    return ["repositories", remote.name, "settings", "branch_protection"]


def protecting(patterns: Sequence[str], branch: str) -> str | None:
    """Return the first pattern that protects a branch, or None.

    >>> protecting(["release-*", "{main,stable}"], "stable"), protecting(["v?"], "v10")
    ('{main,stable}', None)
    """
    return next((pattern for pattern in patterns if _matches(pattern, branch)), None)


def _matches(pattern: str, branch: str) -> bool:
    if braces := _BRACES.search(pattern):
        before, after = pattern[: braces.start()], pattern[braces.end() :]
        return any(_matches(before + one + after, branch) for one in braces.group(1).split(","))
    return re.match(translate(pattern), branch) is not None


def refuse_protected(rules: Rules, branch: str) -> None:
    """Raise `Forbidden` if a branch is protected."""
    if protecting(rules.patterns, branch) is not None:
        raise Forbidden(
            f"branch {branch!r} is protected: it takes changes only by merge and revert",
            hint=f"repo.branch({branch!r}).protect(on=False) first, if you mean it",
        )


def protect(remote: Remote, branch: str, *, on: bool) -> None:
    """Protect a branch or end that, and wait until the server enforces it: 3 to 6 seconds.

    Raises:
        Forbidden: It is to end, but a pattern for other branches, too, protects this one.
        Unavailable: The server has the new rule and goes on by the old one.
    """
    check_branch(branch)
    found, rules = remote.two(remote.branch_call(branch), rules_call(remote))
    if found is None:
        raise unknown_branch(remote, branch)
    for _ in range(_TRIES):
        wanted = _changed(rules.patterns, branch, on=on)
        if wanted == rules.patterns:
            break
        try:
            remote.run(_save_call(remote, wanted, rules.etag))
            break
        except Conflict:  # somebody else changed the rules meanwhile
            rules = remote.run(rules_call(remote))
    _wait(remote, branch, on=on)


def _changed(patterns: tuple[str, ...], branch: str, *, on: bool) -> tuple[str, ...]:
    if on:
        return patterns if protecting(patterns, branch) else (*patterns, branch)
    left = tuple(pattern for pattern in patterns if pattern != branch)
    if (pattern := protecting(left, branch)) is not None:
        raise Forbidden(
            f"branch {branch!r} is protected by the pattern {pattern!r}, which may be meant for others, too",
            hint="change the pattern in the settings of the repo on the server",
        )
    return left


def _wait(remote: Remote, branch: str, *, on: bool) -> None:
    # Dropping the uncommitted changes of a key that nobody has does nothing, and is refused on a protected branch.
    probe = remote.reset_call(branch, kind="object", path=f"_datastore/{uuid.uuid4().hex}")
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until:
        try:
            remote.run(probe)
            enforced = False
        except Forbidden:
            enforced = True
        if enforced == on:
            return
        time.sleep(_BETWEEN)
    raise Unavailable(
        f"the server has the new protection of {branch!r} and does not go by it yet", hint="look again in a minute"
    )
