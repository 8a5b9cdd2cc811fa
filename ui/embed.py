"""`/embed/<spec>?az=&el=`: the wall alone, for a frame in someone else's page. No Gradio, no script of anyone else."""

import html
from functools import cache

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from pipelines.core.errors import TurnaroundError
from pipelines.runtime.archive import NOT_FOUND
from pipelines.runtime.compare import apology
from ui.assets import asset
from ui.look import ASSETS
from ui.markup import problem, text
from ui.open_graph import NAME, base_of, link_card, tags
from ui.studio import Studio
from ui.wall_data import link, moment_of, parse_spec, shown, spec_text

# Nothing but our own files, no script or style in the page itself, and any page may frame it. Textures of a GLB become
# blobs that the script fetches; previews of a run come as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self' data: blob:; base-uri 'self'; form-action 'none'; frame-ancestors *"
)
_HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}


def embed_routes(studio: Studio) -> list[BaseRoute]:
    def answer(request: Request) -> Response:
        try:
            return HTMLResponse(_wall(studio, request), headers=_HEADERS)
        except TurnaroundError as error:
            status, sentence = 404, str(error)
        except BaseException as bug:  # nothing a request does may take the server along
            status, sentence = 500, apology(bug)
        main = f"<main><h1>{NAME}</h1>{problem(sentence)}</main>"
        return HTMLResponse(_page(scripts=_script("phrases.js"), main=main), status, _HEADERS)

    return [Route("/embed/{spec}", answer, methods=["GET"])]


def _wall(studio: Studio, request: Request) -> str:
    entries, moment = parse_spec(request.path_params["spec"]), moment_of(request.query_params)
    if not entries:
        raise TurnaroundError(NOT_FOUND)
    _require_one(studio, [id for id, _ in entries])
    spec, page = spec_text(entries), link(entries, moment)
    card = link_card(studio, spec)
    data = {"spec": spec, **moment}
    attributes = " ".join(f'data-{name}="{text(value)}"' for name, value in data.items())
    base = base_of(request, request.url.path)
    return _page(
        title=card.title,
        tags=tags(card, base, page),
        scripts=_script("embed.js"),
        main=f'<main id="wall" {attributes}></main>',
        foot=f'<a href="./{html.escape(page)}" target="_blank" rel="noopener">{NAME}</a>',
    )


def _require_one(studio: Studio, ids: list[str]) -> None:
    """Whichever of several is gone, the wall itself says so; a wall of which nothing is left is no wall."""
    problem = TurnaroundError(NOT_FOUND)
    for id in ids:
        try:
            shown(studio, id)
            return
        except TurnaroundError as error:
            problem = error
    raise problem


def _script(name: str) -> str:
    return f'<script type="module" src="{asset(name)}"></script>'


def _page(*, title: str = NAME, tags: str = "", scripts: str = "", main: str = "", foot: str = "") -> str:
    sheets = "\n".join(f'<link rel="stylesheet" href="{asset(name)}" />' for name in ("tokens.css", "wall.css"))
    filled = {"title": text(title), "tags": tags, "sheets": sheets, "scripts": scripts, "main": main, "foot": foot}
    page = _template()
    for name, value in filled.items():
        page = page.replace(f"{{{{ {name} }}}}", value)
    return page


@cache
def _template() -> str:
    return (ASSETS / "embed.html").read_text("utf-8")
