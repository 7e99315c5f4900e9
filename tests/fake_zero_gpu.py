"""ZeroGPU on 127.0.0.1, for tests: the device API that the package `spaces` asks for a GPU, and the app's environment on such a Space."""

import json
import os
import signal
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

SHIM = Path(__file__).with_name("zero_gpu_shim")


class FakeZeroGpu:
    """Keeps what it was asked, as (path, parameters), in `asked`. While `refusal` is set, it lends nothing: 'quota', 'busy' or 'down'. With
    `cut_after` it kills a process so many seconds after it let it have the GPU, as ZeroGPU does when the time is over."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refusal, self.cut_after = "", 0.0
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                url = urlsplit(self.path)
                status, answer = api.answer(url.path, dict(parse_qsl(url.query)))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a Space on ZeroGPU whose device API this is, with a CPU in the place of the GPU."""
        return {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": self.url, "PYTHONPATH": str(SHIM)}

    def count(self, path: str) -> int:
        """How often `path` was asked."""
        return sum(asked == path for asked, _ in self.asked)

    def last(self, path: str) -> dict[str, str]:
        """The parameters with which `path` was asked last."""
        return next(parameters for asked, parameters in reversed(self.asked) if asked == path)

    def answer(self, path: str, parameters: dict[str, str]) -> tuple[int, dict]:
        """As spaces.zero.api.APIClient expects it."""
        self.asked.append((path, parameters))
        if path == "/schedule":
            if self.refusal == "quota":
                return 429, {"left": 5, "wait": 3600}
            if self.refusal:
                return 503 if self.refusal == "busy" else 500, {}
            return 200, {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "", "allowToken": str(len(self.asked))}
        if path == "/allow" and self.cut_after:
            threading.Timer(self.cut_after, _kill, [int(parameters["pid"])]).start()
        return 200 if path in ("/startup-report", "/allow", "/release") else 404, {}


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        os.kill(process, signal.SIGKILL)
