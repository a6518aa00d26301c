"""Finds the fenced code blocks of a Markdown page.

A block is run unless the line before its fence says `<!-- no-run: reason -->`.
"""

import re
from dataclasses import dataclass

RUN = frozenset({"python", "bash"})
# What a page may show beside them. Anything else (`py`, `sh`, `console`, no language) could hide code from the tests.
SHOWN = frozenset({"text", "yaml", "toml", "json", "ini", "diff", "markdown", "html", "sql"})
# The README's two set-up blocks: .ci/run is the one that carries out what they say, from a fresh clone.
SETUP = ("# install and run", "# install and test")

_OPEN = re.compile(r"(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})[ ]*(?P<info>[^`]*)")
_NO_RUN = re.compile(r"[ ]*<!--\s*no-run:(?P<reason>.*)-->\s*")


class BlockError(ValueError):
    """A page that cannot be read; the message names the line."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, the line where the code begins, and why it is not run, or None."""

    language: str
    code: str
    line: int
    no_run: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the block is carried out."""
        return self.language in RUN and self.no_run is None


def parse(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order.

    Raises:
        BlockError: A fence that is not closed, a language that is neither run nor in `SHOWN`, a `no-run` without a
            reason or without a block below it.
    """
    lines = text.splitlines()
    blocks: list[Block] = []
    reason: str | None = None
    i = 0
    while i < len(lines):
        opening = _OPEN.fullmatch(lines[i])
        if opening is None:
            if reason is not None:
                raise BlockError(f"line {i}: `no-run` stands above no block")
            reason = _reason(lines[i], i + 1)
            i += 1
            continue
        end = _closing(lines, i, opening["fence"])
        blocks.append(_block(lines[i + 1 : end], opening, i + 2, reason))
        reason = None
        i = end + 1
    if reason is not None:
        raise BlockError(f"line {len(lines)}: `no-run` stands above no block")
    return blocks


def _reason(line: str, number: int) -> str | None:
    found = _NO_RUN.fullmatch(line)
    if found is None:
        return None
    if not found["reason"].strip():
        raise BlockError(f"line {number}: `no-run` needs a reason")
    return found["reason"].strip()


def _closing(lines: list[str], opening: int, fence: str) -> int:
    closing = re.compile(rf"[ ]*{re.escape(fence[0])}{{{len(fence)},}}[ ]*")
    for i in range(opening + 1, len(lines)):
        if closing.fullmatch(lines[i]):
            return i
    raise BlockError(f"line {opening + 1}: the block is not closed")


def _block(body: list[str], opening: re.Match[str], line: int, reason: str | None) -> Block:
    language = re.split(r"[\s{]", opening["info"].strip(), maxsplit=1)[0]
    if language not in RUN | SHOWN:
        allowed = ", ".join(sorted(RUN | SHOWN))
        raise BlockError(f"line {line - 1}: language {language!r}; write one of {allowed}")
    indent = opening["indent"]
    code = "".join(f"{row.removeprefix(indent)}\n" for row in body)
    if language == "bash" and code.startswith(tuple(f"{marker}\n" for marker in SETUP)):
        reason = "set-up of the environment itself, which CI stands for"
    return Block(language, code, line, reason)
