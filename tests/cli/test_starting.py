import datastore as ds
from datastore import quickstart
from datastore.namespace import reset_current

PROJECT = """
mounts:
  raw: {provider: s3, bucket: acme, endpoint_url: "https://storage.example.com"}
"""


def test_quickstart_tells_the_story_and_leaves_a_repo(run):
    out = run("quickstart").out
    assert "ds://penguins@main/penguins.parquet" in out
    assert [repo.name for repo in ds.repos()] == ["penguins"]


def test_quickstart_passes_on_what_it_is_given(run, folder, monkeypatch):
    calls = []

    def story(folder, *, notebook, echo):
        calls.append((folder, notebook))
        echo("\nOnce\x1b[31m")
        return ds.create_repo("mine")

    monkeypatch.setattr(quickstart, "run", story)
    assert run("quickstart", "data", "--notebook").out == "\nOnce\\u001b[31m\n"
    assert [(str(path), notebook) for path, notebook in calls] == [("data", True)]


def test_quickstart_json_prints_the_document_alone(shell):
    done = shell("quickstart", "--json")
    assert done.stdout.startswith(b'{\n  "name": "penguins"')
    assert b"penguins.parquet" in done.stderr


def test_quickstart_of_a_folder_that_is_not_there(fail):
    assert "'nowhere'" in fail("quickstart", "nowhere")


def test_trust_shows_the_hosts_and_asks(run, fail, folder, shell):
    (folder / "datastore.yaml").write_text(PROJECT)
    done = shell("trust")
    assert done.returncode == 1
    assert b"storage.example.com" in done.stderr
    assert b"--yes" in done.stderr
    accepted = shell("trust", "--yes", "--json")
    assert accepted.returncode == 0
    assert b'"raw": [\n      "storage.example.com"\n    ]' in accepted.stdout
    assert b"hint" not in accepted.stderr


def test_trust_of_a_file_that_needs_none(run, folder):
    (folder / "datastore.yaml").write_text("mounts: {}\n")
    assert "needs no trust" in run("trust").out
    assert run("trust", folder / "datastore.yaml", "--json").json == {
        "file": str(folder / "datastore.yaml"),
        "trusted": {},
    }


def test_trust_without_a_file(fail):
    reset_current()
    assert "no datastore.yaml here or above" in fail("trust")
    fail("trust", "nosuch.yaml")
