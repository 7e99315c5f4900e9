"""A Hub on 127.0.0.1, for tests: serves the folders below a root as model repositories, with the few paths that huggingface_hub asks."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


class FakeHub:
    """The folder root/owner/model is the repository owner/model.

    A name in `gated` is refused altogether, one in `gated_files` shows its page but not its files; `sizes` overstates files.
    """

    def __init__(self, root: Path, gated: set[str] = frozenset(), gated_files: set[str] = frozenset(),
                 sizes: dict[str, int] | None = None) -> None:
        self.root, self.gated, self.gated_files, self.sizes = root, gated, gated_files, sizes or {}
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):  # HTTP/1.0: no connection outlives close()
            def do_GET(self) -> None:  # noqa: N802
                status, headers, body = hub.answer(urlsplit(self.path).path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop answering; the port is closed afterwards."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a GET of `path`."""
        self.asked.append(path)
        parts = path.strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        owner_and_name, rest = (parts[2:4], parts[4:]) if api else (parts[:2], parts[2:])
        name = "/".join(owner_and_name)
        folder = self.root / name
        if not folder.is_dir():
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated or (name in self.gated_files and "resolve" in rest):
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        sha = hashlib.sha1(name.encode()).hexdigest()
        if not api and rest[0] == "resolve":
            file = folder / "/".join(rest[2:])
            if not file.is_file():
                return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}, b""
            body = file.read_bytes()
            return 200, {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": sha}, body
        files = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
        sizes = {file: self.sizes.get(f"{name}/{file}", len(body)) for file, body in files.items()}
        if rest[:1] == ["tree"]:
            page = [{"type": "file", "path": file, "size": sizes[file], "oid": hashlib.sha1(files[file]).hexdigest()} for file in files]
        else:
            page = {"id": name, "modelId": name, "sha": sha, "private": False, "gated": False, "tags": [], "downloads": 0, "likes": 0,
                    "siblings": [{"rfilename": file, "size": size} for file, size in sizes.items()]}
        return 200, {"Content-Type": "application/json"}, json.dumps(page).encode()
