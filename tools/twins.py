"""Writes the modules of `datastore.aio` that are made from the synchronous API.

`python -m tools.twins` writes them anew; a test says when that is due. What is not named in the tables below becomes a
coroutine with the same signature, so a new function or verb needs no line here unless it is free.
"""

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]

# What asks nobody stays as it is; of classes, what is written `Class.name`.
FREE: Final = {
    "Branch.objects",
    "Cache.path",
    "Experiment.branch",
    "Experiment.log_metrics",
    "Objects.capabilities",
    "Repo.branch",
    "Repo.experiment",
    "Repo.transaction",
    "Repo.url",
    "Stream.__len__",
    "Stream.epoch",
    "Stream.load_state_dict",
    "Stream.rows",
    "Stream.state_dict",
    "Stream.torch",
    "Stream.url",
    "Transaction.branch",
    "repo",
}
# Modules whose functions have twins.
FUNCTIONS: Final = ("datastore.api", "datastore.engines")
# Free, and nothing in them has a twin: the very same functions.
SAME: Final = ("filesystem", "mount", "url")
# Seams of the library itself; `handle.sync` has them.
LEFT_OUT: Final = {"Objects.close", "Repo.namespace", "Repo.request", "Repo.versioned"}
# Attributes that constructors set.
ATTRIBUTES: Final = {
    "Repo": {"name": ("str", "Its name.")},
    "Branch": {"repo": ("Repo", "Where it is."), "name": ("str", "Its name.")},
    "Experiment": {
        "repo": ("Repo", "Where it is."),
        "name": ("str", "Of the experiment and its branch."),
        "params": ("dict[str, object]", "Recorded with each commit."),
        "metrics": ("dict[str, float | int | str]", "Recorded with the next commits."),
    },
    "Transaction": {"commit": ("Commit | None", "What was merged, after the block; None if nothing was written.")},
}
# Classes that have a twin, and where they come from; a module each.
CLASSES: Final = {
    "handles": (
        ("Repo", "datastore.repository", "Repo"),
        ("Branch", "datastore.repository", "Branch"),
        ("Experiment", "datastore.experiments", "Experiment"),
        ("Transaction", "datastore.transactions", "Transaction"),
    ),
    "objects": (("Objects", "datastore.provider", "Provider"),),
    "streams": (("Stream", "datastore.streaming.stream", "Stream"),),
    "caches": (("Cache", "datastore.caching", "Cache"),),
}
# Names of the synchronous API whose values are wrapped, and by what.
WRAPPED: Final = {
    "Provider": "Objects",
    "Reader": "Reader",
    **{name: name for name in ("Branch", "Experiment", "Repo", "Stream", "Transaction")},
}
_SHARED: Final = {
    "AbstractAsyncContextManager": "contextlib",
    "AsyncGenerator": "collections.abc",
    "Entering": "datastore.aio.running",
    "Self": "typing",
    "TracebackType": "types",
    "Twin": "datastore.aio.twin",
    "call": "datastore.aio.running",
    "each": "datastore.aio.running",
    "enter": "datastore.aio.running",
    "leave": "datastore.aio.running",
    "plain": "datastore.aio.twin",
}
HOMES: Final = {
    **{name: f"datastore.aio.{module}" for module, classes in CLASSES.items() for name, _, _ in classes},
    "Reader": "datastore.aio.reader",
}
# Magic methods that a twin has, under the same name.
MAGIC: Final = {"__len__": "len(self.sync)", "__truediv__": "self.sync / key"}


class Verb(NamedTuple):
    """A function or method of the synchronous API, and how its twin reaches it."""

    node: ast.FunctionDef
    owner: str
    target: str

    @property
    def name(self) -> str:
        """As people know it: `Class.name`, or the name of a function."""
        return f"{self.owner}.{self.node.name}" if self.owner else self.node.name

    @property
    def is_property(self) -> bool:
        """Whether it is read without a call."""
        return any(isinstance(one, ast.Name) and one.id == "property" for one in self.node.decorator_list)

    @property
    def returns(self) -> str:
        """What it gives, as the synchronous API has it."""
        return _text(self.node.returns)


def modules() -> dict[Path, str]:
    """Return the text of each module, as the formatter leaves it."""
    made = {f"{name}.py": _classes(name) for name in CLASSES} | {"functions.py": _functions()}
    return {ROOT / "datastore" / "aio" / name: _formatted(text) for name, text in made.items()}


def main() -> int:
    """Write what has changed."""
    for path, text in modules().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")
    return 0


# ------------------------------------------------------------------------------------------------------------- modules
def _classes(module: str) -> str:
    bodies: list[str] = []
    known: dict[str, str] = {}
    for name, source, original in CLASSES[module]:
        tree = _tree(source)
        known |= _imports(tree, source)
        node = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == original)
        bodies.append(_class(name, node, f"{source}.{original}"))
    places = [source.rpartition(".") for source in sorted({source for _, source, _ in CLASSES[module]})]
    names = [name for name, _, _ in CLASSES[module]]
    head = f'"""Awaitable twins: {", ".join(names)}. Written by `python -m tools.twins`."""'
    bodies.insert(0, f"__all__ = {sorted(names)}")
    return _module(head, [f"from {package} import {name}" for package, _, name in places], bodies, known)


def _functions() -> str:
    bodies: list[str] = []
    exports: list[str] = []
    known: dict[str, str] = {}
    for source in FUNCTIONS:
        tree = _tree(source)
        known |= _imports(tree, source)
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        names = [name for name in _exported(tree) if name not in SAME]
        exports += names
        home = source.rpartition(".")[2]
        bodies += [_verb(Verb(functions[name], "", f"{home}.{name}")) for name in names if name in functions]
    head = '"""The functions of `datastore`, awaited. Written by `python -m tools.twins`."""'
    made = ["cache = Cache(api.cache)", '"""The cache of this process."""']
    bodies = [f"__all__ = {sorted(exports)}", *bodies, "\n".join(made)]
    places = [source.rpartition(".") for source in FUNCTIONS]
    return _module(head, [f"from {package} import {name}" for package, _, name in places], bodies, known)


def _module(head: str, imports: Sequence[str], bodies: Sequence[str], known: dict[str, str]) -> str:
    """Return a module with the imports that its bodies need: of those for annotations alone, only the checker knows."""
    tree = ast.parse("\n\n".join(bodies))
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    own |= {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
    homes = {name: home for name, home in (known | HOMES | _SHARED).items() if name not in own}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(homes)
    needed = {name for name in used if name in _evaluated(tree)}
    lines = [head, "from __future__ import annotations", "from typing import TYPE_CHECKING", *imports]
    lines += [_import(name, homes[name]) for name in sorted(needed)]
    lines += ["if TYPE_CHECKING:", *(f"    {_import(name, homes[name])}" for name in sorted(used - needed))]
    return "\n".join([*lines, "", *bodies])


def _import(name: str, home: str) -> str:
    module, _, original = home.partition(":")
    what = f"{original} as {name}" if original else name
    return f"from {module} import {what}" if module else f"import {what}"


def _evaluated(tree: ast.Module) -> set[str]:
    """Return the names that are needed when the module runs: all but those in annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for one in _all(node.args):
                one.annotation = None
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


# ------------------------------------------------------------------------------------------------------------- classes
def _class(name: str, node: ast.ClassDef, original: str) -> str:
    base = ".".join(original.split(".")[-2:])
    lines = [f"class {name}(Twin[{base}]):", f'    """{_told(node).partition(chr(10))[0]}', ""]
    lines += [f"    The twin of `{original}`, which is its `sync`; more is told there.", '    """']
    for attribute, (kind, about) in ATTRIBUTES.get(name, {}).items():
        value = f"self.sync.{attribute}"
        shown = f"{kind}({value})" if kind in WRAPPED else value
        lines += ["", "    @property", f"    def {attribute}(self) -> {kind}:"]
        lines += [f'        """{about}"""', f"        return {shown}"]
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            text = _member(Verb(member, name, f"self.sync.{member.name}"))
            lines += ["", *(f"    {line}" if line else "" for line in text.splitlines())]
    return "\n".join(lines)


def _member(verb: Verb) -> str:
    name = verb.node.name
    if name == "__enter__":
        return _ENTERING
    if name == "__iter__":
        kind = verb.returns.replace("Iterator", "AsyncGenerator")
        return f"def __aiter__(self) -> {kind}:\n    return each(lambda: iter(self.sync))"
    if verb.name in LEFT_OUT or (name.startswith("_") and name not in MAGIC):
        return ""
    return _verb(verb)


_ENTERING: Final = """\
async def __aenter__(self) -> Self:
    await enter(self.sync)
    return self

async def __aexit__(
    self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> None:
    await leave(self.sync, kind, error, trace)
"""


# --------------------------------------------------------------------------------------------------------------- verbs
def _verb(verb: Verb) -> str:
    """Return the twin of a function, method or property."""
    returns = verb.returns
    given = _given(verb.node.args)
    direct = MAGIC.get(verb.node.name) or (verb.target if verb.is_property else f"{verb.target}({given})")
    free = verb.name in FREE or verb.node.name in MAGIC
    called = f"{verb.target}, {given}" if given else verb.target
    silent = returns == "None"
    prefix, result = "async ", f"{'' if silent else 'return '}await call({called})"
    if free:
        prefix, result = "", direct if silent else f"return {direct}"
    elif verb.is_property:
        result = f"return await call(lambda: {verb.target})"
    if returns in WRAPPED:
        returns = WRAPPED[returns]
        inner = direct if free else f"await call({called})"
        result = f"return {returns}({inner})"
        if verb.node.returns is not None and verb.returns == "Reader":
            prefix, returns = "", "AbstractAsyncContextManager[Reader]"
            result = f"return Entering(lambda: {direct}, Reader)"
    elif returns == "Self":
        result = f"await call({called})\n    return self"
    elif returns.startswith("list[") and returns[5:-1] in WRAPPED:
        returns = f"list[{WRAPPED[returns[5:-1]]}]"
        result = f"return [{returns[5:-1]}(one) for one in await call({called})]"
    elif match := re.fullmatch(r"(?:Iterator|Generator)\[(.+)\]", returns):
        prefix, returns, result = "", f"AsyncGenerator[{match[1]}]", f"return each(lambda: {direct})"
    elif returns.startswith("AbstractContextManager["):
        prefix, returns = "", f"AbstractAsync{returns.removeprefix('Abstract')}"
        result = f"return Entering(lambda: {direct}, lambda given: given)"
    decorator = "@property\n" if verb.is_property and free else ""
    head = f"{decorator}{prefix}def {verb.node.name}({_parameters(verb.node.args)}) -> {returns}:"
    return f"{head}\n{_docstring(verb.node)}    {result}\n"


def _parameters(arguments: ast.arguments) -> str:
    """Return the parameters as they are, but that annotations are no texts: nothing evaluates them here."""
    copy = deepcopy(arguments)
    for one in _all(copy):
        if one.annotation is not None:
            one.annotation = ast.parse(_text(one.annotation), mode="eval").body
    return ast.unparse(copy)


def _given(arguments: ast.arguments) -> str:
    """Return what a twin passes on."""
    positional = [one for one in (*arguments.posonlyargs, *arguments.args) if one.arg != "self"]
    named = [f"{one.arg}={_passed(one)}" for one in arguments.kwonlyargs]
    rest = [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return ", ".join([*map(_passed, positional), *named, *rest])


def _passed(argument: ast.arg) -> str:
    handles = re.search(r"\b(Branch|Repo)\b", _text(argument.annotation))
    return f"plain({argument.arg})" if handles else argument.arg


def _all(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (one for one in (arguments.vararg, arguments.kwarg) if one is not None)


# ---------------------------------------------------------------------------------------------------------------- text
def _docstring(node: ast.FunctionDef) -> str:
    """Return the docstring without its examples, which are of the synchronous API."""
    paragraphs = [one for one in _told(node).split("\n\n") if not one.startswith(">>>")]
    if not paragraphs[0]:
        return ""
    lines = "\n\n".join(paragraphs).splitlines()
    quotes = '"""'
    body = "\n".join(f"    {line}" if line else "" for line in lines)
    return f"    {quotes}{body.strip()}{quotes if len(lines) == 1 else chr(10) + '    ' + quotes}\n"


def _told(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").replace("`with`", "`async with`")


def _text(node: ast.expr | None) -> str:
    """Return an annotation; one that is written as a text, or has a text in it, without the quotes.

    >>> _text(ast.parse("'str | Branch'", mode="eval").body)
    'str | Branch'
    """
    if node is None:
        return "None"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _text(ast.parse(node.value, mode="eval").body)
    return ast.unparse(_Unquoted().visit(ast.parse(ast.unparse(node), mode="eval").body))


class _Unquoted(ast.NodeTransformer):
    """Takes the quotes from types within types, but not from literals."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return node if ast.unparse(node.value).endswith("Literal") else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node


def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


def _imports(tree: ast.Module, module: str) -> dict[str, str]:
    """Return where each name that a module knows comes from; after a colon, what it is called there, if not so."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            home = str(node.module) if isinstance(node, ast.ImportFrom) else ""
            found |= {
                alias.asname or alias.name: f"{home}:{alias.name}" if alias.asname else home for alias in node.names
            }
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = module
        elif isinstance(node, ast.Assign):
            found |= {target.id: module for target in node.targets if isinstance(target, ast.Name)}
    return {name: place for name, place in found.items() if not hasattr(builtins, name)}


def _exported(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    raise ValueError("the module has no __all__")


def _formatted(text: str) -> str:
    """Sort the imports, and lay it out."""
    for command in (["check", "--select", "I", "--fix-only", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "datastore/aio/made.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    sys.exit(main())
