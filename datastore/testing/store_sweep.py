"""Breaks a store's work off at each of its system calls, or lets the disk refuse it, and sees what is left.

`strace` injects the faults into a forked child. The child reports each step that the store acknowledged; afterwards the
store, opened anew, has to show exactly what was acknowledged and at most one whole step more, without any repair.

    python -m datastore.testing.store_sweep --fault kill --every 1
"""

import argparse
import ctypes
import functools
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct, field

from datastore.embedded.store import EmbeddedStore
from datastore.errors import DatastoreError
from datastore.testing.store_children import Child, Say
from datastore.testing.store_scenarios import (
    REPO,
    SCENARIOS,
    Place,
    Scenario,
    journal_is_behind,
    open_store,
    request,
    visible,
)

__all__ = ["Fault", "Point", "Tally", "missing", "sweep"]

Fault = Literal["kill", "ENOSPC", "EIO"]

_WRITES = "creat ftruncate fallocate fsync fdatasync syncfs link linkat mkdir mkdirat open openat pwrite64 pwritev"
_NAMES = "rename renameat renameat2 symlink symlinkat write writev copy_file_range sendfile"
_MAKES = f"{_WRITES} {_NAMES}"
_CHANGES = f"{_MAKES} chmod fchmod fchmodat fchmodat2 rmdir unlink unlinkat utimensat"
_READS = "getdents64 lstat newfstatat pread64 read readlink stat"
_TRIED: dict[Fault, str] = {
    "kill": _CHANGES,  # a death before a call that only reads is the death before the next that does not
    "ENOSPC": _MAKES,
    "EIO": f"{_CHANGES} {_READS}",
}
_SECONDS = 60


class Point(Struct, frozen=True):
    """The n-th use of a system call by a thread, and how often it used each other one before."""

    call: str
    number: int
    before: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


class Tally(Struct):
    """What a sweep tried and found.

    Attributes:
        scenario: Its name.
        fault: What was injected, with `+` if it stayed.
        calls: System calls of the story that touch the store and could be hit.
        points: How many of them were tried.
        recovered: After how many of them nothing was lost, nothing half done, and everything worked on.
        errors: How often the story was told of which error.
        told: How often in which words.
        failures: What went wrong: one line for each point.
    """

    scenario: str
    fault: str
    calls: int = 0
    points: int = 0
    recovered: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    told: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        errors = ", ".join(f"{count} {name}" for name, count in sorted(self.errors.items()))
        numbers = f"{self.calls} calls, {self.points} points, {self.recovered} recovered"
        return f"{self.scenario:8} {self.fault:7} {numbers}{f' ({errors})' if errors else ''}"


@functools.cache
def missing() -> str:
    """Say what the sweeps lack on this machine; empty if nothing."""
    if not sys.platform.startswith("linux"):
        return "system calls are traced on Linux only"
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt-get install strace)"
    command = ["strace", "-o", "/dev/null", "-e", "trace=?fsync", "-e", "inject=?fsync:error=EIO", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - constants
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


def sweep(
    scenario: Scenario,
    fault: Fault = "kill",
    *,
    folder: Path,
    first: int = 0,
    every: int = 1,
    most: int | None = None,
    lasting: bool = False,
) -> Tally:
    """Run a story once for each of its system calls, with a fault there.

    Args:
        scenario: The story.
        fault: The process is killed, or the call fails with this error.
        folder: A new folder for the stores; whatever the sweep made in it is removed again.
        first: The first call to try, counted from 0.
        every: Try each n-th call only.
        most: Try no more than so many, evenly spread.
        lasting: An error stays from that call on, for all calls that it can hit, until the story has been told of it.

    Returns:
        The numbers. `failures` is empty if all is well.
    """
    trial = _Trial.of(scenario, folder, fault=fault, lasting=lasting)
    try:
        points = trial.points()
        tally = Tally(scenario.name, f"{fault}{'+' if lasting else ''}", calls=len(points))
        step = every if most is None else max(every, -(-len(points[first:]) // most))
        for point in points[first::step]:
            tally.points += 1
            try:
                trial.run(point, tally)
            except Exception as error:  # noqa: BLE001 - every point is tried, and all are told
                place = traceback.extract_tb(error.__traceback__)[-1]
                tally.failures.append(f"{point}: {type(error).__name__}: {error} ({place.name}:{place.lineno})")
            else:
                tally.recovered += 1
    finally:
        trial.clean()
    return tally


class _Trial(Struct, kw_only=True):
    """A story with the store that it begins with, and what that has to show after each step."""

    scenario: Scenario
    fault: Fault
    lasting: bool
    template: Place
    place: Place
    states: list[dict[str, object]]

    @classmethod
    def of(cls, scenario: Scenario, folder: Path, *, fault: Fault, lasting: bool) -> "_Trial":
        template, place = Place(folder / "template"), Place(folder / "trial")
        for new in (template.store.parent, template.beside):
            new.mkdir(parents=True)
        store = open_store(template.store)
        scenario.prepare(store, template)
        store.close()
        trial = cls(scenario=scenario, fault=fault, lasting=lasting, template=template, place=place, states=[])
        trial.states = trial.reference()
        return trial

    def reference(self) -> list[dict[str, object]]:
        """Run the story as it should go; this also imports whatever it needs, which is none of the store's calls."""
        store = self.fresh()
        states = [visible(store)] if self.scenario.mend is None else []
        for step in self.scenario.steps:
            step.do(store, self.place)
            states.append(visible(store))
        if self.scenario.mend is not None:
            states.insert(0, states[-1])  # nothing was to be seen before
        self.prove(store)
        store.close()
        return states

    def fresh(self) -> EmbeddedStore:
        shutil.rmtree(self.place.root, ignore_errors=True)
        shutil.copytree(self.template.root, self.place.root)
        return open_store(self.place.store)

    def clean(self) -> None:
        for place in (self.place, self.template):
            shutil.rmtree(place.root, ignore_errors=True)

    # in the child

    def perform(self, store: EmbeddedStore, go: socket.socket, say: Say) -> None:
        """Do the steps and report each; a typed error is reported, and the step done again with the same handle."""
        _may_be_traced()
        say("ready")
        go.recv(1)
        for number, step in enumerate(self.scenario.steps):
            try:
                step.do(store, self.place)
            except (DatastoreError, OSError) as error:
                if not isinstance(error, DatastoreError) and not self.is_not_the_stores(error):
                    raise
                self.told(error, store, number, go=go, say=say)
                step.do(store, self.place)
            say(f"ack {number + 1}")
        try:
            store.close()
        except DatastoreError as error:
            say(f"error {type(error).__name__} close: {error.message}")
            self.passed(go, say)
            store.close()
        say("end")

    @staticmethod
    def passed(go: socket.socket, say: Say) -> None:
        """Wait until the disk works again: each new thread would meet the same fault for the first time."""
        say("waits")
        go.recv(1)

    def is_not_the_stores(self, error: OSError) -> bool:
        """Whether it is the user's own file that could not be read."""
        return str(error.filename).startswith(str(self.place.beside))

    def told(self, error: Exception, store: EmbeddedStore, number: int, *, go: socket.socket, say: Say) -> None:
        """Report an error. It says that nothing was changed: see whether that is true."""
        say(f"error {type(error).__name__} {self.scenario.steps[number].name}: {error}")
        self.passed(go, say)
        if self.scenario.mend is not None:
            return
        now = visible(store)
        if now != self.states[number]:
            what = "it was done" if now == self.states[number + 1] else f"something else is there: {now}"
            say(f"wrong after {type(error).__name__} at {self.scenario.steps[number].name!r}: {what}: {error}")

    # in the parent

    def points(self) -> list[Point]:
        """Count the calls that touch the store."""
        log = self.template.root.parent / "strace.log"
        lines, status = self.traced(["-y", "-o", str(log)], _TRIED[self.fault])
        assert status == 0, lines
        text = log.read_text(errors="replace")
        found = _points(text, str(self.place.root), but=str(self.place.beside), fault=self.fault)
        log.unlink()
        return found

    def run(self, point: Point, tally: Tally) -> None:
        """Try one point."""
        lines, status = self.traced(["-o", "/dev/null", *self.injection(point)], _TRIED[self.fault])
        tally.errors.update(line.split()[1] for line in lines if line.startswith("error"))
        tally.told.update(_without_paths(line) for line in lines if line.startswith("error"))
        bad = [line for line in lines if line.startswith(("wrong", "raised"))]
        assert not bad, "; ".join(bad)
        acknowledged = sum(line.startswith("ack") for line in lines)
        if self.fault == "kill":
            assert status in {0, -signal.SIGKILL}, (status, lines)
        else:
            assert (status, lines[-1:]) == (0, ["end"]), (status, lines)
        self.judge(acknowledged)

    def injection(self, point: Point) -> list[str]:
        if self.fault == "kill":
            return ["-e", f"inject=?{point.call}:signal=KILL:when={point.number}"]
        if not self.lasting:
            return ["-e", f"inject=?{point.call}:error={self.fault}:when={point.number}"]
        # A full disk opens the files that it has.
        spared = {"open", "openat"} if self.fault == "ENOSPC" else set[str]()
        options: list[str] = []
        for call, used in point.before:
            if call not in spared:
                options += ["-e", f"inject=?{call}:error={self.fault}:when={used + 1}+"]
        return options

    def traced(self, options: Sequence[str], calls: str) -> tuple[list[str], int]:
        """Run the story in a child under strace; return its lines and its exit status."""
        ours, theirs = socket.socketpair()
        store = self.fresh()
        child = Child(lambda say: self.perform(store, theirs, say), seconds=_SECONDS)
        theirs.close()
        lines: list[str] = []
        with ours:
            assert child.next_line() == "ready"
            trace = "trace=" + ",".join(f"?{call}" for call in calls.split())
            tracer = _attach(child.pid, ["-f", "-e", trace, *options])
            try:
                ours.send(b"g")
                while line := child.next_line():
                    lines.append(line)
                    if line == "waits":
                        _end(tracer)
                        ours.send(b"g")
                rest, status = child.lines()
            finally:
                _end(tracer)
        return lines + rest, status

    def judge(self, acknowledged: int) -> None:
        """Open the store anew: what was acknowledged is there, nothing half, it works on to the end of the story."""
        store = open_store(self.place.store)
        try:
            if self.scenario.mend is not None:
                self.scenario.mend(store, self.place)
            now, last = visible(store), len(self.states) - 1
            reached = [n for n in (acknowledged, min(acknowledged + 1, last)) if now == self.states[n]]
            assert reached, f"{acknowledged} steps were acknowledged; the store shows {now}"
            assert not store.exists() or list(store.check(deep=True)) == [], "check"
            for step in self.scenario.steps[reached[0] :]:
                step.do(store, self.place)
            assert visible(store) == self.states[last], "the story could not be told to its end"
            repo = store.repo(REPO)
            repo.at("main").put("after.txt", b"the store works on")
            made = repo.commit("main", request("After"))
            assert repo.commit_of("main").id == made.id
            assert not journal_is_behind(repo), "the journal does not catch up"
            assert list(store.check(deep=True)) == [], "check, at the end"
            self.prove(store)
        finally:
            store.close()

    def prove(self, store: EmbeddedStore) -> None:
        if self.scenario.proof is not None:
            self.scenario.proof(store, self.place)


def _without_paths(text: str) -> str:
    return re.sub(r"/\S+/|[0-9a-f]{16,}", "…", text.partition(" ")[2])


_LINE = re.compile(r"(?:(\d+)\s+)?(\w+)\((.*)")


def _points(log: str, root: str, *, but: str = "", fault: Fault) -> list[Point]:
    r"""Return the calls of a log that touch a folder. strace counts for each call and thread, so that names a point.

    >>> _points('7 write(3</s/a>, "x", 1) = 1\n7 write(4</b>, "y", 1) = 1\n7 fsync(3</s/a>) = 0', "/s", fault="kill")
    [Point(call='write', number=1, before=()), Point(call='fsync', number=1, before=())]
    """
    used: dict[str, Counter[str]] = {}
    found: dict[tuple[str, int], Point] = {}
    tried = _TRIED[fault].split()
    for line in log.splitlines():
        matched = _LINE.match(line)
        if matched is None:  # the rest of a call that another thread interrupted in the log, a signal, an end
            continue
        thread, call, arguments = matched[1] or "", matched[2], matched[3]
        counts = used.setdefault(thread, Counter())
        before = tuple((name, counts[name]) for name in tried) if fault != "kill" else ()
        counts[call] += 1
        makes_nothing = call in {"open", "openat"} and "O_CREAT" not in arguments
        ours = root in arguments and not (but and but in arguments)
        if ours and not (makes_nothing and fault != "EIO"):
            found.setdefault((call, counts[call]), Point(call, counts[call], before))
    return list(found.values())


def _may_be_traced() -> None:
    """Allow strace, which is no ancestor of this process, to attach where the system restricts that."""
    set_ptracer, anybody = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(set_ptracer, anybody, 0, 0, 0)


def _attach(pid: int, options: Sequence[str]) -> "subprocess.Popen[str]":
    command = ["strace", "-p", str(pid), *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own options
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    assert "attached" in said, said + tracer.stderr.read()
    return tracer


def _end(tracer: "subprocess.Popen[str]") -> None:
    """Let strace go of what it traces, if that is not over by itself."""
    if tracer.stderr is None or tracer.stderr.closed:
        return
    tracer.terminate()
    tracer.wait()
    tracer.stderr.close()


def main() -> None:
    """Sweep the stories that are named, or all."""
    stories = {scenario.name: scenario for scenario in SCENARIOS}
    parser = argparse.ArgumentParser(prog="python -m datastore.testing.store_sweep", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=sorted(stories), help="this one only; may be repeated")
    parser.add_argument("--fault", action="append", choices=get_args(Fault), help="this one only; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="the first call to try")
    parser.add_argument("--words", action="store_true", help="show in which words the errors were told")
    parser.add_argument("--every", type=int, default=1, help="try each n-th call only")
    chosen = parser.parse_args()
    if why := missing():
        parser.exit(2, f"{why}\n")
    failed = False
    for name in chosen.scenario or stories:
        for fault in chosen.fault or get_args(Fault):
            for lasting in (False,) if fault == "kill" else (False, True):
                begin = time.monotonic()
                with tempfile.TemporaryDirectory() as folder:
                    tally = sweep(
                        stories[name],
                        fault,
                        folder=Path(folder),
                        first=chosen.first,
                        every=chosen.every,
                        lasting=lasting,
                    )
                words = [f"{count} × {text}" for text, count in sorted(tally.told.items())] if chosen.words else []
                print(f"{tally} in {time.monotonic() - begin:.0f} s", *words, *tally.failures, sep="\n    ", flush=True)  # noqa: T201
                failed |= bool(tally.failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
