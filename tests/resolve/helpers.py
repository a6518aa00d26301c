"""What the tests of `resolve` have in common."""

from pathlib import Path

MIB = 1 << 20


def tree(folder):
    """What is in a folder: bytes by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def gets(cloud):
    """The ranges of all downloads that a scripted server was asked for."""
    return [request.headers.get("range") for request in cloud.requests if request.operation == "GetObject"]


def leaks(cache):
    """What is left in the making, of work that is over."""
    kinds = ("tmp", "partial", "locks", "doomed", "quarantine")
    return [f"{kind}/{path.name}" for kind in kinds for path in Path(cache, kind).glob("*")]


def write_to(path, data, *, at=0):
    """Write into a file as root can, and as everybody can who makes it writable first."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    path.chmod(0o444)
