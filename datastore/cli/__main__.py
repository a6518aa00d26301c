"""Lets `python -m datastore.cli` stand for the `datastore` command."""

from datastore.cli import main

if __name__ == "__main__":
    main()
