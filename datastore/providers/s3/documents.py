"""The XML documents that S3 answers with and takes, as plain values.

Names are read without their namespace: services differ in it, and some leave it out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, ParseError

from msgspec import Struct, structs

from datastore.errors import IntegrityError
from datastore.values import BucketInfo, PartInfo, UploadInfo

__all__ = [
    "CREATE_BUCKET",
    "Listing",
    "child",
    "complete_request",
    "copy_result",
    "delete_request",
    "deletion_errors",
    "error_fields",
    "fits_xml",
    "is_whole",
    "listing",
    "micros",
    "name_of",
    "next_token",
    "number",
    "parse",
    "parse_buckets",
    "parse_parts",
    "parse_uploads",
    "render",
    "root_name",
    "text_of",
]

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
CREATE_BUCKET: Final = (
    f'<CreateBucketConfiguration xmlns="{NAMESPACE}"><LocationConstraint>{{}}</LocationConstraint>'
    "</CreateBucketConfiguration>"
)
"""Body of CreateBucket, to be filled in with a region."""
# What XML 1.0 cannot say, not even escaped.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES: Final = str.maketrans({
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"
})  # fmt: skip
_REFERENCE: Final = re.compile(r"&(#x[0-9A-Fa-f]{1,6}|#[0-9]{1,7}|[a-z]+);")
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_FIELDS: Final = ("Key", "Size", "LastModified", "ETag")
_ALONE: Final = re.compile(rb"[^<>]*/>\s*")
_ROOT: Final = re.compile(rb"\s*(?:<\?[^>]*\?>\s*)?<([\w:]+)")


class Listing(Struct, frozen=True):
    """One page of a listing, in columns: a Struct for each of a thousand rows would cost more than reading them.

    Attributes:
        names: Whole names in the bucket.
        sizes: Bytes.
        modified_us: Last writes, microseconds since the epoch, UTC.
        etags: Without quotes.
        prefixes: Common prefixes.
        token: Asks for the next page; None after the last.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    modified_us: Sequence[int]
    etags: Sequence[str]
    prefixes: Sequence[str]
    token: str | None

    @property
    def more(self) -> bool:
        """Whether a page follows."""
        return self.token is not None

    def first(self, count: int) -> "Listing":
        """Return a page of so many of its names."""
        return structs.replace(
            self,
            names=self.names[:count],
            sizes=self.sizes[:count],
            modified_us=self.modified_us[:count],
            etags=self.etags[:count],
        )


def parse(body: bytes) -> Element:
    """Return the root of a document, or raise `IntegrityError`."""
    try:
        return ET.fromstring(body.strip())  # noqa: S314 - expat >= 2.4.1 refuses entities that grow without bound
    except ParseError as error:
        raise IntegrityError(f"the service's answer is no XML: {error}", hint="try again") from None


def is_whole(body: bytes) -> bool:
    """Tell whether a document goes as far as its end; what was cut in a proxy may look complete to HTTP.

    >>> is_whole(b"<a><b/></a>"), is_whole(b"<a><b/>"), is_whole(b"")
    (True, False, False)
    """
    root = _ROOT.match(body)
    if root is None:
        return False
    return body.rstrip().endswith(b"</" + root.group(1) + b">") or _ALONE.fullmatch(body, root.end()) is not None


def root_name(body: bytes) -> str:
    """Return the name of a document's root without parsing it; "" if it is none.

    >>> root_name(b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>')
    'Error'
    """
    root = _ROOT.match(body)
    return root.group(1).decode("ascii", "replace").rpartition(":")[2] if root else ""


def name_of(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: Element, name: str) -> Element | None:
    """Return the first child of a name."""
    return next((one for one in element if name_of(one) == name), None)


def text_of(element: Element, *path: str) -> str:
    """Return the text at a path of names; "" where there is none."""
    found: Element | None = element
    for name in path:
        found = None if found is None else child(found, name)
    return (found.text or "") if found is not None else ""


def error_fields(body: bytes) -> Mapping[str, str]:
    """Return what an error document says by name: `Code`, `Message`, `Region`, …; empty for anything else."""
    try:
        root = ET.fromstring(body.strip())  # noqa: S314 - as in `parse`
    except ParseError:
        return {}
    root = child(root, "Error") if name_of(root) == "ErrorResponse" else root
    return {} if root is None or name_of(root) != "Error" else {name_of(one): one.text or "" for one in root}


# ------------------------------------------------------------------------------------------------------------- listings
def listing(body: bytes) -> Listing:
    """Read an answer to ListObjectsV2."""
    if not is_whole(body) or root_name(body) != "ListBucketResult":
        raise IntegrityError(f"the service answers a listing with <{root_name(body)[:40]}>", hint="check the endpoint")
    text = body.decode(errors="replace")
    names, sizes, times, etags, prefixes = _cut_columns(text) or _parsed_columns(body)
    decode = _decoded if "<EncodingType>url<" in text else str
    token = next_token(body)
    if token is None and "<IsTruncated>true<" in text:
        raise IntegrityError("the service cuts a listing short without telling how to go on", hint="try again")
    return Listing(
        names=[decode(name) for name in names],
        sizes=[number(size) for size in sizes],
        modified_us=[micros(time) for time in times],
        etags=[etag.strip('"') for etag in etags],
        prefixes=[decode(prefix) for prefix in prefixes],
        token=token,
    )


def _cut_columns(text: str) -> Sequence[Sequence[str]] | None:
    """Cut names, sizes, times, etags and prefixes out of a document as services write it; None if it looks otherwise.

    A parser takes four times as long, which is most of what a long listing costs here.
    """
    head, *rows = text.split("<Contents>")
    folders = (rows[-1] if rows else head).split("<CommonPrefixes>")[1:]
    unusual = "<!" in text or ("Contents" in head) or (not folders and "CommonPrefixes" in text)
    columns = [_texts_of(text, tag) for tag in _FIELDS]
    if unusual or any(len(column) != len(rows) for column in columns):
        return None
    columns[3] = [etag.replace("&quot;", "").replace("&#34;", "") for etag in columns[3]]
    columns.append([folder.partition("<Prefix>")[2].partition("<")[0] for folder in folders])
    return [[_unescaped(one) for one in column] for column in columns] if "&" in text else columns


def _texts_of(text: str, tag: str) -> list[str]:
    return [part[: part.index("<")] for part in text.split(f"<{tag}>")[1:]]


def _unescaped(text: str) -> str:
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(reference: re.Match[str]) -> str:
    name = reference[1]
    if not name.startswith("#"):
        return _ENTITIES.get(name, reference[0])
    code = int(name.removeprefix("#x"), 16) if "x" in name else int(name[1:])
    return chr(code) if code < 0x110000 else reference[0]


def _parsed_columns(body: bytes) -> Sequence[Sequence[str]]:
    """Return the same of any document."""
    root = parse(body)
    columns: list[list[str]] = [[], [], [], [], []]
    for element in root:
        if name_of(element) == "Contents":
            for column, field in zip(columns, _FIELDS, strict=False):
                column.append(text_of(element, field))
        elif name_of(element) == "CommonPrefixes":
            columns[4].append(text_of(element, "Prefix"))
    return columns


def _decoded(name: str) -> str:
    return unquote_plus(name) if "%" in name or "+" in name else name


def next_token(body: bytes) -> str | None:
    """Return what asks for the next page, without reading the rest of this one; None after the last.

    >>> next_token(b"<x><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken></x>")
    'a&b'
    """
    # In a key these brackets would be escaped.
    _, tag, rest = body.partition(b"<NextContinuationToken>")
    if not tag or b"<IsTruncated>true<" not in body:
        return None
    return parse(tag + rest.partition(b"<")[0] + b"</NextContinuationToken>").text or None


def _decoder(root: Element) -> Callable[[str], str]:
    """Return how keys are to be read: a service that was asked to encode them says whether it did."""
    return _decoded if text_of(root, "EncodingType") == "url" else str


def number(text: str) -> int:
    """Return a number that a document has, or raise `IntegrityError`."""
    if not (text.isascii() and text.isdecimal()):
        raise IntegrityError(f"the service gives {text[:40]!r} for a number", hint="check the endpoint")
    return int(text)


@lru_cache(maxsize=4096)
def micros(text: str) -> int:
    """Return the microseconds since the epoch of a time as S3's documents have it.

    >>> micros("1970-01-01T00:00:01.500Z")
    1500000
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise IntegrityError(f"the service gives the time {text[:40]!r}", hint="check the endpoint") from None
    return round(moment.timestamp() * 1_000_000)


# -------------------------------------------------------------------------------------------------------------- deletes
def fits_xml(name: str) -> bool:
    r"""Tell whether a document can name this key at all.

    >>> fits_xml("a\nb & c"), fits_xml("\uffff")
    (True, False)
    """
    return _UNFIT.search(name) is None


def delete_request(names: Iterable[str]) -> bytes:
    """Return the body of DeleteObjects; only failures are to be answered."""
    objects = "".join(f"<Object><Key>{name.translate(_ESCAPES)}</Key></Object>" for name in names)
    return f'<Delete xmlns="{NAMESPACE}"><Quiet>true</Quiet>{objects}</Delete>'.encode()


def deletion_errors(body: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (name, code, message) of what DeleteObjects could not delete."""
    for element in parse(body):
        if name_of(element) == "Error":
            yield text_of(element, "Key"), text_of(element, "Code"), text_of(element, "Message")


# ------------------------------------------------------------------------------------------------- multipart and copies
def complete_request(parts: Iterable[PartInfo]) -> bytes:
    """Return the body of CompleteMultipartUpload."""
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>&quot;{part.etag.translate(_ESCAPES)}&quot;</ETag>"
        + (f"<ChecksumCRC32>{part.checksum.translate(_ESCAPES)}</ChecksumCRC32></Part>" if part.checksum else "</Part>")
        for part in parts
    )
    return f'<CompleteMultipartUpload xmlns="{NAMESPACE}">{rows}</CompleteMultipartUpload>'.encode()


def copy_result(body: bytes) -> tuple[str, int]:
    """Return etag and time of a copied object or part."""
    root = parse(body)
    return text_of(root, "ETag").strip('"'), micros(text_of(root, "LastModified"))


def parse_parts(body: bytes) -> tuple[list[PartInfo], str, str | None]:
    """Return the parts of one page of ListParts, the checksum that they carry, and the marker of the next page."""
    root = parse(body)
    found = [
        PartInfo(
            number=number(text_of(one, "PartNumber")),
            etag=text_of(one, "ETag").strip('"'),
            size=number(text_of(one, "Size")),
            checksum=text_of(one, "ChecksumCRC32"),
        )
        for one in root
        if name_of(one) == "Part"
    ]
    more = text_of(root, "IsTruncated") == "true"
    return found, text_of(root, "ChecksumAlgorithm"), text_of(root, "NextPartNumberMarker") if more else None


def parse_uploads(body: bytes) -> tuple[list[UploadInfo], tuple[str, str] | None]:
    """Return the uploads of one page of ListMultipartUploads by full names, and the two markers of the next page."""
    root = parse(body)
    decode = _decoder(root)
    found = [
        UploadInfo(
            key=decode(text_of(one, "Key")),
            id=text_of(one, "UploadId"),
            started_us=micros(text_of(one, "Initiated")),
        )
        for one in root
        if name_of(one) == "Upload"
    ]
    more = text_of(root, "IsTruncated") == "true"
    markers = decode(text_of(root, "NextKeyMarker")), text_of(root, "NextUploadIdMarker")
    return found, markers if more else None


# -------------------------------------------------------------------------------------------------------------- buckets
def parse_buckets(body: bytes) -> tuple[list[BucketInfo], str | None]:
    """Return the buckets of one page of ListBuckets, and the token of the next page."""
    root = parse(body)
    rows = child(root, "Buckets")
    found = [
        BucketInfo(
            name=text_of(one, "Name"),
            created_us=micros(text_of(one, "CreationDate")),
            region=text_of(one, "BucketRegion"),
        )
        for one in (rows if rows is not None else ())
    ]
    return found, text_of(root, "ContinuationToken") or None


def render(root: Element) -> bytes:
    """Return a document as it is sent."""
    root.set("xmlns", NAMESPACE)
    return ET.tostring(root)
