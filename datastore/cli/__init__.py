"""The `datastore` command: parses arguments, calls the API, prints what it answers."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from datastore.cli.app import app

        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue] - a console that has no arrow shall still see the rest
        app()
    except KeyboardInterrupt:  # before the command began, or while its last words were written
        sys.exit(130)
