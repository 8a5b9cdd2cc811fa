"""One finished result as HTML: the orbit or the view, all views in a strip, notes, downloads, and where it comes from.

Everything is read from the archive: a result looks the same just made and reopened next year. What a manifest says is
shown as text.
"""

from pipelines.core.cameras import View
from pipelines.runtime.manifest import FrameRecord
from pipelines.runtime.stored import StoredResult, StoredTurnaround
from ui.files import ZIP, address
from ui.markup import problem, text

EMPTY = (
    '<div class="stage empty"><p>The turnaround appears here: the object from every side, as a video, as a 3D model, '
    "and as pictures to take away.</p></div>"
)
WORKING = '<div class="stage working"></div>'


def stage(result: StoredResult, made: StoredTurnaround) -> str:
    """The orbit as a video; the picture where there is one view; the cut-out where there is only a model."""
    first = made.manifest.frames[0] if made.frames else None
    if made.video:
        poster = address(result, made.frames[0])
        what = f"Orbit of {len(made.frames)} views by {made.manifest.method.get('title')}"
        inner = (
            f'<video src="{address(result, made.video)}" poster="{poster}" aria-label="{text(what)}" '
            "autoplay loop muted playsinline controls></video>"
        )
    elif first:
        inner = f'<img src="{address(result, made.frames[0])}" alt="{text(f"View at {angles(first.view)}")}">'
    else:
        inner = f'<img src="{address(result, result.subject)}" alt="The cut-out the model was made from">'
    return f'<div class="stage">{inner}</div>'


def preview(image: str) -> str:
    return f'<div class="stage working">{image}</div>'


def sheet(result: StoredResult, made: StoredTurnaround) -> str:
    return "".join(
        (_heading(made), _strip(result, made), _notes(made), _downloads(result, made), _origin(result, made))
    )


def angles(view: View) -> str:
    distance = "" if view.distance == 1 else f", distance {view.distance:g}"
    return f"azimuth {view.azimuth_deg:g}°, elevation {view.elevation_deg:g}°{distance}"


def camera_used(frames: tuple[FrameRecord, ...]) -> str:
    """The camera that was really rendered, in words, and whether it is the one asked for."""
    if not frames:
        return "A 3D model, without views."
    if len(frames) == 1:
        frame = frames[0]
        if frame.exact:
            return f"Exactly the camera asked for: {angles(frame.view)}."
        return f"The nearest camera this method has: {angles(frame.view)}. Asked for: {angles(frame.asked)}."
    inexact = sum(not frame.exact for frame in frames)
    exact = f"{inexact} of them the nearest this method has" if inexact else "each exactly as asked"
    return f"{len(frames)} views, the first at {angles(frames[0].view)}; {exact}."


def _heading(made: StoredTurnaround) -> str:
    manifest = made.manifest
    took = f"{manifest.seconds:.1f} s" if manifest.seconds < 90 else f"{manifest.seconds / 60:.0f} min"
    return (
        f'<header class="made"><h2>{text(manifest.method.get("title"))}</h2>'
        f"<p>{text(camera_used(manifest.frames))} Made in {took}.</p></header>"
    )


def _strip(result: StoredResult, made: StoredTurnaround) -> str:
    if len(made.frames) < 2:
        return ""
    pictures = "".join(
        f'<a href="{address(result, path)}" target="_blank" title="{text(angles(frame.view))}">'
        f'<img src="{address(result, path)}" loading="lazy" alt="{text(f"View at {angles(frame.view)}")}"></a>'
        for path, frame in zip(made.frames, made.manifest.frames, strict=True)
    )
    return f'<div class="strip" role="group" aria-label="All views" tabindex="0">{pictures}</div>'


def _notes(made: StoredTurnaround) -> str:
    notes = dict.fromkeys((*made.manifest.notes, *made.manifest.subject.notes))
    return f'<ul class="notes">{"".join(f"<li>{text(note)}</li>" for note in notes)}</ul>' if notes else ""


def _downloads(result: StoredResult, made: StoredTurnaround) -> str:
    files = [("Video (MP4)", made.video), ("3D model (GLB)", made.model)]
    if len(made.frames) == 1:
        files.insert(0, ("Picture (PNG)", made.frames[0]))
    links = [(label, address(result, path, download=True)) for label, path in files if path]
    links.append(("Everything (ZIP)", address(result, ZIP, download=True)))
    anchors = "".join(f'<a class="button" href="{href}" download>{label}</a>' for label, href in links)
    link = (
        f'<a class="button" href="?r={result.id}" '
        'onclick="if (navigator.clipboard) { event.preventDefault(); const link = this; '
        "navigator.clipboard.writeText(link.href).then(() => { link.textContent = 'Link copied'; "
        "setTimeout(() => { link.textContent = 'Copy link'; }, 2000); }); }\">Copy link</a>"
    )
    return f'<div class="downloads">{anchors}{link}</div>'


def _origin(result: StoredResult, made: StoredTurnaround) -> str:
    manifest, method = made.manifest, made.manifest.method
    photo = manifest.subject
    rows = [
        ("Licence", method.get("licence")),
        ("Paper", method.get("paper")),
        ("Code", method.get("code")),
        ("Made", result.manifest.created_utc.replace("T", " ").replace("+00:00", " UTC")),
        ("Seed", manifest.seed),
        ("Options", ", ".join(f"{name} = {value}" for name, value in manifest.options.items())),
        ("Photo", f"{photo.photo_size_px[0]} × {photo.photo_size_px[1]} px, elevation {photo.elevation_deg:g}°"),
        ("Cut out by", photo.remover),
        ("Weights", ", ".join(f"{name} at {revision}" for name, revision in manifest.weights.items())),
        ("Ran on", manifest.device),
        ("Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in rows if value not in (None, ""))
    citation = method.get("citation")
    cite = f"<pre>{text(citation)}</pre>" if citation else ""
    return f"<details><summary>Licence, citation and how it was made</summary><dl>{listed}</dl>{cite}</details>"


def failures(result: StoredResult) -> str:
    return "".join(problem(sentence) for sentence in result.manifest.failures.values())
