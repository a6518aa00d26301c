"""Commands for objects: ls, cat, cp, rm, import."""

import base64
import codecs
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from datastore.cli.copying import copy
from datastore.cli.options import command, confirm, place_at, wants_json, yes_option
from datastore.cli.output import Answer, Cell, change_row, count_text, size_cell, time_cell
from datastore.errors import UnsupportedType
from datastore.notebook.markup import safe_text

__all__ = ["COMMANDS"]

_LAYOUT: Final = re.compile(r"((?:\r?\n|\t)+)")
_SHOWN: Final = ("size", "etag", "digest", "content_type", "commit")


@command(
    "ls", examples=["datastore ls", "datastore ls ds://garments@main/images/ -l", "datastore ls -r ds://garments@v1"]
)
@click.argument("url", default="ds://")
@click.option("--recursive", "-r", is_flag=True, help="List all objects below.")
@click.option("--long", "-l", is_flag=True, help="With sizes and times.")
def ls(url: str, *, recursive: bool, long: bool) -> Answer:
    """List mounts and repos, or what is under a URL."""
    from datastore.api import filesystem
    from datastore.urls import to_url

    fs, target = filesystem(), to_url(url)
    listing: Any = fs.find(target, detail=True) if recursive else fs.ls(target, detail=True)
    found: list[dict[str, Any]] = list(listing.values()) if recursive else listing
    entries = [_entry(info) for info in found]
    rows = [[*(_long(info) if long else ()), _url_cell(entry)] for info, entry in zip(found, entries, strict=True)]
    return Answer(
        document=entries,
        rows=rows,
        columns=["size", "modified", "url"] if long else (),
        below=[] if rows else ["nothing is here"],
    )


def _entry(info: dict[str, Any]) -> dict[str, object]:
    from datastore.namespace import current

    name: str = info["name"]
    key = current().url(f"ds://{name}").key
    if info["type"] == "directory":
        return {"url": f"ds://{name}/", "key": key and f"{key}/", "kind": "prefix"}
    shown = {field: info.get(field) for field in _SHOWN}
    more = {"metadata": info.get("metadata", {}), "modified": info["LastModified"]}
    return {"url": f"ds://{name}", "key": key, "kind": "object", **shown, **more}


def _long(info: dict[str, Any]) -> list[Cell | str]:
    if info["type"] == "directory":
        return [Cell("", right=True), ""]
    return [size_cell(info["size"]), time_cell(info["LastModified"])]


def _url_cell(entry: dict[str, object]) -> Cell:
    return Cell(str(entry["url"]), style="blue" if entry["kind"] == "prefix" else "")


@command(
    "cat",
    examples=[
        "datastore cat ds://garments@v1/labels.csv | head",
        "datastore cat ds://garments/model.onnx > model.onnx",
    ],
)
@click.argument("url")
def cat(url: str) -> Answer:
    """Write an object to stdout.

    A terminal gets text only, with control characters written out. With --json the content is under `text`, or
    under `base64` if it is not UTF-8.
    """
    from datastore.namespace import current
    from datastore.transfer import read_chunks
    from datastore.urls import to_url

    target = current().target(to_url(url))
    with target.provider.read(target.key) as reader:
        chunks = read_chunks(reader)
        if wants_json():
            return Answer(document={"url": str(to_url(url)), **_content(b"".join(chunks))})
        if sys.stdout.isatty():
            _write_safely(chunks, of=url)
        else:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
    return Answer(document=None)


def _content(data: bytes) -> dict[str, object]:
    try:
        return {"size": len(data), "text": data.decode()}
    except UnicodeDecodeError:
        return {"size": len(data), "base64": base64.b64encode(data).decode()}


def _write_safely(chunks: Iterable[bytes], *, of: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    for chunk in chunks:
        if b"\0" in chunk:
            raise UnsupportedType(f"{of!r} is no text", hint="write it into a file: datastore cat … > file")
        text = decoder.decode(chunk)
        sys.stdout.write("".join(part if part.isspace() else safe_text(part) for part in _LAYOUT.split(text)))
    sys.stdout.write(safe_text(decoder.decode(b"", final=True)))


@command(
    "cp",
    examples=[
        "datastore cp train.csv ds://garments@main/",
        "datastore cp -r ds://garments@v1/images/ images/",
        "datastore cp ds://garments@main/a.csv ds://archive/a.csv",
    ],
)
@click.argument("source")
@click.argument("target")
@click.option("--recursive", "-r", is_flag=True, help="Copy all that is under SOURCE.")
def cp(source: str, target: str, *, recursive: bool) -> Answer:
    """Copy objects and local files.

    SOURCE and TARGET are ds:// URLs or local paths, in any combination; what has no :// is a local path. A TARGET
    that ends in / or is a folder takes things in under their own names; a SOURCE that ends in / stands for what is
    in it.
    """
    copied = copy(source, target, recursive=recursive)
    document = {"source": source, "target": target, "copied": copied}
    return Answer(document=document, lines=[f"{copied:,} copied to {target}"])


@command("rm", examples=["datastore rm ds://garments@main/old.csv", "datastore rm -r ds://garments@main/images/"])
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@click.option("--recursive", "-r", is_flag=True, help="Delete all that is under a URL.")
@yes_option
def rm(urls: Sequence[str], *, recursive: bool, yes: bool) -> Answer:
    """Delete objects. If one of them is missing, none is deleted.

    On a branch a deletion is an uncommitted change: `datastore reset` brings the objects back.

    """
    from datastore.api import filesystem
    from datastore.urls import to_url

    targets = [to_url(url) for url in urls]
    whole = [url for url in targets if not url.key]
    if recursive and whole:
        confirm(f"this deletes everything in {', '.join(whole)}", yes=yes)
    filesystem().rm(targets, recursive=recursive)
    return Answer(document={"deleted": targets}, below=[f"deleted {', '.join(targets)}"])


@command(
    "import",
    examples=["datastore import data/ ds://garments@main/raw/", "datastore import . ds://garments --ignore '*.tmp'"],
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Leave out what matches, as in .gitignore.")
@click.option("--reflink", is_flag=True, help="Share disk blocks with the files where the disk can.")
def import_folder(folder: Path, url: str, *, ignore: Sequence[str], reflink: bool) -> Answer:
    """Put a local folder on a branch.

    All files of FOLDER go under URL, or on any error none. A file .datastoreignore in the folder works as
    .gitignore does. The files become uncommitted changes; the answer is those under URL.
    """
    place = place_at(url)
    branch = place.repo.branch(place.ref)
    changes = branch.import_folder(folder, place.key, ignore=ignore, reflink=reflink)
    next_step = f"datastore commit {place.repo.name}@{branch.name} -m '…'"
    below = [f"{count_text(len(changes), 'uncommitted change')}; next: {next_step}"]
    return Answer(document=list(changes), rows=[change_row(change) for change in changes], below=below)


COMMANDS: Final[Sequence[click.Command]] = (ls, cat, cp, rm, import_folder)
