"""`ds.hf`: objects as a dataset of Hugging Face."""

import glob
from typing import Any, Final

from datastore.errors import UnsupportedType
from datastore.handoff.choosing import choose
from datastore.handoff.engines import engine_module
from datastore.handoff.finding import Found
from datastore.handoff.formats import FormatName
from datastore.handoff.placing import offer_of, place
from datastore.namespace import Namespace
from datastore.urls import SCHEME

__all__ = ["hub_dataset"]

_BUILDERS: Final[dict[FormatName, str]] = {
    "parquet": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "json",
    "arrow": "arrow",
}


def hub_dataset(namespace: Namespace, found: Found, *, streaming: bool) -> Any:
    """Return objects as a `Dataset`, or as an `IterableDataset` if they are to be streamed.

    Their cache goes by names alone: it is given names that never change their meaning.

    Raises:
        UnsupportedOperation: `datasets` is not installed.
        UnsupportedType: It does not read this format.
    """
    datasets = engine_module("datasets")
    builder = _BUILDERS.get(found.format)
    if builder is None:
        raise UnsupportedType(f"datasets reads no {found.format}: {found.url}", hint="ds.arrow(url) does")
    options: dict[str, Any] = {"sep": "\t"} if found.format == "tsv" else {}
    if choose(offer_of(namespace, found), "hf-streaming" if streaming else "hf") == "files":
        files = list(place(namespace, found).files)
    else:
        files = [SCHEME + path for path in found.paths]
        options |= {"storage_options": found.storage_options}
    names = [glob.escape(file) for file in files]
    return datasets.load_dataset(builder, data_files=names, split="train", streaming=streaming, **options)
