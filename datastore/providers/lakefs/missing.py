"""The errors of a ref: keys that are not there, names that cannot be written to; hints are found when one is shown."""

from datastore.errors import DatastoreError, Forbidden, NotFound, nearest
from datastore.names import is_commit_id, parse_ref
from datastore.providers.lakefs.commits import unknown_ref
from datastore.providers.lakefs.endpoints import Remote

__all__ = ["no_such_key", "not_writable", "read_only"]


def no_such_key(remote: Remote, ref: str, key: str, *, at: str | None = None) -> NotFound:
    """The error for a key that is not there; the hint tells if the ref is not there either.

    Args:
        remote: The repo.
        ref: As the user named it.
        key: The key.
        at: What it leads to, if that is known.
    """
    where = f"{remote.name}@{ref}"
    return NotFound(
        f"no object {key!r} in {where}", hint=lambda: _hint(remote, ref, key, at or ref), url=f"ds://{where}/{key}"
    )


def not_writable(remote: Remote, ref: str) -> NotFound | Forbidden:
    """The error for a name that the server does not take for a branch: a tag or commit has it, or nothing."""
    return unknown_ref(remote, ref) if remote.run(remote.commit_call(ref)) is None else read_only(remote.name, ref)


def read_only(repo: str, ref: str) -> Forbidden:
    """The error for a write to something that is no branch."""
    expression = parse_ref(ref)
    fixed = is_commit_id(expression.name) or not expression.plain or expression.may_be_prefix
    base = expression.name if expression.committed else ref
    message = f"{repo}@{ref} is {'a commit' if fixed else 'a tag'} and cannot be written to"
    return Forbidden(message, hint=f"make a branch of it: repo.create_branch('fix', base={base!r})")


def _hint(remote: Remote, ref: str, key: str, at: str) -> str | None:
    try:
        if remote.run(remote.commit_call(ref)) is None:
            missing = unknown_ref(remote, parse_ref(ref).name)
            return "; ".join(filter(None, [missing.message, missing.hint]))
        inside = key.rstrip("/") + "/"
        if remote.run(remote.objects_call(at, prefix=inside, amount=1)).results:
            return f"{inside!r} is a prefix; list it, or name an object under it"
        folder = key.rpartition("/")[0]
        page = remote.run(remote.objects_call(at, prefix=folder and folder + "/"))
    except DatastoreError:  # the error was kept until the repo or its server had gone
        return None
    return nearest(key, [row.path for row in page.results], what="keys")
