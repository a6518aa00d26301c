"""A repo that offers nothing beyond the contract, as a server of another kind might, and calls that can be cut."""

from functools import partial
from types import SimpleNamespace

from msgspec import structs

from datastore.errors import Unavailable

CHANGES = {
    "create_branch",
    "delete_branch",
    "commit",
    "cherry_pick",
    "fast_forward",
    "put",
    "put_many",
    "delete",
    "link",
    "create_tag",
    "link_outside",
}


class BareProvider:
    """Knows no digests; can neither link nor copy."""

    def __init__(self, provider):
        self._provider = provider

    @property
    def capabilities(self):
        return structs.replace(self._provider.capabilities, digests=False, local=False)

    def head(self, key):
        return bare(self._provider.head(key))

    def read(self, key, *, range=None, if_match=None):
        return self._provider.read(key, range=range, if_match=if_match)

    def put(self, key, body, *, mode="overwrite", attributes=None):
        return bare(self._provider.put(key, body, mode=mode, attributes=attributes))

    def delete(self, keys):
        return self._provider.delete(keys)

    def list(self, prefix="", *, delimiter=None, start_after=None):
        for page in self._provider.list(prefix, delimiter=delimiter, start_after=start_after):
            yield structs.replace(page, objects=[bare(info) for info in page.objects])

    def close(self):
        self._provider.close()


class BareRepo:
    """Hides what the embedded store can do beyond `SupportsVersioning`."""

    def __init__(self, repo):
        self._repo = repo

    def at(self, ref, *, head=None):
        return BareProvider(self._repo.at(ref, head=head))

    def diff(self, a, b, *, prefix=""):
        return map(bare_change, self._repo.diff(a, b, prefix=prefix))

    def uncommitted(self, branch, *, prefix=""):
        return map(bare_change, self._repo.uncommitted(branch, prefix=prefix))


VERBS = (
    "default_branch branches tags commit_of is_branch create_branch delete_branch undelete_branch protect create_tag "
    "delete_tag commit has_uncommitted log merge_base conflicts merge revert cherry_pick reset restore close"
)
for verb in VERBS.split():
    setattr(BareRepo, verb, property(lambda self, verb=verb: getattr(self._repo, verb)))


def bare(info):
    """An info as a store has it that names versions, not bytes."""
    return info and structs.replace(
        info, digest=None, etag=f"v-{info.etag[:6]}", identity=f"bare/{info.key}#{info.etag}"
    )


def bare_change(change):
    return structs.replace(change, before=bare(change.before), after=bare(change.after))


class Line:
    """How many changes get through before the connection is cut, and how many were tried."""

    def __init__(self, after, *, lost_reply=False):
        self.after = after
        self.lost_reply = lost_reply
        self.tried = 0

    def change(self, verb, *args, **how):
        self.tried += 1
        if self.tried <= self.after:
            return verb(*args, **how)
        if self.lost_reply and self.tried == self.after + 1:
            verb(*args, **how)  # it is carried out, and nobody hears of it
        raise Unavailable("the connection was cut")


def over(line, inner):
    """The same repo or provider, at the other end of a line."""
    # Plain attributes, because `isinstance` with a protocol does not see what `__getattr__` would give.
    found = SimpleNamespace()
    for name in dir(inner):
        if not name.startswith("_"):
            value = getattr(inner, name)
            if name == "at":
                value = partial(_at, line, value)
            elif name in CHANGES:
                value = partial(line.change, value)
            setattr(found, name, value)
    return found


def _at(line, at, *args, **how):
    return over(line, at(*args, **how))
