"""A Hub on 127.0.0.1, for tests: serves the folders below a root as repositories, with the few paths that huggingface_hub asks."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml


class FakeHub:
    """The folder root/owner/model is the model owner/model, root/datasets/owner/name the dataset owner/name, and owner/name@parquet beside
    that its branch refs/convert/parquet.

    A name in `gated` is refused altogether, one in `gated_files` shows its page but not its files; `sizes` overstates files. The other
    faults may be set and cleared while it runs: names in `hidden` are answered as a stranger is who asks for what is private or not
    there; a name in `moved` sends on to another; a file in `cuts` (owner/name/path) breaks off at that byte and then cannot be
    had; one in `hiccups` breaks off once; while `whole`, who asks for the rest of a file gets all of it; while `down`, all is status 503.
    """

    def __init__(self, root: Path, gated: set[str] = frozenset(), gated_files: set[str] = frozenset(),
                 sizes: dict[str, int] | None = None) -> None:
        self.root, self.gated, self.gated_files, self.sizes = root, set(gated), set(gated_files), sizes or {}
        self.hidden: set[str] = set()
        self.moved: dict[str, str] = {}
        self.cuts: dict[str, int] = {}
        self.hiccups: dict[str, int] = {}
        self.whole = self.down = False
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.tokens: set[str] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):  # HTTP/1.0: no connection outlives close()
            def do_GET(self) -> None:  # noqa: N802
                path, span = urlsplit(self.path).path, self.headers.get("Range")
                hub.tokens |= {self.headers["Authorization"]} if "Authorization" in self.headers else set()
                status, headers, body = hub.answer(path)
                end = len(body)
                if self.command == "GET" and status == 200 and "ETag" in headers:  # a file
                    start = int(span.removeprefix("bytes=").split("-")[0]) if span else 0
                    end = hub.breaks_off(path, len(body))
                    if span:
                        hub.ranges.append(span)
                    if hub.whole:
                        start = 0
                    elif span:
                        status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                    if start == end < len(body):
                        status, headers, body = 503, {}, b""
                    body, end = body[start:], end - start
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body[:end])

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

    def sha(self, name: str, branch: str = "main") -> str:
        """The commit of that repository's branch."""
        return hashlib.sha1((name if branch == "main" else f"{name}@{branch}").encode()).hexdigest()

    def breaks_off(self, path: str, size: int) -> int:
        """How many bytes of the file at `path` can be had."""
        _, name, rest = _parts(path)
        file = "/".join((name, *rest[2:]))
        return self.cuts.get(file, self.hiccups.pop(file, size))

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a GET of `path`."""
        self.asked.append(path)
        if self.down:
            return 503, {}, b""
        kind, name, rest = _parts(path)
        if name in self.moved:
            return 307, {"Location": path.replace(f"/{name}", f"/{self.moved[name]}")}, b""
        if name in self.hidden:
            return 401, {"X-Error-Message": "Invalid username or password."}, b"{}"
        folder = self.root / ("datasets" if kind == "datasets" else "") / name
        if not folder.is_dir():
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if name in self.gated or (name in self.gated_files and "resolve" in rest):
            return 403, {"X-Error-Code": "GatedRepo"}, b"{}"
        sha = self.sha(name)
        if kind == "datasets" and len(rest) > 1:
            branch = folder.with_name(f"{folder.name}@parquet")
            if rest[1] in ("refs/convert/parquet", self.sha(name, "refs/convert/parquet")) and branch.is_dir():
                folder, sha = branch, self.sha(name, "refs/convert/parquet")
            elif rest[1] not in ("main", sha):
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if rest[:1] == ["resolve"]:
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
            page = {"id": name, "modelId": name, "sha": sha, "private": False, "gated": "auto" if name in self.gated_files else False,
                    "tags": [], "downloads": 0, "likes": 0, "siblings": [{"rfilename": file, "size": size} for file, size in sizes.items()]}
            card = files.get("README.md", b"").decode().split("---\n")
            if kind == "datasets" and len(card) > 2:
                page["cardData"] = yaml.safe_load(card[1])
        return 200, {"Content-Type": "application/json"}, json.dumps(page).encode()


def _parts(path: str) -> tuple[str, str, list[str]]:
    """'models' or 'datasets', the name, and what follows it."""
    first, *rest = [unquote(part) for part in path.strip("/").split("/")]
    if first == "api":
        first, *rest = rest
    elif first != "datasets":
        first, rest = "models", [first, *rest]
    owned = 1 if rest[1:2] in ([], ["revision"], ["resolve"], ["tree"]) else 2
    return first, "/".join(rest[:owned]), rest[owned:]
