"""A reverse proxy between client and lakeFS that rewrites answers, or loses them after the server has acted."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Middle:
    """Forwards everything to a server.

    Args:
        upstream: Address of the server.

    Attributes:
        rewrites: Texts to replace in the bodies of answers.
        lose: How many of the next answers to requests of a method are lost on the way.
        requests: (method, path with query, headers) of what came.
    """

    def __init__(self, upstream: str) -> None:
        self.rewrites: dict[str, str] = {}
        self.lose: dict[str, int] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        middle = self

        class Handler(BaseHTTPRequestHandler):
            def _forward(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                middle.requests.append((self.command, self.path, dict(self.headers)))
                address = urlsplit(upstream)
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if middle.lose.get(self.command, 0):
                    middle.lose[self.command] -= 1
                    self.close_connection = True
                    return
                if answer.getheader("Content-Type", "").startswith("application/json"):
                    for old, new in middle.rewrites.items():
                        content = content.replace(old.encode(), new.encode())
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"content-length", "connection", "transfer-encoding", "date"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = True

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward  # noqa: N815 - the standard library's names

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
