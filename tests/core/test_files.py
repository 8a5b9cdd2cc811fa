"""What a disk refuses becomes a sentence that is true, and files are whole or absent."""

from pathlib import Path

import pytest

from pipelines.core.files import StorageError, disk_sentences, write_whole


def test_a_folder_that_never_could_be_made_is_not_said_to_be_made_anew() -> None:
    with pytest.raises(StorageError, match="or cannot be made") as caught, disk_sentences("It could not be saved"):
        Path("/proc/results").mkdir(parents=True)
    assert "anew" not in str(caught.value)


def test_a_folder_where_the_file_belongs_is_named_as_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "picture.png").mkdir()
    sentence = "cannot be written to.*nothing of its name is in the way"
    with pytest.raises(StorageError, match=sentence), disk_sentences("It could not be saved"):
        write_whole(tmp_path / "picture.png", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
