"""Commands about local copies: resolve, and cache with its own commands."""

from collections.abc import Sequence
from typing import Final

import click

from datastore.cli.options import Group, command, duration
from datastore.cli.output import Answer, count_text, size_cell, time_cell
from datastore.sizes import size_words

__all__ = ["COMMANDS"]


@command(
    "resolve",
    examples=["datastore resolve ds://garments@v4/images/", "cp -r $(datastore resolve garments@v4/images/) here/"],
)
@click.argument("url")
@click.option("--allow", "-a", multiple=True, metavar="GLOB", help="Only what matches; may be repeated.")
@click.option("--ignore", "-i", multiple=True, metavar="GLOB", help="Leave out what matches; may be repeated.")
@click.option("--offline", is_flag=True, help="Ask no service: what was resolved before, or an error.")
@click.option(
    "--link", type=click.Choice(["auto", "hard"]), default="auto", help="`hard` spares a copy of large files."
)
def resolve(url: str, *, allow: Sequence[str], ignore: Sequence[str], offline: bool, link: str) -> Answer:
    """Print the local path of an object, or of a folder.

    What is not on this machine yet is brought and verified. The path belongs to the cache, which may remove it when it
    needs the room and nobody uses it: `datastore cache keep` prevents that.
    """
    from datastore import api

    path = api.resolve(
        url,
        allow_patterns=allow or None,
        ignore_patterns=ignore or None,
        offline=True if offline else None,
        link="hard" if link == "hard" else "auto",
    )
    return Answer(document={"url": url, "path": str(path)}, lines=[str(path)])


@command("ls", examples=["datastore cache ls"])
def ls() -> Answer:
    """List what is in the cache, used last first."""
    from datastore.caching import cache

    found = cache.ls()
    return Answer(
        document=[{**{name: getattr(entry, name) for name in _FIELDS}, "path": str(entry.path)} for entry in found],
        columns=["size", "used", "", "url", "path"],
        rows=[
            [
                size_cell(entry.size),
                time_cell(entry.used),
                "kept" if entry.kept else "in use" if entry.in_use else "",
                entry.urls[0] if entry.urls else "",
                str(entry.path),
            ]
            for entry in found
        ],
        below=[f"{count_text(len(found), 'item')}, {size_words(sum(entry.size for entry in found))}"],
    )


_FIELDS: Final = ("name", "urls", "size", "used", "in_use", "kept")


@command("info", examples=["datastore cache info"])
def info() -> Answer:
    """Tell where the cache is and how full."""
    from datastore.caching import cache

    found = cache.info()
    limit = "none" if found.limit is None else size_words(found.limit)
    lines = [
        f"path: {found.path}",
        f"size: {size_words(found.size)} in {count_text(found.entries, 'item')}",
        f"limit: {limit}",
        f"in use: {size_words(found.in_use)}",
        f"kept: {size_words(found.kept)}",
        f"pending: {size_words(found.pending)}",
    ]
    document = {name: getattr(found, name) for name in found.__struct_fields__} | {"path": str(found.path)}
    return Answer(document=document, lines=lines)


@command("verify", examples=["datastore cache verify"])
def verify() -> Answer:
    """Read and hash everything in the cache.

    What is damaged is put away, and brought anew when it is resolved. Exits with 1 if something was.
    """
    from datastore.caching import cache

    bad = cache.verify()
    return Answer(
        document=[{"path": str(damaged.path), "entry": damaged.entry} for damaged in bad],
        columns=["path"],
        rows=[[str(damaged.path)] for damaged in bad],
        below=[f"{count_text(len(bad), 'damaged file')} put away"],
        exit_code=1 if bad else 0,
    )


@command("trim", examples=["datastore cache trim", "datastore cache trim 20GB"])
@click.argument("size", required=False)
def trim(size: str | None) -> Answer:
    """Remove what was not used for longest, until the cache holds no more than SIZE.

    Without SIZE, until it is within its limit. What running processes use, and what is kept, stays.
    """
    from datastore.caching import cache

    return _freed(cache.trim(size))


@command("prune", examples=["datastore cache prune", "datastore cache prune --unused 7d"])
@click.option("--unused", metavar="DURATION", default="30d", help="Remove what was not used for so long (30d).")
def prune(unused: str) -> Answer:
    """Remove leftovers, and what was not used for some time."""
    from datastore.caching import cache

    return _freed(cache.prune(duration(unused, option="--unused")))


def _freed(size: int) -> Answer:
    line = f"{size_words(size)} freed"
    return Answer(document={"freed": size}, lines=[line])


@command(
    "keep", examples=["datastore cache keep ds://garments@v4/images/", "datastore cache keep --off ds://garments@v4/x"]
)
@click.argument("url")
@click.option("--off", is_flag=True, help="Do not keep it any more.")
def keep(url: str, *, off: bool) -> Answer:
    """Resolve URL and never remove what it leads to now."""
    from datastore.caching import cache

    path = cache.keep(url, on=not off)
    return Answer(document={"url": url, "path": str(path), "kept": not off}, lines=[str(path)])


cached = Group(
    name="cache", help="What is on this machine of what was resolved.", commands=[ls, info, verify, trim, prune, keep]
)

COMMANDS: Final[Sequence[click.Command]] = (resolve, cached)
"""The commands of this module."""
