"""The playground's page and its requests, on the loopback address alone."""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from io import BytesIO

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from PIL import Image
from starlette.exceptions import HTTPException

from headscope.data.schema import Case
from headscope.errors import DataError, HeadscopeError
from headscope.making.scenes.kinds import COLOURS, FACINGS, KINDS, LETTERS, SIGN, SIZES
from headscope.models.types import SCOPES
from headscope.play.play_requests import DrawRequest, HeadRequest, PlayState
from headscope.play.playground import Playground
from headscope.play.shown_answers import AttentionShown, BothAnswers, HeadEffects, RandomSets, StepsShown
from headscope.play.snippet import snippet
from headscope.pointing.styles import STYLES
from headscope.records import JsonObject

HOST = "127.0.0.1"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PARTS = {
    "play.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        ("play.js", "calls.js", "composer.js", "export.js", "headmap.js", "picture.js"),
        "text/javascript; charset=utf-8",
    ),
}
_MOST = 30_000_000  # bytes of an uploaded picture; of any other request a hundredth
_log = logging.getLogger(__name__)

Call = Callable[[Request], Awaitable[Response]]


def play_app(playground: Playground) -> FastAPI:
    """The application: the page at ``/``, and what it asks for under ``/api``.

    Every request that is not a plain GET has to carry the token that the page holds, and every request has to
    be made to this very address, so that other pages in the browser cannot use the model.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    token = secrets.token_urlsafe(24)
    app.middleware("http")(_guard(token))
    _add_page(app, token)
    _add_pictures(app, playground)
    _add_answers(app, playground)

    @app.exception_handler(HeadscopeError)
    def refused(_request: Request, exc: Exception) -> Response:
        return JSONResponse({"error": str(exc)}, 400)

    @app.exception_handler(HTTPException)
    def failed(_request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        return JSONResponse({"error": str(exc.detail)}, exc.status_code)

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"error": f"request: {where}: {first['msg']}"}, 422)

    return app


def _guard(token: str) -> Callable[[Request, Call], Awaitable[Response]]:
    async def guard(request: Request, call: Call) -> Response:
        said = request.headers.get("x-headscope", "")
        length = request.headers.get("content-length", "")
        most = _MOST if request.url.path == "/api/upload" else _MOST // 100
        if not _is_local(request):
            answer: Response = Response("only http://127.0.0.1 is served", 403)
        elif request.method != "GET" and not hmac.compare_digest(said.encode(), token.encode()):
            answer = Response("this page is not allowed to ask", 403)
        elif request.method != "GET" and not (length.isascii() and length.isdigit() and int(length) <= most):
            answer = JSONResponse({"error": f"the request is longer than {most:,} bytes"}, 413)
        else:
            try:
                answer = await call(request)
            except Exception:  # whatever a model's own code raises: the page says so and goes on
                _log.exception("%s failed", request.url.path)
                answer = JSONResponse({"error": "this failed; the terminal of headscope play shows why"}, 500)
        answer.headers.update(_HEADERS)
        return answer

    return guard


def _is_local(request: Request) -> bool:
    """Whether the browser was sent to this very address (a foreign name that points here is not)."""
    server = request.scope.get("server") or (HOST, None)
    here = {f"{name}:{server[1]}" for name in (HOST, "localhost")}
    origin = request.headers.get("origin")
    return request.headers.get("host") in here and (origin is None or origin.removeprefix("http://") in here)


def _add_page(app: FastAPI, token: str) -> None:
    folder = files("headscope.play").joinpath("page")

    @app.get("/")
    def page() -> Response:
        text = folder.joinpath("play.html").read_text("utf-8").replace("{{token}}", token)
        return Response(text, media_type="text/html; charset=utf-8")

    @app.get("/page/{name}")
    def part(name: str) -> Response:
        if name not in _PARTS:
            return Response("nothing here", 404)
        return Response(folder.joinpath(name).read_bytes(), media_type=_PARTS[name])


def _add_pictures(app: FastAPI, playground: Playground) -> None:
    @app.post("/api/upload")
    async def upload(request: Request) -> JSONResponse:
        content = await request.body()
        if not content:
            raise DataError("the file is empty; choose a PNG or JPEG")
        key, picture = await run_in_threadpool(playground.shelf.upload, content)
        return JSONResponse({"id": key, "width": picture.width, "height": picture.height})

    @app.post("/api/picture")
    def picture(state: PlayState) -> Response:
        return _png(playground.shelf.image(state.picture))

    @app.post("/api/pointed")
    def pointed(state: PlayState) -> Response:
        return _png(playground.pointed(state))

    @app.post("/api/case")
    def case(state: PlayState) -> JSONResponse:
        found = playground.shelf.case(state.picture)
        return JSONResponse({"case": None if found is None else _case(found)})


def _add_answers(app: FastAPI, playground: Playground) -> None:
    @app.get("/api/about")
    def about() -> JSONResponse:
        return JSONResponse(_about(playground))

    @app.post("/api/answers")
    def answers(state: PlayState) -> BothAnswers:
        return playground.answers(state)

    @app.post("/api/steps")
    def steps(state: PlayState) -> StepsShown:
        return playground.steps(state)

    @app.post("/api/heads")
    def heads(state: PlayState) -> HeadEffects:
        return playground.head_effects(state)

    @app.post("/api/attention")
    def attention(asked: HeadRequest) -> AttentionShown:
        return playground.attention(asked)

    @app.post("/api/random")
    def random_sets(asked: DrawRequest) -> RandomSets:
        return playground.random_sets(asked)

    @app.post("/api/snippet")
    def python(state: PlayState) -> JSONResponse:
        return JSONResponse({"python": snippet(playground, state)})


def _about(playground: Playground) -> JsonObject:
    """What the page needs before the first question."""
    vlm, shelf = playground.vlm, playground.shelf
    functions: list[JsonObject] = []
    atlas = playground.atlas
    for name in atlas.functions if atlas else ():
        assert atlas is not None
        direction = playground.directions.get(name)
        functions.append({
            "name": name,
            "title": playground.taxonomy.title(name),
            "spatial": name in playground.taxonomy.spatial,
            "heads": [str(h) for h in atlas.top(name, len(vlm.geometry.heads))],
            "claimed": list(playground.claimed.get(name, ())),
            "steers": direction is not None and direction.vectors is not None,
        })  # fmt: skip
    cases = {source: [_listed(c) for c in shelf.offered(source)] for source in ("example", "case")}
    return {
        "model": vlm.name,
        "heads": [[str(h), h.layer, h.head] for h in vlm.geometry.heads],
        "functions": functions,  # type: ignore[dict-item]
        "ranking": atlas.default_ranking if atlas else "",
        "pictures": cases,  # type: ignore[dict-item]
        "styles": [[name, style.says] for name, style in STYLES.items()],
        "scopes": list(SCOPES),
        "scene": {
            "kinds": [[k.name, k.faces, k.name == SIGN] for k in KINDS.values()],
            "colours": list(COLOURS),
            "sizes": list(SIZES),
            "facings": list(FACINGS),
            "letters": list(LETTERS),
        },
    }


def _listed(case: Case) -> JsonObject:
    return {"id": case.id, "question": case.question, "choices": list(case.choices), "answer": case.answer}


def _case(case: Case) -> JsonObject:
    """What the page shows of a case: its questions, and where its things are."""
    return {
        **_listed(case),
        "things": [{"name": o.name, "box": list(o.box)} for o in case.objects if o.box is not None],
        "questions": [
            {"question": s.question, "choices": list(s.choices), "function": s.function} for s in case.steps
        ],
    }


def _png(picture: Image.Image) -> Response:
    data = BytesIO()
    picture.save(data, "PNG")
    return Response(data.getvalue(), media_type="image/png")
