"""Asks pip-audit for known vulnerabilities in what the core requirements install.

`python -m tools.audit` exits with 1 on a finding; when the service cannot be reached it says so and exits with 0.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from tools.licences import closure, pins

NOT_RUN = "audit: service not reachable, not run"
_UNREACHABLE = re.compile(r"ConnectionError|could not connect|timed? ?out|max retries|name resolution", re.IGNORECASE)


class Vulnerability(msgspec.Struct):
    """One finding of pip-audit's report."""

    id: str
    fix_versions: list[str] = []


class Dependency(msgspec.Struct):
    """One package of pip-audit's report; `skip_reason` when the service did not answer for it."""

    name: str
    version: str = ""
    skip_reason: str = ""
    vulns: list[Vulnerability] = []


class Report(msgspec.Struct):
    """The part of pip-audit's JSON report that counts here."""

    dependencies: list[Dependency]


class Verdict(NamedTuple):
    """What to print, and whether it is a failure."""

    lines: list[str]
    failed: bool


def judge(report: Report | None, log: str) -> Verdict:
    """Decide what a report (None: there is none) and the log of pip-audit mean.

    pip-audit exits with 0 and "No known vulnerabilities found" where the service knows none of the packages, as behind
    a mirror that serves files only: packages that were skipped are therefore counted as not audited.
    """
    if report is None:
        return Verdict([NOT_RUN], failed=False) if _UNREACHABLE.search(log) else Verdict([log], failed=True)
    findings = [
        f"audit: {d.name} {d.version}: {v.id}, fixed in {', '.join(v.fix_versions) or 'no version'}"
        for d in report.dependencies
        for v in d.vulns
    ]
    skipped = [d.name for d in report.dependencies if d.skip_reason]
    audited = len(report.dependencies) - len(skipped)
    if not audited:
        return Verdict([NOT_RUN], failed=False)
    lines = [f"audit: {audited} packages, {len(findings)} findings", *findings]
    if skipped:
        lines.append(f"audit: not audited, unknown to the service: {', '.join(skipped)}")
    return Verdict(lines, failed=bool(findings))


def audit(requirements: str, folder: Path) -> tuple[Report | None, str]:
    """Run pip-audit on `name==version` lines; return its report and its log."""
    wanted, answer = folder / "requirements.txt", folder / "report.json"
    wanted.write_text(requirements, encoding="utf-8")
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "15", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--output", str(answer), *options]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    text = answer.read_bytes() if answer.exists() else b""
    return (msgspec.json.decode(text, type=Report) if text else None), done.stdout + done.stderr


def main() -> int:
    """Audit the core requirements; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = judge(*audit(pins(closure()), Path(folder)))
    print("\n".join(verdict.lines))
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
