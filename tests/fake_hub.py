"""A Hub on 127.0.0.1, for tests: serves the folders below a root as repositories, with the few paths that huggingface_hub asks, and takes
Spaces in the way that huggingface_hub 2.4 sends them where hf_xet is not used: text in the commit, other files as LFS objects."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml


class FakeHub:
    """The folder root/owner/model is the model owner/model, root/datasets/owner/name the dataset owner/name, and owner/name@parquet beside
    that its branch refs/convert/parquet. root/spaces/owner/name is the Space owner/name, which may be created and changed with a token; a
    name in `private` is a Space that only its owner sees; a POST to a path that ends with a key of `refuses` is answered with that status.

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
        self.refuses: dict[str, int] = {}
        self.private: set[str] = set()
        self.commits: list[list[dict]] = []
        self.objects: dict[str, bytes] = {}  # the LFS objects that were sent, by sha256
        self.asked: list[str] = []
        self.ranges: list[str] = []
        self.tokens: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
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
        folder = self.root / ("" if kind == "models" else kind) / name
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
            page = {"id": name, "modelId": name, "sha": sha, "private": name in self.private,
                    "gated": "auto" if name in self.gated_files else False, "tags": [], "downloads": 0, "likes": 0,
                    "siblings": [{"rfilename": file, "size": size} for file, size in sizes.items()]}
            card = files.get("README.md", b"").decode().split("---\n")
            if kind == "datasets" and len(card) > 2:
                page["cardData"] = yaml.safe_load(card[1])
        return 200, {"Content-Type": "application/json"}, json.dumps(page).encode()

    def take(self, path: str, sent: bytes, has_token: bool) -> tuple[int, dict]:
        """Status and page for a POST or a PUT of `sent` to `path`."""
        self.asked.append(path)
        if path.startswith("/objects/"):  # the address of a store has its own signature in place of a token
            self.objects[hashlib.sha256(sent).hexdigest()] = sent
            return 200, {}
        refused = next((status for end, status in self.refuses.items() if path.endswith(end)), 0 if has_token else 401)
        if refused:
            return refused, {"error": "refused"}
        if path == "/api/repos/create":
            return self._create(json.loads(sent))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        _, name, rest = _parts(path)
        folder = self.root / "spaces" / name.removesuffix(".git")
        if rest[-1] == "batch":
            wanted = json.loads(sent)["objects"]
            upload = {"actions": {"upload": {"href": f"{self.url}/objects/one"}}}
            return 200, {"transfer": "basic", "objects": [entry | ({} if entry["oid"] in self.objects else upload) for entry in wanted]}
        if rest[0] == "preupload":
            modes = {file["path"]: "lfs" if b"\0" in base64.b64decode(file["sample"]) else "regular" for file in json.loads(sent)["files"]}
            return 200, {"files": [{"path": file, "uploadMode": mode, "shouldIgnore": False, "oid": _oid(folder / file, mode)}
                                   for file, mode in modes.items()]}
        assert rest[0] == "commit", path
        return self._commit(folder, [json.loads(line) for line in sent.splitlines()])

    def _create(self, asked: dict) -> tuple[int, dict]:
        name = f"{asked['organization']}/{asked['name']}"
        folder, page = self.root / "spaces" / name, {"url": f"{self.url}/spaces/{name}"}
        assert (asked["type"], asked["sdk"]) == ("space", "gradio")
        if folder.is_dir():
            return 409, page
        folder.mkdir(parents=True)
        (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        (folder / "README.md").write_text("---\nsdk: gradio\n---\n")
        self.private |= {name} if asked.get("visibility") == "private" else set()
        return 200, page

    def _commit(self, folder: Path, lines: list[dict]) -> tuple[int, dict]:
        self.commits.append(lines)
        for line in lines[1:]:
            value = line["value"]
            file = folder / value["path"]
            if line["key"] == "deletedFile":
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(value["content"]) if line["key"] == "file" else self.objects[value["oid"]])
        return 200, {"commitUrl": f"{self.url}/spaces/{folder.parent.name}/{folder.name}/commit/{'1' * 40}", "commitOid": "1" * 40}


def _oid(file: Path, mode: str) -> str | None:
    """How the Hub names the content of a file that it has: by its sha256 as an LFS object, else as git does."""
    if not file.is_file():
        return None
    body = file.read_bytes()
    return hashlib.sha256(body).hexdigest() if mode == "lfs" else hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    """What answers the requests of `hub`."""
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

        def do_POST(self) -> None:  # noqa: N802
            hub.tokens |= {self.headers["Authorization"]} if "Authorization" in self.headers else set()
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            status, page = hub.take(urlsplit(self.path).path, sent, "Authorization" in self.headers)
            body = json.dumps(page).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST

        def log_message(self, *args: object) -> None:
            pass

    return Handler


def _parts(path: str) -> tuple[str, str, list[str]]:
    """'models', 'datasets' or 'spaces', the name, and what follows it."""
    first, *rest = [unquote(part) for part in path.strip("/").split("/")]
    if first == "api":
        first, *rest = rest
    elif first not in ("datasets", "spaces"):
        first, rest = "models", [first, *rest]
    owned = 1 if rest[1:2] in ([], ["revision"], ["resolve"], ["tree"]) else 2
    return first, "/".join(rest[:owned]), rest[owned:]
