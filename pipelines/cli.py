"""The command line: the same functions as the page, and files instead of a wall."""

import argparse
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.cli_bar import Bar
from pipelines.cli_compile import add_compile
from pipelines.cli_weights import add_fetch, state_in_words, weights_state
from pipelines.core.cameras import DEFAULT_FILL, KINDS, View, path
from pipelines.core.depth_map import DepthMap
from pipelines.core.errors import TurnaroundError
from pipelines.core.mask import FEATHER_RANGE, check_feather
from pipelines.core.subject import ANY_SUBJECT, check_fill
from pipelines.core.ways import along, read_way
from pipelines.registry import METHODS, find_method
from pipelines.runtime import pace
from pipelines.runtime.archive import Archive
from pipelines.runtime.compare import Event, Failed, Finished, Progressed, compare, sentence_of
from pipelines.runtime.devices import this_machine, versions
from pipelines.runtime.engine import Engine, check_sources, open_engine
from pipelines.runtime.intake import Intake
from pipelines.runtime.method import Method, Report, Request, describe, options_from
from pipelines.runtime.prepare import check_remover, prepare
from pipelines.runtime.removers import REMOVERS
from pipelines.runtime.results import write_subject, write_turnaround
from pipelines.runtime.settings import Settings, read_settings

DEFAULT_VIEWS = 21  # what SV3D makes of one photo (specs/sv3d.md)


def main(arguments: Sequence[str] | None = None) -> int:
    """0: all went well. 1: something failed, and was named. 2: the command line itself made no sense."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        check_sources(METHODS, settings)
        return chosen.run(chosen, settings)
    except TurnaroundError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        Bar("").clear()
        print(chosen.stopped(chosen), file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="One photo in; views from every side out.")
    parser.set_defaults(stopped=lambda chosen: "Stopped.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    render = commands.add_parser("render", help="render photos by one or several methods")
    render.set_defaults(run=_render, stopped=lambda chosen: f"Stopped. What was finished by then is in {chosen.out}.")
    render.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    render.add_argument("--method", nargs="+", action="extend", metavar="KEY", help="see `methods`; default: inflate")
    render.add_argument("--azimuth", type=float, metavar="DEG", help="one view; positive: the camera to its own right")
    render.add_argument("--elevation", type=float, metavar="DEG", help="default: the photo's; positive looks down")
    render.add_argument("--distance", type=float, default=1.0, metavar="TIMES", help="the photo's; default 1")
    render.add_argument("--path", choices=KINDS[1:], help="several views; a swing goes to both sides of --azimuth")
    render.add_argument(
        "--through",
        metavar="CAMERAS",
        help="instead of all these, cameras of your own: azimuth, elevation and, where it is not 1, distance, such as "
        '--through="-30,10 0,20,1.5 30,10"; with --views, so many evenly along the way through them',
    )
    render.add_argument("--views", type=int, metavar="N", help=f"how many along the path; default {DEFAULT_VIEWS}")
    render.add_argument("--orbit", type=int, metavar="N", help="short for --path orbit --views N")
    render.add_argument("--photo-elevation", type=float, default=0.0, metavar="DEG", help="of the photo; default 0")
    render.add_argument("--size", type=int, default=576, metavar="PX", help="side of the frames; default 576")
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of the methods")
    render.add_argument("--remover", default="auto", metavar="NAME", help=f"auto, alpha, none, {', '.join(REMOVERS)}")
    render.add_argument("--fill", type=float, default=DEFAULT_FILL, help="share of the frame the subject takes")
    render.add_argument(
        "--feather",
        type=float,
        default=0.0,
        metavar="SHARE",
        help=f"fade the subject's edge inwards, up to {FEATHER_RANGE[1]:g} of its longest side; default 0",
    )
    render.add_argument(
        "--photo-depth",
        type=Path,
        metavar="FILE",
        help="a depth of the photo that you have: a 16-bit PNG or an NPY, or a folder with one <photo's stem>.png or "
        ".npy each; used with --set 'depth=your own depth', or disparity",
    )
    render.add_argument("--out", type=Path, default=Path("turnarounds"), metavar="DIR")
    render.add_argument("--depth", action="store_true", help="write depth pictures too, where the method has geometry")
    render.add_argument("--normals", action="store_true", help="write pictures of the normals too, likewise")
    render.add_argument("--json", action="store_true", help="one JSON line per result on standard output")

    methods = commands.add_parser("methods", help="list the methods and their options")
    methods.set_defaults(run=_methods)
    methods.add_argument("--json", action="store_true")

    add_fetch(commands)
    add_compile(commands)

    doctor = commands.add_parser("doctor", help="say what can run here, and what each missing thing is")
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--json", action="store_true")
    return parser


# --- render -----------------------------------------------------------------------------------------------------------


def _render(chosen: argparse.Namespace, settings: Settings) -> int:
    # 1. What is wrong with the whole command line is said once, not once a photo
    methods = [find_method(key) for key in dict.fromkeys(chosen.method or [METHODS[0].card.key])]
    views, options = _views(chosen), _options(methods, chosen.set)
    check_remover(chosen.remover)
    check_fill(chosen.fill)
    check_feather(chosen.feather)
    Request(ANY_SUBJECT, views, chosen.seed, None, chosen.size)
    View(0, chosen.photo_elevation)
    if chosen.photo_depth:
        _check_depths(chosen.photos, chosen.photo_depth)

    # 2. Photo by photo, as many at once as the engine can; a bad one fails alone
    failures: list[_Outcome] = []
    stop = threading.Event()
    with closing(open_engine(settings, METHODS)) as engine, closing(Intake(settings.limits)) as intake:
        at_once = engine.at_once

        def runs() -> Iterator[Callable[[], _Outcome]]:
            for photo, folder in _folders(chosen.photos, chosen.out):
                bar = Bar(photo.name, shown=at_once == 1)
                try:
                    subject = prepare(
                        intake.read(photo),
                        remover=chosen.remover,
                        elevation_deg=chosen.photo_elevation,
                        fill=chosen.fill,
                        feather=chosen.feather,
                        depth=_depth_of(photo, chosen.photo_depth, intake) if chosen.photo_depth else None,
                        settings=settings,
                        report=Report(bar.show),
                    )
                    write_subject(folder, subject)
                except Exception as error:
                    bar.clear()
                    yield partial(_Outcome, str(photo), error=sentence_of(error))
                    continue
                for method in methods:
                    request = Request(subject, views, chosen.seed, options[method.card.key], chosen.size)
                    yield partial(_run, photo, method, request, folder, chosen, engine, settings, bar, stop)

        for outcome in _made(runs(), at_once, stop):
            _tell(outcome, chosen.json)
            if outcome.error:
                failures.append(outcome)

    # 3. What failed is named at the end
    if failures:
        lines = [f"{outcome.name}: {outcome.error}" for outcome in failures]
        print("\n".join([f"{len(failures)} failed:", *lines]), file=sys.stderr)
    return 1 if failures else 0


def _views(chosen: argparse.Namespace) -> tuple[View, ...]:
    """One view where only --azimuth is given, else a path; an orbit unless it is named."""
    if chosen.through is not None:
        others = chosen.azimuth, chosen.elevation, chosen.path, chosen.orbit, None if chosen.distance == 1 else 1
        if any(other is not None for other in others):
            raise TurnaroundError("--through says all of a camera: with it goes --views alone.")
        way = read_way([_numbers(camera) for camera in chosen.through.split()])
        return way if chosen.views is None else along(way, chosen.views)
    one = chosen.azimuth is not None and chosen.path is None
    if chosen.orbit is not None and (chosen.path is not None or chosen.views is not None):
        raise TurnaroundError("--orbit N is short for --path orbit --views N. Give one of the two, not both.")
    if one and chosen.orbit is not None:
        raise TurnaroundError("Give --azimuth for one view or --orbit for several, not both.")
    if one and chosen.views is not None:
        raise TurnaroundError("--azimuth alone is one view. Give --path swing for several, or leave --views out.")
    if chosen.azimuth is not None and chosen.path in ("orbit", "spiral"):
        raise TurnaroundError(f"The path {chosen.path} goes all the way round, from the front. Leave --azimuth out.")
    count = next((n for n in (chosen.views, chosen.orbit) if n is not None), DEFAULT_VIEWS)
    elevation = chosen.photo_elevation if chosen.elevation is None else chosen.elevation
    view = View(chosen.azimuth or 0.0, elevation, chosen.distance)
    return path("one view" if one else chosen.path or "orbit", count, view)


def _numbers(camera: str) -> list[float]:
    try:
        return [float(number) for number in camera.split(",")]
    except ValueError:
        raise TurnaroundError(f"--through wants cameras such as 30,10 or 30,10,1.5, not {camera!r}.") from None


def _options(methods: Sequence[Method], given: Sequence[str]) -> dict[str, Any]:
    """Each method's options: `name=value` goes to every method that knows the name, `key.name=value` to one."""
    wanted: dict[str, dict[str, object]] = {method.card.key: {} for method in methods}
    for item in given:
        name, equals, value = item.partition("=")
        key, dot, bare = name.partition(".")
        if not equals:
            raise TurnaroundError(f"--set wants OPTION=VALUE, not {item!r}.")
        takers = [m for m in methods if (m.card.key == key if dot else hasattr(m.Options(), name))]
        if not takers:
            raise TurnaroundError(f"No chosen method has an option {name!r}. `methods` lists them.")
        for method in takers:
            wanted[method.card.key][bare if dot else name] = value
    return {method.card.key: options_from(method.Options, wanted[method.card.key]) for method in methods}


def _folders(photos: Sequence[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Each photo with its own folder; photos of the same stem get -2, -3, ..."""
    taken: set[str] = set()
    for photo in photos:
        stem = name = photo.stem.strip(". ") or "photo"  # "...png" must not name the folder above
        for number in itertools.count(2):
            if name.casefold() not in taken:  # some disks take upper and lower case for the same
                break
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        yield photo, out / name


def _check_depths(photos: Sequence[Path], given: Path) -> None:
    stems = [photo.stem for photo in photos]
    if not given.exists():
        raise TurnaroundError(f"--photo-depth: there is no {given}.")
    if len(photos) > 1 and not given.is_dir():
        raise TurnaroundError("--photo-depth is of one photo. For several, give a folder with a depth of each.")
    if given.is_dir() and len(set(stems)) < len(stems):
        raise TurnaroundError("Photos of the same name cannot be told apart by --photo-depth. Render them one by one.")


def _depth_of(photo: Path, given: Path, intake: Intake) -> DepthMap:
    if given.is_dir():
        names = [f"{photo.stem}{ending}" for ending in (".png", ".npy")]
        found = [path for path in (given / name for name in names) if path.is_file() and not path.samefile(photo)]
        if len(found) != 1:
            raise TurnaroundError(f"{'More than one' if found else 'No'} depth of it: {' or '.join(names)} in {given}.")
        given = found[0]
    try:
        return intake.read_depth(given)
    except TurnaroundError as refusal:
        raise TurnaroundError(f"{given}: {refusal}") from refusal


@dataclass(frozen=True)
class _Outcome:
    photo: str
    method: str | None = None
    folder: str | None = None
    files: tuple[str, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def name(self) -> str:
        return self.photo + (f" by {self.method}" if self.method else "")


def _made(runs: Iterator[Callable[[], _Outcome]], at_once: int, stop: threading.Event) -> Iterator[_Outcome]:
    """What came of each run, in the order in which they end; `stop` is set when this is left early."""
    if at_once == 1:
        for run in runs:
            yield run()
        return
    with ThreadPoolExecutor(at_once) as pool:
        going: set[Future[_Outcome]] = set()
        try:
            for run in runs:
                going.add(pool.submit(run))
                if len(going) >= at_once:
                    done, going = wait(going, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            yield from (each.result() for each in as_completed(going))
        except BaseException:
            stop.set()
            raise


def _run(
    photo: Path,
    method: Method,
    request: Request,
    folder: Path,
    chosen: argparse.Namespace,
    engine: Engine,
    settings: Settings,
    bar: Bar,
    stop: threading.Event,
) -> _Outcome:
    """One method on one photo: what it wrote, or why it did not."""
    key, ends = method.card.key, list[Finished | Failed]()

    def listen(event: Event) -> None:
        if isinstance(event, Progressed):
            bar.show(event.fraction, f"{method.card.title}: {event.message}", None, event.remaining_s)
        else:
            ends.append(event)

    machine = engine.machine(settings.data)
    compare([(method, request)], engine, machine, listen, stop)
    bar.clear()
    (end,) = ends
    if isinstance(end, Failed):
        return _Outcome(str(photo), key, error=end.sentence)
    pace.record(settings.data, machine, method, request, end.turnaround)
    try:
        card = method.card_for(request.options)
        written = write_turnaround(
            folder / key, end.turnaround, request, card, depth=chosen.depth, normals=chosen.normals
        )
    except Exception as error:
        return _Outcome(str(photo), key, error=sentence_of(error))
    files = tuple(str(path) for path in (*(folder / name for name in written.manifest.subject.files), *written))
    notes = (*request.subject.made.notes, *written.manifest.notes)
    return _Outcome(str(photo), key, str(folder / key), files, round(end.turnaround.seconds, 3), notes)


def _tell(outcome: _Outcome, as_json: bool) -> None:
    """Print one result as it comes; failures without `--json` wait for the end."""
    if as_json:
        print(json.dumps({"ok": outcome.error is None, **asdict(outcome)}), flush=True)
    elif outcome.error is None:
        print(f"{outcome.name}: {outcome.folder} ({outcome.seconds:.1f} s)", flush=True)
        for note in outcome.notes:
            print(f"  {note}", flush=True)


# --- methods, doctor --------------------------------------------------------------------------------------------------


def _methods(chosen: argparse.Namespace, settings: Settings) -> int:
    machine = this_machine(settings.data)
    described = [describe(method, machine) for method in METHODS]
    if chosen.json:
        print(json.dumps(described, indent=2))
        return 0
    for method in described:
        print(f"{method['key']}: {method['title']}. {method['summary']}")
        print(f"  renders {', '.join(method['renders'])}; licence {method['licence']}")
        for name, spec in method["options"].items():
            if spec["minimum"] is not None:
                allowed = f"{spec['minimum']:g} to {spec['maximum']:g}"
            else:
                allowed = ", ".join(spec["choices"]) or ("true, false" if isinstance(spec["default"], bool) else "text")
            print(f"  --set {name}={spec['default']}  {spec['help']} ({allowed})")
        for blocker in method["blockers"]:
            print(f"  cannot run here: {blocker}")
    return 0


def _doctor(chosen: argparse.Namespace, settings: Settings) -> int:
    """Exit code 1 when no method can run, or results cannot be stored."""
    machine = this_machine(settings.data)
    report = {
        "machine": asdict(machine),
        "versions": versions(),
        "data": {"folder": str(settings.data.absolute()), "problem": Archive(settings).blocker()},
        "methods": {m.card.key: list(m.blockers(machine)) for m in METHODS},
        "weights": {m.card.key: weights_state(m) for m in METHODS if m.card.weights},
        "removers": {key: [*r.blockers(machine), *r.missing(settings)] for key, r in REMOVERS.items()},
    }
    able = any(not reasons for reasons in report["methods"].values())
    code = 0 if able and not report["data"]["problem"] else 1
    if chosen.json:
        print(json.dumps(report, indent=2))
        return code
    gpu = f"{machine.gpu}, {machine.gpu_memory_bytes / 1e9:.0f} GB" if machine.gpu else "no GPU"
    print(
        f"Machine: {machine.cores} cores, {machine.memory_bytes / 1e9:.0f} GB of memory, {gpu}; networks work in "
        f"{8 * machine.number_bytes} bits"
    )
    print(f"Data: {report['data']['problem'] or f'{machine.free_disk_bytes / 1e9:.0f} GB free for results'}")
    print("Versions: " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    for title, things in (("Methods", report["methods"]), ("Background removers", report["removers"])):
        print(f"{title}:")
        for key, reasons in things.items():
            print(f"  {key}: {' '.join(reasons) if reasons else 'ready'}")
    if report["weights"]:
        print("Weights:")
    for key, states in report["weights"].items():
        for state in states:
            print(f"  {key}: {state_in_words(state)}")
    return code
