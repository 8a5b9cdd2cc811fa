"""What the source may say to a visitor of the page, read with `ast`: English templates, `{}` for what is filled in."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# --- Which modules ----------------------------------------------------------------------------------------------------

SPOKEN = ("pipelines/core", "pipelines/runtime", "pipelines/registry.py", "ui")
"""With the packages of the methods, whose modules of this list alone are left out:"""
SILENT = {
    "pipelines/invs/sources.py": "names of repositories and licences",
    "pipelines/shap_e/sources.py": "names of repositories and licences",
    "pipelines/sv3d/sources.py": "names of repositories and licences",
    "pipelines/zero123/sources.py": "names of repositories and licences",
    "pipelines/zero123plus/sources.py": "names of repositories and licences",
    "ui/words/": "the page's own texts, in every language already",
    "pipelines/sv3d/ahead.py": "the command line, and the server's start",
    "pipelines/invs/judging.py": "training",
    "pipelines/invs/keeping.py": "training",
    "pipelines/invs/pairs.py": "training",
    "pipelines/invs/perceptual.py": "training",
    "pipelines/invs/train.py": "training",
    "pipelines/runtime/settings.py": "the server's start",
    "pipelines/runtime/ray_bridge.py": "the cluster's set-up, which logs",
    "pipelines/core/export.py": "inside files that are taken away",
    "pipelines/core/paper.py": "inside files that are taken away",
    "pipelines/core/sheet.py": "answers a download, outside of the page",
    "pipelines/core/lettering.py": "answers a download, outside of the page",
    "pipelines/runtime/credit.py": "inside files that are taken away",
    "ui/takeaway.py": "answers a download, outside of the page",
    "ui/wall_sheet.py": "answers a download, outside of the page",
    "ui/files.py": "answers a download, outside of the page",
    "ui/stored_frames.py": "answers a download, outside of the page",
    "ui/assets.py": "answers a program",
    "ui/endpoints.py": "answers a program",
    "ui/door.py": "answers a program, or speaks at the server's start",
    "ui/gradio_env.py": "the server's start",
    "ui/server.py": "the server's start",
    "ui/open_graph.py": "previews of links, made for everyone at once",
    "ui/camera_pad.py": "scripts",
    "ui/embed.py": "what a browser may do",
    "ui/look.py": "fonts",
}


def spoken_modules() -> list[Path]:
    methods = (path.parent for path in (ROOT / "pipelines").glob("*/method.py"))
    places = [*(ROOT / name for name in SPOKEN), *sorted(set(methods))]
    files = itertools.chain.from_iterable(
        [place] if place.is_file() else sorted(place.rglob("*.py")) for place in places
    )
    return [path for path in dict.fromkeys(files) if not path.relative_to(ROOT).as_posix().startswith(tuple(SILENT))]


# --- Which of their texts ---------------------------------------------------------------------------------------------

_SPOKEN_ERRORS = ("TurnaroundError", "StorageError", "GpuLost")
_UNHEARD = re.compile(r"^(log|logging|warnings|re|gc|os|sys|subprocess)\.|\.stage$|\.encode$|Thread$|Bug$|^print$")
_FORMAT = re.compile(r"\{\w*(:[^{}]*)?\}")


def templates(path: Path) -> set[str]:
    """Every text of a module that may reach somebody, as templates."""
    tree = ast.parse(path.read_text("utf-8"))
    return {plain(said) for node in _heard(tree) for said in _variants(node)}


def plain(template: str) -> str:
    """Whatever the placeholders are called, and without what only joins it to what is before and after."""
    return _FORMAT.sub("{}", template).strip(" ,;")


def reads_like_words(template: str) -> bool:
    bare = template.replace("{}", " ")
    return (
        bool(re.search(r"(?<![\w./%-])[a-zA-Z]?[a-z]+(?![\w/=_(-])", bare))
        and " " in template
        and not re.search(r"[\n<>{}]|= |^[(\[]|\w\(|\w/\w+/|\.\w+$|; charset|, \w+-\w+$|max-age", bare)
    )


def _heard(node: ast.AST) -> Iterator[ast.expr]:
    """The texts below a node, those joined with `+` as one; not docstrings, nor what is logged, compared or a bug's."""
    match node:
        case ast.Expr(ast.Constant()) | ast.Assert() | ast.MatchValue() | ast.arg():
            return
        case ast.Compare():
            for side in (node.left, *node.comparators):
                yield from () if _is_text(side) else _heard(side)
            return
        case ast.Call() if _unheard(ast.unparse(node.func)):
            return
        case ast.AugAssign(ast.Name() as before, ast.Add()) if _is_text(node.value):
            yield from _heard(ast.BinOp(before, ast.Add(), node.value))
            return
        case ast.expr() if _is_text(node):
            yield node
    for child in _below(node):
        yield from _heard(child)


def _below(node: ast.AST) -> Iterator[ast.AST]:
    if _is_text(node):
        yield from _filled_in(node)
    elif isinstance(node, ast.AnnAssign):
        yield from filter(None, [node.value])
    elif isinstance(node, ast.FunctionDef):
        yield from (node.args, *node.body)
    else:
        yield from ast.iter_child_nodes(node)


def _filled_in(text: ast.AST) -> Iterator[ast.AST]:
    """What stands in a text and is none of its own pieces."""
    match text:
        case ast.JoinedStr():
            parts = [part.value for part in text.values if isinstance(part, ast.FormattedValue)]
        case ast.BinOp():
            parts = [text.left, text.right]
        case ast.IfExp():
            parts = [text.body, text.orelse]
        case _:
            parts = []
    for part in parts:
        yield from _filled_in(part) if _is_text(part) else [part]


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.Constant(str()) | ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Add()):
            return _is_text(node.left) or _is_text(node.right)
        case ast.IfExp():
            return _is_text(node.body) and _is_text(node.orelse)
    return False


def _unheard(called: str) -> bool:
    of_a_bug = called.endswith(("Error", "Exit", "Warning")) and not called.endswith(_SPOKEN_ERRORS)
    return of_a_bug or bool(_UNHEARD.search(called))


def _variants(node: ast.expr) -> list[str]:
    """All that a text with choices in it can come to."""
    match node:
        case ast.Constant(str(text)):
            return [text]
        case ast.JoinedStr():
            return _joined(*(_variants(part) for part in node.values))
        case ast.FormattedValue():
            return _variants(node.value) if _is_text(node.value) else ["{}"]
        case ast.BinOp(op=ast.Add()):
            return _joined(_variants(node.left), _variants(node.right))
        case ast.IfExp() if _is_text(node):
            return _variants(node.body) + _variants(node.orelse)
    return ["{}"]


def _joined(*parts: list[str]) -> list[str]:
    return ["".join(choice) for choice in itertools.product(*parts)]
