"""Networks that are bad, certificates that nobody knows, and proxies."""

import contextlib
import os
import socket
import ssl
import threading

import pytest

from datastore.calls import FileSlice
from datastore.errors import ConfigError, SecurityError, Unavailable
from tests.http.requests import get, post, put
from tests.http.wire import CLOSE, RESET, STALL, Pause, reply


@pytest.fixture
def nobody():
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_nobody_there_is_unavailable_and_says_where(engine, nobody):
    with engine.observatory.watch() as seen, pytest.raises(Unavailable) as refused:
        engine.send(get(nobody + "/a?X-Amz-Signature=s3cr3t"))
    assert "read object 'a': no answer from" in str(refused.value)
    assert nobody in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    assert "endpoint" in (refused.value.hint or "")
    assert len(seen) == 5


def test_a_name_that_nobody_has_is_unavailable(engine):
    with pytest.raises(Unavailable, match=r"nobody\.invalid"):
        engine.send(get("http://nobody.invalid/a"))


def test_a_server_that_comes_up_meanwhile_answers(serve, engine, monkeypatch):
    server = serve(lambda asked: [RESET] if asked.nth < 3 else reply(b"up"))
    assert engine.send(get(server.endpoint)).body == b"up"


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nno colon"]
)
def test_what_is_no_answer_is_unavailable(serve, engine, answer):
    server = serve(lambda asked: [answer, CLOSE])
    with pytest.raises(Unavailable):
        engine.send(get(server.endpoint))
    assert len(server.asked) == 8


@pytest.mark.parametrize("after", [None, 0, 500])
@pytest.mark.parametrize("method", [get, put])
def test_a_server_that_falls_silent_is_asked_again(serve, engine, after, method):
    def script(asked):
        if "range" in asked.headers:
            part = {"ETag": '"1"', "Content-Range": f"bytes {after}-999/1000"}
            return reply(b"x" * (1000 - after), status=206, headers=part)
        if asked.nth > 1:
            return reply(b"x" * 1000)
        return [STALL] if after is None else [reply(length=1000, headers={"ETag": '"1"'}), b"x" * after, STALL]

    server = serve(script)
    response = engine.send(method(server.endpoint, patience=1.0))
    assert (response.body, response.attempts) == (b"x" * 1000, 2)


def test_a_server_that_takes_nothing_any_more_is_asked_again(engine):
    """It accepts the connection and reads nothing of a large body."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = put(f"http://127.0.0.1:{deaf.getsockname()[1]}/", b"x" * (32 << 20), patience=1.0, repeatable=False)
        with pytest.raises(Unavailable):
            engine.send(request)


def test_slow_is_not_silent(serve, engine):
    server = serve(lambda asked: [reply(length=1000), *[b"x" * 100, Pause(0.25)] * 10])
    assert engine.send(get(server.endpoint, patience=1.0)).body == b"x" * 1000
    assert len(server.asked) == 1


def test_a_server_that_thinks_for_long_is_waited_for(serve, engine):
    server = serve(lambda asked: [Pause(2.5), reply(b"done")])
    assert engine.send(post(server.endpoint, b"complete", patience=30)).body == b"done"


def test_connections_are_used_again(serve, engine):
    server = serve(lambda asked: reply(b"x"))
    for _ in range(20):
        engine.send(get(server.endpoint))
    assert server.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(serve, engine):
    server = serve(lambda asked: [reply(b"x"), CLOSE])
    for _ in range(5):
        response = engine.send(get(server.endpoint))
        assert (response.body, response.attempts) == (b"x", 1)
        server.wait_for(lambda: server.open_connections == 0)


def test_an_upload_over_a_connection_that_was_closed_meanwhile_is_whole(serve, engine, tmp_path):
    server = serve(lambda asked: [reply(b"x"), CLOSE])
    data = os.urandom(1 << 20)
    (tmp_path / "body").write_bytes(data)
    with (tmp_path / "body").open("rb") as file:
        for body in (data, FileSlice(file.fileno(), 0, len(data)), data):
            assert engine.send(put(server.endpoint, body)).status == 200
            server.wait_for(lambda: server.open_connections == 0)
    assert {asked.body for asked in server.asked} == {data}


# ---------------------------------------------------------------------------------------------------------------- TLS
def test_a_certificate_that_nobody_knows_is_refused_at_once(serve, engine, tls):
    server = serve(lambda asked: reply(b"x"), tls=tls)
    with engine.observatory.watch() as seen, pytest.raises(SecurityError) as refused:
        engine.send(get(server.endpoint))
    assert "certificate of" in str(refused.value)
    assert "SSL_CERT_FILE" in (refused.value.hint or "")
    assert len(seen) == 1
    assert server.asked == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_named_by_the_environment(
    serve, engine, tls, *, authority, variable, tmp_path, monkeypatch
):
    """Also after a first attempt without: nobody wants to start a notebook anew for that."""
    server = serve(lambda asked: reply(b"x" * 100_000), tls=tls)
    with pytest.raises(SecurityError):
        engine.send(get(server.endpoint))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    assert engine.send(get(server.endpoint)).size == 100_000
    assert engine.send(get(server.endpoint)).size == 100_000
    assert len({asked.connection for asked in server.asked}) == 1
    monkeypatch.delenv(variable)
    with pytest.raises(SecurityError):
        engine.send(get(server.endpoint))


def test_an_authority_that_is_not_there_is_named(serve, engine, tls, monkeypatch):
    server = serve(lambda asked: reply(b"x"), tls=tls)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    with pytest.raises(ConfigError, match="SSL_CERT_FILE names /nowhere/authority"):
        engine.send(get(server.endpoint))
    plain = serve(lambda asked: reply(b"plain"))
    assert engine.send(get(plain.endpoint)).body == b"plain"


def test_a_file_of_authorities_that_is_none_is_an_error(serve, engine, tls, monkeypatch, tmp_path):
    server = serve(lambda asked: reply(b"x"), tls=tls)
    (tmp_path / "authority.pem").write_text("this is no certificate", "utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with pytest.raises(SecurityError):
        engine.send(get(server.endpoint))


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(serve, engine, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("another.example").configure_cert(context)
    server = serve(lambda asked: reply(b"x"), tls=context)
    with pytest.raises(SecurityError):
        engine.send(get(server.endpoint))
    assert server.asked == []


def test_plain_http_behind_https_is_unavailable(engine):
    def answer():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unavailable):
            engine.send(get(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.usefixtures("trusted")
def test_bodies_over_tls(serve, engine, tls, tmp_path):
    data = os.urandom(2 << 20)
    server = serve(
        lambda asked: (
            [reply(length=len(data), headers={"ETag": '"1"'}), data[:5000], Pause(0.02), CLOSE]
            if asked.nth == 1
            else reply(
                data[5000:],
                status=206,
                headers={"ETag": '"1"', "Content-Range": f"bytes 5000-{len(data) - 1}/{len(data)}"},
            )
        ),
        tls=tls,
    )
    assert engine.send(get(server.endpoint)).body == data
    (tmp_path / "body").write_bytes(data)
    with (tmp_path / "body").open("rb") as file:
        engine.send(put(server.endpoint, FileSlice(file.fileno(), 0, len(data))))
    assert server.asked[-1].body == data


# ------------------------------------------------------------------------------------------------------------- proxies
def test_a_proxy_of_the_environment_is_used(serve, engine, monkeypatch):
    proxy = serve(lambda asked: reply(b"by proxy"))
    monkeypatch.setenv("http_proxy", f"http://me:s3cr3t@{proxy.address}")
    assert engine.send(get("http://store.example/a")).body == b"by proxy"
    (asked,) = proxy.asked
    assert asked.target == "http://store.example/a"
    assert asked.headers["host"] == "store.example"
    assert asked.headers["proxy-authorization"].startswith("Basic ")


def test_no_proxy_is_no_proxy(serve, engine, monkeypatch):
    server, proxy = serve(lambda asked: reply(b"direct")), serve(lambda asked: reply(b"by proxy"))
    monkeypatch.setenv("http_proxy", proxy.endpoint)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert engine.send(get(server.endpoint)).body == b"direct"


@pytest.mark.parametrize("refused", [True, False])
def test_a_proxy_sees_nothing_of_what_goes_through_a_tunnel(serve, engine, monkeypatch, refused):
    proxy = serve(lambda asked: [reply(status=407 if refused else 502), CLOSE])
    monkeypatch.setenv("https_proxy", proxy.endpoint)
    with pytest.raises(Unavailable):
        engine.send(get("https://store.example/secret/path", headers={"Authorization": "s3cr3t", "X-Token": "t"}))
    for asked in proxy.asked:
        assert asked.method == "CONNECT"
        assert asked.target == "store.example:443"
        assert {"authorization", "x-token"}.isdisjoint(asked.headers)


def test_a_proxy_that_is_not_there_is_named(engine, monkeypatch, nobody):
    monkeypatch.setenv("http_proxy", nobody)
    with pytest.raises(Unavailable) as refused:
        engine.send(get("http://store.example/a"))
    assert "proxy" in (refused.value.hint or "")
    assert "store.example" in str(refused.value)
