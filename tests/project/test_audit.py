from tools.audit import NOT_RUN, Dependency, Report, Vulnerability, judge


def clean(name: str) -> Dependency:
    return Dependency(name, "1.0")


def skipped(name: str) -> Dependency:
    return Dependency(name, skip_reason="not found")


def test_a_finding_fails_even_where_other_packages_were_skipped():
    bad = Dependency("bad", "1.0", vulns=[Vulnerability("CVE-1", ["1.1"])])
    verdict = judge(Report([clean("a"), skipped("b"), bad]), "")
    assert verdict.failed
    assert "audit: bad 1.0: CVE-1, fixed in 1.1" in verdict.lines


def test_a_clean_answer_says_how_many_packages_it_is_about():
    assert judge(Report([clean("a"), clean("b")]), "") == (["audit: 2 packages, 0 findings"], False)


def test_packages_that_the_service_did_not_know_are_named():
    lines, failed = judge(Report([clean("a"), skipped("b")]), "")
    assert not failed
    assert lines[-1].endswith("unknown to the service: b")


def test_a_service_that_knows_nothing_is_not_a_clean_audit():
    assert judge(Report([skipped("a"), skipped("b")]), "No known vulnerabilities found") == ([NOT_RUN], False)


def test_no_connection_is_said_and_passes():
    assert judge(None, "requests.exceptions.ConnectionError: Failed to resolve") == ([NOT_RUN], False)


def test_any_other_trouble_of_the_tool_fails_with_its_log():
    assert judge(None, "error: unrecognized arguments: --outptu") == (["error: unrecognized arguments: --outptu"], True)
