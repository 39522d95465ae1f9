"""A stand-in for the Hugging Face Hub on the loopback address: what pushing and pulling an atlas asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

TOKEN = "hf_of_the_stand_in"
Files = dict[str, bytes]


@dataclass
class Repository:
    """One repository: its commits, the newest last, each with all its files."""

    private: bool
    commits: list[tuple[str, Files]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: Files, message: str = "") -> str:
        """Add files to those of the newest commit; the new commit's id."""
        every = {**(self.commits[-1][1] if self.commits else {}), **files}
        sha = hashlib.sha1(f"{len(self.commits)}".encode() + b"".join(every.values())).hexdigest()
        self.commits.append((sha, every))
        self.messages.append(message)
        return sha

    def at(self, revision: str) -> tuple[str, Files] | None:
        """A commit by its id, or the newest by the branch's name."""
        if revision == "main":
            return self.commits[-1]
        return next((c for c in self.commits if c[0] == revision), None)


@dataclass
class StandIn:
    """What the server holds, and what it is told to do.

    Attributes:
        url: where it is.
        repositories: by name.
        broken: whether it answers 500 to everything.
        asked: method and path of every request.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, files: Files, private: bool = False) -> Repository:
        """Put a repository there without a request."""
        self.repositories[name] = repository = Repository(private)
        repository.commit(files)
        return repository


def _refused(status: int, code: str, said: str) -> Response:
    return JSONResponse({"error": said}, status, {"X-Error-Code": code, "X-Error-Message": said})


def stand_in_app(hub: StandIn) -> FastAPI:
    """The server's application."""
    app = FastAPI()

    @app.middleware("http")
    async def watched(request: Request, call: Any) -> Response:
        hub.asked.append(f"{request.method} {request.url.path}")
        if hub.broken:
            return JSONResponse({"error": "out of order"}, 500)
        allowed = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if request.method == "POST" and not allowed:
            return JSONResponse({"error": "Invalid credentials"}, 401)
        answer: Response = await call(request)
        return answer

    _add_writing(app, hub)
    _add_reading(app, hub)
    return app


def _add_writing(app: FastAPI, hub: StandIn) -> None:
    @app.post("/api/repos/create")
    async def create(request: Request) -> Response:
        asked = await request.json()
        name = f"{asked['organization']}/{asked['name']}"
        assert asked.get("type", "model") == "model"
        found = name in hub.repositories
        if not found:
            hub.repositories[name] = Repository(asked.get("visibility") == "private")
            hub.repositories[name].commit({".gitattributes": b""})
        return JSONResponse({"url": f"{hub.url}/{name}", "name": name}, 409 if found else 200)

    @app.post("/api/validate-yaml")
    async def validate(request: Request) -> Response:
        import yaml

        content = (await request.json())["content"]
        header = yaml.safe_load(content.split("---")[1])
        assert isinstance(header, dict)
        return JSONResponse({"errors": [], "warnings": []})

    @app.post("/api/models/{owner}/{repo}/preupload/{revision}")
    async def preupload(owner: str, repo: str, revision: str, request: Request) -> Response:
        files = (await request.json())["files"]
        modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
        _, held = hub.repositories[f"{owner}/{repo}"].commits[-1]
        return JSONResponse({"files": [{**m, "oid": _oid(held.get(m["path"]))} for m in modes]})

    @app.post("/api/models/{owner}/{repo}/commit/{revision}")
    async def commit(owner: str, repo: str, revision: str, request: Request) -> Response:
        lines = [json.loads(line) for line in (await request.body()).splitlines()]
        values = [(line["key"], line["value"]) for line in lines]
        message = next(v["summary"] for k, v in values if k == "header")
        files = {v["path"]: base64.b64decode(v["content"]) for k, v in values if k == "file"}
        sha = hub.repositories[f"{owner}/{repo}"].commit(files, message)
        return JSONResponse({"commitUrl": f"{hub.url}/{owner}/{repo}/commit/{sha}", "commitOid": sha})


def _oid(content: bytes | None) -> str | None:
    """The id that git gives a file."""
    return None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _add_reading(app: FastAPI, hub: StandIn) -> None:
    @app.get("/api/models/{owner}/{repo}")
    @app.get("/api/models/{owner}/{repo}/revision/{revision}")
    def info(owner: str, repo: str, revision: str = "main") -> Response:
        name = f"{owner}/{repo}"
        if name not in hub.repositories:
            return _refused(404, "RepoNotFound", "Repository not found")
        found = hub.repositories[name].at(revision)
        if found is None:
            return _refused(404, "RevisionNotFound", "Invalid rev id")
        siblings = [{"rfilename": path, "size": len(content)} for path, content in found[1].items()]
        private = hub.repositories[name].private
        said = {"id": name, "modelId": name, "sha": found[0], "private": private, "siblings": siblings}
        return JSONResponse({**said, "tags": [], "downloads": 0, "likes": 0})

    @app.head("/{owner}/{repo}/resolve/{revision}/{path:path}")
    @app.get("/{owner}/{repo}/resolve/{revision}/{path:path}")
    def resolve(owner: str, repo: str, revision: str, path: str) -> Response:
        found = hub.repositories[f"{owner}/{repo}"].at(revision)
        if found is None or path not in found[1]:
            return _refused(404, "EntryNotFound", "Entry not found")
        content = found[1][path]
        headers = {"X-Repo-Commit": found[0], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A server that runs while inside, on a free port of the loopback address."""
    hub = StandIn()
    server = uvicorn.Server(uvicorn.Config(stand_in_app(hub), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    hub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)
