def test_a_healthy_mount(run, garments):
    result = run("doctor", "garments")
    assert ["ok", "branches"] in [row[:2] for row in result.rows]
    document = run("doctor", "garments", "--json").json
    assert {"check", "state", "detail", "hint"} == document[0].keys()
    assert {row["state"] for row in document} <= {"ok", "skipped"}


def test_without_a_mount_it_looks_at_all_of_them(run, folder):
    (folder / "datastore.yaml").write_text("mounts: {scratch: {provider: memory}}\n")
    assert ["ok", "mount scratch"] in [row[:2] for row in run("doctor").rows]


def test_what_fails_is_in_the_exit_code(folder, shell):
    (folder / "datastore.yaml").write_text("mounts: {bad: {provider: local, pth: x}}\n")
    done = shell("doctor", "bad")
    assert done.returncode == 1
    assert b"failed\topen" in done.stdout
    assert b"pth" in done.stdout
