"""A shop's page on another origin that embeds the widget."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serve(crm: str, *, key: str, identity: dict[str, object] | None = None) -> Iterator[str]:
    """Serve one Chinese page with the snippet of docs/support.md and yield its origin. identity: what it tells of its customer."""
    told = f"<script>window.perennial = {json.dumps({'identity': identity})}</script>" if identity else ""
    body = f'<!doctype html><html lang="zh-CN"><title>Shop</title><body><h1>Shop</h1>{told}<script src="{crm}/static/widget/loader.js" data-key="{key}" defer></script></body></html>'

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    # "localhost" against the server's 127.0.0.1: another origin on the same machine.
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
