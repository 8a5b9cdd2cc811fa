"""More visitors than there is room for: everyone who is let in gets their own, and the others are told."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.ui.hostile.server import Answer, Running, a_picture, file_object, serving

CLIENTS, ROOM = 50, 8


def test_f16_of_fifty_at_once_each_gets_their_own_or_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "app", TURNAROUND_MAX_QUEUE=ROOM) as app:
        colours = [(40 + 4 * i, 240 - 4 * i, 90) for i in range(CLIENTS)]
        with ThreadPoolExecutor(8) as pool:
            subjects = list(pool.map(lambda colour: prepared(app, colour), colours))
        assert len(set(subjects)) == CLIENTS

        def render(subject: str) -> Answer:
            return app.call(
                "render", None, subject, ["inflate"], 0, 0, 1, None, None, 0, 64, None, "none", 0, 0.8, None
            )

        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(render, subjects))
        made = {
            i: json.loads(answer.text)[0] for i, answer in enumerate(answers) if answer.ok and '"done"' in answer.text
        }
        refused = [answer for i, answer in enumerate(answers) if i not in made]
        assert len(made) >= ROOM and len({result["id"] for result in made.values()}) == len(made)
        assert all("runs are waiting already" in answer.sentence for answer in refused)
        hashes = {i: result["manifest"]["subject"]["rgba_sha256"] for i, result in made.items()}
        assert len(set(hashes.values())) == len(made), "somebody got another's object"
        assert app.is_well()
        assert render(subjects[0]).ok


def prepared(app: Running, colour: tuple[int, int, int]) -> str:
    answer = app.call("prepare", file_object(app.upload(a_picture(colour, spot=True))), "none", 0, 0.8, None)
    return json.loads(answer.text)[0]["subject"]
