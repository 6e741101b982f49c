"""An HTTP server on loopback that keeps a log and can be told to misbehave."""

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Server:
    """Serves bytes by name.

    Attributes:
        files: the content of each name.
        cuts: after how many bytes to break off, one a request, used up in turn; None does not.
        ranges: whether it knows the Range header.
        log: name, start of the range or None, and bytes sent, one a request.
    """

    files: dict[str, bytes]
    cuts: list[int | None] = field(default_factory=list)
    ranges: bool = True
    log: list[tuple[str, int | None, int]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    state = Server(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/data/")
            content = state.files.get(name)
            if content is None:
                state.log.append((name, None, 0))
                self.send_error(404)
                return
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if state.ranges else None
            start = int(asked[1]) if asked else 0
            if asked and start >= len(content):
                state.log.append((name, start, 0))
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            cut = state.cuts.pop(0) if state.cuts else None
            body = content[start:] if cut is None else content[start : start + cut]
            state.log.append((name, start if asked else None, len(body)))
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr: the log is kept above."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/data/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
