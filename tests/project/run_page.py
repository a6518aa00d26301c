"""Runs the blocks of one Markdown page in order: `python run_page.py PAGE`.

Python blocks share one namespace, that of `__main__`, and keep the line numbers of the page, so that a traceback points
into it. Bash blocks run in the same folder.
"""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

from blocks import Block, parse  # its own folder is on the path: it is started as a script


def run(page: Path) -> None:
    """Run the page; exit with 1 at the first block that fails."""
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    for block in parse(page.read_text(encoding="utf-8")):
        if block.runs and block.language == "python":
            # Empty lines before the code make its line numbers those of the page.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), main.__dict__)
        elif block.runs:
            _bash(block, page)


def _bash(block: Block, page: Path) -> None:
    sys.stdout.flush()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"{page}:{block.line}: the bash block ended with {done.returncode}:\n{block.code}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
