"""Camera presets, links, history, deleting, another language, the keyboard: the page around the wall, in Chromium."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import FLAT_FLAGS, Visitors
from tests.browser.page_parts import angle, cutout_shown, generate, hindrances, one_view, result_shown, tiles
from tests.ui.hostile.server import Running
from tests.ui.house import MARKUP
from ui.assets import asset
from ui.words.sentences import sentences

pytestmark = pytest.mark.browser
FLAGS = FLAT_FLAGS

MADE_OF_SEVERAL = (
    ("Waiting for 2 other runs, about 30 seconds", "Wartet auf 2 andere Läufe, etwa 30 Sekunden"),
    (
        "Fetching SV3D (p) from a/b instead (licence: MIT): 3.0 of 10.1 GB, 4.2 MB/s, about 40 s left",
        "Lädt SV3D (p) stattdessen von a/b (Lizenz: MIT): 3.0 von 10.1 GB, 4.2 MB/s, noch etwa 40 s",
    ),
    (
        "SV3D (p) has a licence that must be accepted once, at https://huggingface.co/a/b. Log in with `hf auth "
        "login`, accept it there with the same account, and try again. (The licence: X License (research, and use by "
        "those who register).) If you have the right to use it, TURNAROUND_SOURCES=a/b=c/d picks an ungated copy (its "
        "licence: MIT).",
        "SV3D (p) hat eine Lizenz, die einmal angenommen werden muss, auf https://huggingface.co/a/b. Melde dich mit "
        "`hf auth login` an, nimm sie dort mit demselben Konto an und versuche es noch einmal. (Die Lizenz: X License "
        "(research, and use by those who register).) Wenn du das Recht hast, es zu benutzen, nimmt "
        "TURNAROUND_SOURCES=a/b=c/d eine Kopie ohne diese Schranke (ihre Lizenz: MIT).",
    ),
    ("Painting views 3 to 4 of 21: step 7 of 50", "Ansichten 3 bis 4 von 21: Malschritt 7 von 50"),
    (
        "The object is cut off at the photo's top, left and bottom edges; a photo that shows all of it gives better "
        "views.",
        "Das Objekt ist am Rand des Fotos abgeschnitten (oben, links und unten); ein Foto, das es ganz zeigt, gibt "
        "bessere Ansichten.",
    ),
    (
        "SV3D cannot run here. It needs 16.0 GB of memory, and this machine has 8.0 GB and no GPU. Run it on a larger "
        "machine.",
        "SV3D läuft hier nicht. Es braucht 16.0 GB Speicher, und dieser Rechner hat 8.0 GB und keine GPU. Lass es auf "
        "einem größeren laufen.",
    ),
    (
        "There is not enough memory to load this model, which takes about 4.0 GB, and 2.0 GB to work in (48.0 GB more "
        "were needed at one point; the GPU has 80.0 GB, of which 2.0 GB are free now). Ask for fewer or smaller views, "
        "close other programs that use the GPU, or run it on a larger machine.",
        "Der Speicher reicht nicht, um dieses Modell zu laden: Es braucht etwa 4.0 GB und 2.0 GB zum Arbeiten (an "
        "einer Stelle fehlten 48.0 GB; die GPU hat 80.0 GB, davon sind jetzt 2.0 GB frei). Verlange weniger oder "
        "kleinere Ansichten, schließe andere Programme, die die GPU benutzen, oder lass es auf einem größeren Rechner "
        "laufen.",
    ),
    (
        "Stable Zero123 crashed (exit code 11) in the middle of its work. Try again with other settings; if it "
        "happens again, tell whoever runs this page. Nothing else is touched.",
        "Stable Zero123 stürzte ab (Exit-Code 11), mitten in der Arbeit. Versuche es mit anderen Einstellungen noch "
        "einmal; geschieht es wieder, sag es dem Betreiber dieser Seite. Sonst ist nichts betroffen.",
    ),
    (
        "Nobody knows this. No GPU is free at the moment. Try again in a few minutes.",
        "Nobody knows this. Gerade ist keine GPU frei. Versuche es in ein paar Minuten noch einmal.",
    ),
    (f"{MARKUP} of this, and of that (or not)",) * 2,
)


# What can be operated and seen, of radio buttons the one that stands for its group: [name, number].
NUMBER_CONTROLS = """() => [
        ...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']"),
    ].filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.disabled)
    .filter((e) => !["file", "hidden"].includes(e.type) && !(e.type === "radio" && !e.checked))
    .map((e, i) => [(e.innerText || e.ariaLabel || e.id).trim(), (e.dataset.number = String(i))])"""


def slider(page: Page, name: str) -> float:
    return float(page.locator("#camera").get_by_role("spinbutton", name=re.compile(name)).input_value())


def stays(page: Page) -> None:
    """It shows the same at every look; a wall that turns is elsewhere at most of them."""
    first = angle(page)
    for _ in range(4):
        page.wait_for_timeout(370)
        assert angle(page) == first


def address(page: Page) -> str:
    return page.evaluate("new URLSearchParams(location.search).get('r')")


def test_the_wall_stands_where_the_run_was_asked_for_and_its_view_can_be_linked_to_and_matched(
    visitor: Visitors, house: Running
):
    page = visitor()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cutout_shown(page)
    page.locator("#camera").get_by_role("spinbutton", name=re.compile("Elevation")).fill("60")
    page.keyboard.press("Tab")
    generate(page)
    result_shown(page)
    expect(page.locator(".wall-readout")).to_have_text("0° / 60°")
    assert angle(page) == (0, 60)

    canvas = tiles(page).locator("canvas")
    canvas.focus()
    for degrees in (17, 34, 51):
        canvas.press("ArrowRight")
        expect(tiles(page).locator(".tile-angle")).to_have_text(f"{degrees}° / 60°")
    page.get_by_role("button", name="Share").click()
    page.get_by_role("button", name="Copy link to this moment").click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text.endsWith('&az=51.4&el=60'))")
    page.keyboard.press("Escape")
    other = visitor(f"?r={address(page)}&az=51.4&el=60", reduced_motion="no-preference")
    result_shown(other)
    expect(tiles(other).locator(".tile-angle")).to_have_text("51° / 60°")
    stays(other)  # a moment does not turn

    before = page.url
    page.locator("#camera").get_by_role("button", name="The wall's view").click()
    expect(page).not_to_have_url(before)
    result_shown(page)
    assert angle(page) == (51, 60)
    assert (slider(page, "Azimuth"), slider(page, "Elevation")) == (51.43, 60)  # the third of 21, not a whole degree
    made = house.client.get(f"/r/{address(page)}/wall.json").json()
    assert made["tiles"][0]["frames"][0]["asked"]["azimuth_deg"] == 51.43


def test_a_preset_sets_the_camera_and_runs_at_once_and_keep_hangs_the_next_beside(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("checkbox", name="Keep what is on the wall").check()
    page.locator("#camera").get_by_role("button", name="Right", exact=True).click()
    first = result_shown(page)
    assert angle(page) == (90, 0)
    assert (slider(page, "Azimuth"), slider(page, "Elevation")) == (90, 0)
    expect(page.get_by_role("radio", name="One view")).to_be_checked()
    page.locator("#camera").get_by_role("button", name="Back", exact=True).click()
    expect(page).to_have_url(re.compile(rf"r={first}(,|%2C)"))
    result_shown(page, 2)
    page.reload()
    result_shown(page, 2)  # and the link shows both


def test_a_result_is_in_the_history_is_reopened_and_deleted_with_a_tap_by_who_made_it(
    visitor: Visitors, house: Running
):
    page = visitor()
    cutout_shown(page)
    expect(page.locator("#history")).to_contain_text("listed here")
    one_view(page)
    generate(page)
    id = result_shown(page)
    entry = page.locator("#history li")
    expect(entry).to_have_count(1)
    expect(entry).to_contain_text("Inflate")
    page.wait_for_function("document.querySelector('#history li img')?.naturalWidth > 0")  # its thumbnail
    page.goto(f"{house.url}/")
    expect(page.locator("#wall .tile-badge")).to_contain_text("Recorded example")
    page.locator("#history .open").click()
    assert result_shown(page) == id

    stranger = visitor(f"?r={id}")
    assert result_shown(stranger) == id
    expect(stranger.locator("#history li")).to_have_count(0)  # history is each browser's own
    stranger.locator("#wall .tile").get_by_role("button", name="More").click()
    expect(stranger.get_by_role("button", name="Run again exactly")).to_be_visible()
    expect(stranger.get_by_role("button", name="Delete the result")).to_have_count(0)

    page.locator("#history .forget").click()
    page.locator("#history").get_by_role("button", name="Keep").click()
    expect(entry).to_have_count(1)
    page.locator("#history .forget").click()
    page.locator("#history .sure .yes").click()
    expect(entry).to_have_count(0)
    expect(page.locator("#status .said")).to_have_css("text-align", "center")  # as the price below it
    expect(page).not_to_have_url(re.compile("r="))
    assert house.client.get(f"/r/{id}/wall.json").status_code == 404
    stranger.reload()
    expect(stranger.locator("#wall .wall-notice")).to_contain_text("no result behind this link")
    expect(stranger).not_to_have_url(re.compile("r="))
    cutout_shown(stranger)
    one_view(stranger)
    generate(stranger)
    result_shown(stranger)


def test_change_one_thing_brings_photo_and_settings_back(visitor: Visitors, house: Running):
    page = visitor()
    cutout_shown(page)
    page.get_by_role("button", name="Teapot").click()
    expect(page.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("14")
    cutout_shown(page)
    page.locator("#camera").get_by_role("button", name="Above", exact=True).click()
    id = result_shown(page)

    other = visitor(f"?r={id}")  # someone else, who opens the link
    result_shown(other)
    expect(other.locator("#photo-elevation").get_by_role("spinbutton")).to_have_value("14")
    other.locator("#wall .tile").get_by_role("button", name="More").click()
    other.get_by_role("button", name="Change one thing").click()
    expect(other.locator("#status")).to_contain_text("settings of that result")
    expect(other.get_by_role("radio", name="One view")).to_be_checked()
    assert slider(other, "Elevation") == 75
    generate(other)
    expect(other).not_to_have_url(re.compile(id))
    result_shown(other)
    assert angle(other) == (0, 75)


def test_german_browsers_are_answered_in_german(visitor: Visitors):
    page = visitor(locale="de-DE")
    expect(page.locator("#generate")).to_have_text("Erzeugen")
    expect(page.locator("#methods h2")).to_have_text("Verfahren")
    expect(page.locator("#history")).to_contain_text("Deine Ergebnisse")
    expect(page.locator("#promise")).to_contain_text("von allen Seiten")
    expect(page.locator("#method-inflate .facts")).to_contain_text("jede Ansicht, Rundgänge, 3D-Modell")
    expect(page.locator("#method-inflate .facts")).to_contain_text("hier etwa eine Sekunde")
    expect(page.locator("#method-blocked .blocked")).to_contain_text("Läuft hier nicht:")
    expect(page.locator("#price")).to_have_text("Braucht hier etwa eine Sekunde.")
    expect(page.locator("#cutout figcaption")).to_have_text("Freigestellt mit Umriss")
    assert hindrances(page) == []
    page.get_by_role("radio", name="Ansicht", exact=False).first.check()  # the server writes the line anew
    expect(page.locator("#price")).to_have_text("Braucht hier etwa eine Sekunde.")
    page.get_by_role("checkbox", name="Slow").check()  # only what is inside the line is another
    expect(page.locator("#price")).to_have_text(re.compile(r"Braucht hier etwa \d+ Sekunden\."))
    page.get_by_role("checkbox", name="Slow").uncheck()
    what_comes_from_below_is_german(page)
    what_is_filled_in_is_found_again(page)


def what_comes_from_below_is_german(page: Page) -> None:
    """Cards, progress, refusals, and errors that Gradio shows."""
    inflate = page.locator("#method-inflate")
    expect(inflate).to_contain_text("Bläst den Umriss des Fotos auf wie einen Ballon")
    inflate.get_by_role("button", name="Einstellungen").click()
    expect(inflate.get_by_role("slider", name="Dicke")).to_be_visible()
    inflate.get_by_role("radio", name="gespiegelt").check()
    page.get_by_role("checkbox", name="Inflate").uncheck()
    refused = "Es ist kein Verfahren gewählt. Hake unter „Verfahren“ mindestens eines an."
    expect(page.locator("#go .problem")).to_have_text(refused)

    page.get_by_role("checkbox", name="Slow").check()
    page.get_by_role("checkbox", name="Behalten").check()
    generate(page)
    expect(tiles(page)).to_have_attribute("data-state", "working")
    page.get_by_role("button", name="Rechts", exact=True).click()
    expect(tiles(page).nth(1).locator(".tile-message")).to_have_text(
        re.compile("^Wartet auf einen anderen Lauf, etwa ")
    )
    page.click("#cancel")
    ended = "Abgebrochen. Es wurde nichts gespeichert; mit „Erzeugen“ beginnst du neu."
    expect(page.locator("#wall .tile-said")).to_have_text([ended, ended])

    def with_a_file_of_the_servers(route: Route) -> None:
        asked = json.loads(route.request.post_data or "")
        route.continue_(post_data=json.dumps(asked | {"data": [{"path": "/etc/passwd"}, *asked["data"][1:]]}))

    page.route("**/queue/join*", with_a_file_of_the_servers)
    page.get_by_role("checkbox", name="Inflate").check()
    expect(page.get_by_text("Diese Datei wurde nicht hier hochgeladen").first).to_be_visible()


def what_is_filled_in_is_found_again(page: Page) -> None:
    """Each sentence of the table with something in it, and some that are made of several."""
    pairs = [[filled(text) for text in pair] for pair in sentences()["de"].items()]
    said = [pair for pair in pairs if re.search("[a-z]{2}", pair[0])] + [*MADE_OF_SEVERAL]
    translate = """async ([script, texts]) => {
        const { translated } = await import(new URL(script, document.baseURI));
        return texts.map(translated);
    }"""
    assert page.evaluate(translate, [asset("words.js"), [text for text, _ in said]]) == [text for _, text in said]


def filled(template: str) -> str:
    return re.sub(r"\{_?(\w+)\}", lambda place: place[1].upper(), template)


def test_who_wants_no_motion_has_a_wall_at_rest_and_the_keyboard_reaches_every_control(visitor: Visitors):
    page = visitor()
    cutout_shown(page)
    expect(tiles(page).locator(".tile-angle")).to_have_text("0° / 12°")
    stays(page)
    assert page.evaluate("[...document.images].filter(i => i.offsetParent && !i.hasAttribute('alt')).length") == 0
    for fold in ("Repair, edges, depth", "Size and seed"):
        page.get_by_role("button", name=fold).click()
    expect(page.get_by_role("spinbutton", name="Share of the frame (%)")).to_be_visible()
    controls = page.evaluate(NUMBER_CONTROLS)
    assert {"Generate", "Robot", "Front", "Wipe"} <= {name for name, _ in controls} and len(controls) > 50
    page.locator("body").press("Tab")
    left, number = {number for _, number in controls}, "document.activeElement.dataset.number"
    for _ in range(2 * len(controls)):
        left.discard(page.evaluate(number))
        page.keyboard.press("Tab")
    assert not left, [name for name, number in controls if number in left]
