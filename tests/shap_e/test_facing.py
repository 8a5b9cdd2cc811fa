"""From where the photo was taken: found on meshes whose answer is known, and doubted where it cannot be known."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.core.cameras import View, photo_distance, wrap_azimuth
from pipelines.core.errors import Cancelled
from pipelines.core.mesh import Mesh
from pipelines.core.raster import Renderer
from pipelines.core.subject import DEFAULT_FILL, Making, Square, Subject, place
from pipelines.shap_e.facing import _climb, coarsened, faced, find_facing, likeness, notes, overlap, rotated
from tests.core.shapes import ball, painted, together


def quietly(share: float) -> None:
    pass


RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 160, 60), (40, 60, 200), (230, 230, 230)


def block(low: tuple[float, float, float], high: tuple[float, float, float], color: tuple[int, int, int]) -> Mesh:
    corners = np.array([[(low, high)[k][i] for i, k in enumerate(bits)] for bits in np.ndindex(2, 2, 2)], np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))], np.int32)
    return painted(Mesh(corners, faces), color)


def of_unit_size(mesh: Mesh) -> Mesh:
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    return replace(mesh, vertices=((mesh.vertices - (low + high) / 2) / (high - low).max()).astype(np.float32))


def armchair() -> Mesh:
    """With one arm: nothing about it is symmetric."""
    return of_unit_size(
        together(
            block((-0.4, 0, -0.4), (0.4, 0.3, 0.4), RED),
            block((-0.4, 0.3, -0.4), (0.4, 1.0, -0.25), RED),
            block((0.3, 0.3, -0.25), (0.4, 0.55, 0.4), GREEN),
            painted(ball(0.12, (-0.2, 0.42, 0.25), 24), BLUE),
        )
    )


def statue(face: tuple[int, int, int], back: tuple[int, int, int]) -> Mesh:
    """The same outline from the front and from behind: only the colours tell them apart."""
    halves = [
        block((-0.3, -0.5, 0), (0.3, 0.2, 0.15), face),
        block((-0.3, -0.5, -0.15), (0.3, 0.2, 0), back),
        block((-0.12, 0.2, 0), (0.12, 0.5, 0.12), WHITE),
        block((-0.12, 0.2, -0.12), (0.12, 0.5, 0), back),
    ]
    return of_unit_size(together(*halves))


def photo_of(
    mesh: Mesh, azimuth: float, elevation: float, fill: float = DEFAULT_FILL, distance: float = 1.0
) -> Subject:
    """Centred and as large as every subject, whatever the object looks like from there; in a light of its own."""
    size = 256
    rgba = (
        Renderer(mesh, light="soft")
        .render(View(azimuth, elevation, distance), photo_distance(fill), 2 * size, fov_deg=60)
        .rgba
    )
    solid = rgba[..., 3] > 127
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    side = (max(np.ptp(rows), np.ptp(columns)) + 1) / fill
    window = Square((columns[0] + columns[-1] + 1 - side) / 2, (rows[0] + rows[-1] + 1 - side) / 2, side)
    share = rgba.astype(np.float32) / 255
    colours, alpha = place(share[..., :3], share[..., 3], window, size)
    placed = np.rint(255 * np.dstack([colours.clip(0, 1), alpha])).astype(np.uint8)
    return Subject(placed, Making("0" * 64, (size, size), "alpha", (0, 0, size, size)), elevation, fill)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 50), (90, 25), (180, -20), (-121, 25)])
def test_the_azimuth_is_found_within_a_few_degrees(azimuth: int, elevation: int):
    chair = armchair()
    found = find_facing(chair, photo_of(chair, azimuth, elevation), quietly)
    assert abs(wrap_azimuth(found.azimuth_deg - azimuth)) <= 2 and found.agreement > 0.93


@pytest.mark.parametrize(("azimuth", "elevation"), [(37, 0), (143, 50), (-68, -20), (0, 0)])
def test_it_is_found_where_the_photo_was_taken_from_further_away_through_another_lens(azimuth: int, elevation: int):
    chair = armchair()
    found = find_facing(chair, photo_of(chair, azimuth, elevation, distance=1.5), quietly)
    assert abs(wrap_azimuth(found.azimuth_deg - azimuth)) <= 5 and found.agreement > 0.8


@pytest.mark.parametrize(("azimuth", "elevation", "fill"), [(110, 15, 0.5), (-40, 0, 0.95), (160, 30, 0.8)])
def test_the_turned_mesh_is_centred_and_as_large_as_the_photo(azimuth: int, elevation: int, fill: float):
    chair = armchair()
    photo = photo_of(chair, azimuth, elevation, fill)
    turned, found = faced(chair, photo, quietly)
    seen = Renderer(turned).render(View(0, elevation), photo_distance(fill), 256).rgba
    rows, columns = (np.flatnonzero((seen[..., 3] > 127).any(axis)) for axis in (1, 0))
    assert (max(np.ptp(rows), np.ptp(columns)) + 1) / 256 == pytest.approx(fill, abs=0.012)
    assert (rows[0] + rows[-1] + 1) / 2 == pytest.approx(128, abs=1.5)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(128, abs=1.5)
    assert found.agreement > 0.93
    assert abs(find_facing(turned, photo, quietly).azimuth_deg) <= 5


def test_a_bus_from_the_front_is_not_blown_up_without_end():
    bus = of_unit_size(
        together(
            block((-0.15, -0.15, -0.5), (0.15, 0.15, 0.5), RED), block((-0.15, -0.15, 0.5), (0.15, 0.1, 0.55), WHITE)
        )
    )
    turned, _ = faced(bus, photo_of(bus, 0, 0), quietly)
    assert np.ptp(turned.vertices, axis=0).max() == pytest.approx(1.6, abs=0.05)


def test_turning_goes_the_way_azimuths_go():
    """What a camera at azimuth 90 sees, on +x, is what the mesh turned by -90 shows from the front."""
    mesh = Mesh(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32), np.array([[0, 1, 2]], np.int32))
    assert np.allclose(rotated(mesh, -90).vertices, [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-6)
    view = View(37, 20)
    chair = armchair()
    straight = Renderer(chair).render(view, 2.0, 96).rgba.astype(int)
    turned = Renderer(rotated(chair, -37)).render(View(0, 20), 2.0, 96).rgba.astype(int)
    assert np.abs(straight - turned).mean() < 0.5


@pytest.mark.parametrize("azimuth", [0, 180, 55, 125])
def test_colours_decide_where_outlines_cannot(azimuth: int):
    figure = statue(face=WHITE, back=BLUE)
    stripes = together(figure, block((-0.1, -0.35, 0.1), (0.1, -0.05, 0.125), RED))
    found = find_facing(stripes, photo_of(stripes, azimuth, 0), quietly)
    assert abs(wrap_azimuth(found.azimuth_deg - azimuth)) <= 4
    assert found.rival_deg is None


def test_without_colours_the_doubt_is_said():
    figure = statue(face=WHITE, back=WHITE)
    found = find_facing(figure, photo_of(figure, 0, 0), quietly)
    assert abs(wrap_azimuth(2 * found.azimuth_deg)) <= 6  # the front or the back
    assert found.rival_deg is not None and abs(wrap_azimuth(found.rival_deg - found.azimuth_deg)) > 170
    assert found.confidence == "low"
    assert any("front and back may be swapped" in note for note in notes(found))


def test_a_ball_says_that_its_front_is_a_guess():
    grey = painted(ball(0.5), WHITE)
    found = find_facing(grey, photo_of(grey, 70, 10), quietly)
    assert found.round and found.confidence == "low"
    assert any("guess" in note for note in notes(found))


def test_another_object_than_the_photos_says_so():
    chair = armchair()
    stick = of_unit_size(block((-0.03, -0.5, -0.03), (0.03, 0.5, 0.03), GREEN))
    found = find_facing(stick, photo_of(chair, 30, 10), quietly)
    assert found.agreement < 0.65 and found.confidence == "low"
    assert any("direction is a guess" in note for note in notes(found))


def test_the_note_has_the_angle_and_the_agreement():
    chair = armchair()
    _, found = faced(chair, photo_of(chair, 140, 10), quietly)
    (note, *_) = notes(found)
    assert note.startswith("Turned by 1") and f"agree to {found.agreement:.2f}" in note and "high confidence" in note
    assert all(sentence.endswith(".") for sentence in notes(found))


def test_overlap_and_likeness_have_the_values_they_should():
    a, b = np.zeros((96, 96, 4), np.float32), np.zeros((96, 96, 4), np.float32)
    a[:, :60, 3], b[:, 30:90, 3] = 1, 1
    assert overlap(a, a) == 1 and overlap(a, b) == pytest.approx(30 / 90)
    ramp = np.linspace(0, 1, 96, dtype=np.float32)[None, :, None].repeat(96, 0)
    whole = np.concatenate([ramp.repeat(3, 2), np.ones_like(ramp)], 2)
    mirrored, tinted = whole[:, ::-1], whole * np.array([0.9, 0.6, 0.5, 1], np.float32)
    assert likeness(whole, whole) == pytest.approx(1) and likeness(whole, mirrored) < -0.5
    assert likeness(whole, tinted) > 0.4
    white, grey, black = (whole * 0 + np.array([level] * 3 + [1], np.float32) for level in (1, 0.75, 0))
    assert likeness(white, white) > likeness(white, grey) > likeness(white, black), "plain ones go by their colour"


def test_the_search_mesh_is_small_and_looks_the_same():
    fine = painted(ball(0.5, rings=200), RED)
    coarse = coarsened(fine)
    assert len(coarse.faces) < len(fine.faces) / 5
    views = [Renderer(mesh).render(View(20, 10), 2.05, 96).rgba[..., 3] > 127 for mesh in (fine, coarse)]
    assert (views[0] & views[1]).sum() / (views[0] | views[1]).sum() > 0.97


def test_the_search_tells_how_far_it_is_and_can_be_cancelled():
    chair, told = armchair(), list[float]()
    find_facing(chair, photo_of(chair, 0, 0), told.append)
    assert len(told) >= 72 and told == sorted(told) and told[0] == 0 and told[-1] <= 1

    def stop(share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        find_facing(chair, photo_of(chair, 0, 0), stop)


def test_a_peak_is_climbed_to_its_top_over_north_too():
    assert _climb(lambda azimuth: -abs(azimuth - 47), 35) == 47
    assert _climb(lambda azimuth: -abs(wrap_azimuth(azimuth - 3)), 355) == 3
    assert _climb(lambda azimuth: 0.0, 90) == 90
