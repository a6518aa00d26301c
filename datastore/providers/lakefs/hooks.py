"""What a hook of lakeFS said when it refused a commit, merge, branch or tag."""

import re
from typing import Final

from datastore.calls import Call, HttpResponse
from datastore.errors import Conflict, DatastoreError
from datastore.providers.lakefs.answers import decoded
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.rows import HookRun, HookRuns

__all__ = ["veto_in"]

_VETO: Final = re.compile(r"(?P<what>.*?): (?P<event>[\w-]+) hook aborted, run id '(?P<run>[^']+)'")
_LINES: Final = 20
"""How many lines of a hook's output are shown: its last ones, where the reason is."""


def veto_in(client: LakeFSClient, repo: str, error: Conflict) -> Conflict | None:
    """Return the error that shows what the hook printed; None if no hook refused.

    Args:
        client: The server.
        repo: The repo.
        error: As `answers.failed` made it of the server's 412.
    """
    found = _VETO.match(error.message)
    if found is None:
        return None
    run = found["run"]
    try:
        said = _failed_hooks(client, repo, run)
    except DatastoreError:  # a token may commit without being allowed to look at runs
        return None
    if not said:
        return None
    return Conflict(
        f"{found['what']}: refused by a {found['event']} hook, run {run}\n" + "\n".join(said),
        hint="nothing was changed; put right what it found, then do it again",
    )


def _failed_hooks(client: LakeFSClient, repo: str, run: str) -> list[str]:
    path = ["repositories", repo, "actions", "runs", run, "hooks"]
    what = f"read run {run} of the actions of {repo!r}"
    hooks = client.run(client.call("GET", path, what=what, finish=decoded(HookRuns))).results
    failed = [hook for hook in hooks if hook.status == "failed"]
    return [
        f"{hook.action}, hook {hook.hook_id}: {client.run(_output_call(client, [*path, hook.hook_run_id], hook))}"
        for hook in failed
    ]


def _output_call(client: LakeFSClient, path: list[str], hook: HookRun) -> Call[str]:
    return client.call("GET", [*path, "output"], what=f"read the output of hook {hook.hook_id!r}", finish=_last_lines)


def _last_lines(response: HttpResponse) -> str:
    return "\n".join(response.body.decode("utf-8", "replace").rstrip().splitlines()[-_LINES:])
