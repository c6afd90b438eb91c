"""What tests of live figures share: Node for their arithmetic, pages served on loopback for their behaviour."""

from unmagic.figures import STATIC

import http.server
import json
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def node():
    """`node(code, **names)` runs an ES module in Node with `names` as constants; returns what it hands to `give(…)`.

    Everything that static/<use>.js exports is there as `d`; `use` is "descent" unless it is said.
    """

    def run(code: str, use: str = "descent", **names):
        given = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in names.items())
        script = (
            f"import * as d from {json.dumps((STATIC / f'{use}.js').as_uri())};\n"
            "const give = (value) => process.stdout.write(JSON.stringify(value));\n" + given + code
        )
        done = subprocess.run(
            ["node", "--input-type=module"], input=script, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """`site(name, html)` puts a page beside figures/ and gives its address on 127.0.0.1."""
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "figures").symlink_to(STATIC)
    (folder / "favicon.ico").write_bytes(b"")  # the browser asks for it by itself
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def put(name: str, html: str) -> str:
        (folder / name).write_text(html, encoding="utf-8")
        return f"http://127.0.0.1:{server.server_port}/{name}"

    yield put
    server.shutdown()
    server.server_close()
    thread.join()
