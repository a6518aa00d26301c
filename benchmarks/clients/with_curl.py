"""Bare libcurl: eight handles that write ranges to a file, with no check of what arrives. What the wire allows."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycurl

import datastore as ds
from benchmarks.clients import BIG, ours
from benchmarks.places import Place

LABEL = "bare libcurl"
PART = 8 << 20
HANDLES = 8


def connect(place: Place) -> Any:
    """Have the URL signed."""
    _, base, _ = ours.connect(place)
    return ds.filesystem().sign(f"{base}/big", expiration=3600)


def download(connection: Any, folder: Path) -> None:
    fd = os.open(folder / "big", os.O_RDWR | os.O_CREAT)
    _fetch(connection, lambda data, at: os.pwrite(fd, data, at))
    os.close(fd)


def read(connection: Any, folder: Path) -> None:
    into = memoryview(bytearray(BIG))

    def take(data: bytes, at: int) -> int:
        into[at : at + len(data)] = data
        return len(data)

    _fetch(connection, take)


def _fetch(url: str, take: Callable[[bytes, int], int]) -> None:
    multi = pycurl.CurlMulti()
    starts = iter(range(0, BIG, PART))

    def begin(curl: Any) -> bool:
        start = next(starts, None)
        if start is None:
            return False
        at = start

        def write(data: bytes) -> None:
            nonlocal at
            at += take(data, at)

        curl.setopt(pycurl.RANGE, f"{start}-{start + PART - 1}")
        curl.setopt(pycurl.WRITEFUNCTION, write)
        multi.add_handle(curl)
        return True

    active = 0
    for _ in range(HANDLES):
        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.BUFFERSIZE, 512 << 10)
        active += begin(curl)
    while active:
        multi.perform()
        _, done, failed = multi.info_read()
        assert not failed, failed
        for curl in done:
            multi.remove_handle(curl)
            active -= not begin(curl)
        multi.select(1.0)
