"""`python -m benchmarks SECTION`: each client in fresh processes; the tables go into the page."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from benchmarks import embedded, folders, local, reading, remote, resolving, streams
from benchmarks.page import replaced

_PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_SECTIONS: dict[str, ModuleType] = {
    "s3": remote,
    "lakefs": remote,
    "folders": folders,
    "reading": reading,
    "embedded": embedded,
    "local": local,
    "stream": streams,
    "resolve": resolving,
}
_OF_ALL = {"section", "folder", "page"}


def main() -> None:
    """Parse the arguments and run."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="datastore-bench-") as folder:
        for title, text in _tables(arguments, Path(folder)):
            print(f"\n### {title}\n\n{text}", flush=True)
            page = arguments.page.read_text(encoding="utf-8")
            arguments.page.write_text(replaced(page, arguments.section, {title: text}), encoding="utf-8")


def _tables(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield title and text of each table as soon as it is measured."""
    options = {name: value for name, value in vars(arguments).items() if name not in _OF_ALL}
    return _SECTIONS[arguments.section].tables(folder, **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    sections = parser.add_subparsers(dest="section", required=True)
    for name, module in _SECTIONS.items():
        section = sections.add_parser(name, help=module.__doc__)
        section.add_argument("--tasks", nargs="+", choices=list(module.TASKS), default=list(module.TASKS))
        section.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
        section.add_argument("--folder", help="where files are written, for example on a tmpfs")
        section.add_argument("--page", type=Path, default=_PAGE, help="where the tables go")
        if module is streams:
            section.add_argument("--rows", type=int, default=streams.ROWS, help="of the table; a multiple of ten")
        if module in {folders, streams}:
            section.add_argument("--files", type=int, default=module.FILES, help="how many")
        if module is remote:
            section.set_defaults(service=name)
            section.add_argument("--clients", nargs="+", default=None, help="modules of benchmarks.clients")
            section.add_argument("--latency", type=int, default=0, help="milliseconds of round trip to the server")
            section.add_argument("--busy", action="store_true", help="with a thread of pure Python beside it")
    return parser


if __name__ == "__main__":
    main()
