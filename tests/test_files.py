"""A file is replaced whole or not at all."""

import pytest

from mtl.files import replacing


def test_a_file_is_replaced_when_all_went_well_and_an_error_leaves_the_old_one_and_nothing_else(tmp_path):
    file = tmp_path / "card.json"
    for text in ("first", "second"):
        with replacing(file) as building:
            assert building.parent == tmp_path and building.suffix == ".json"
            building.write_text(text)
            assert not file.exists() if text == "first" else file.read_text() == "first"
    with pytest.raises(OSError), replacing(file) as building:
        building.write_text("half")
        raise OSError
    assert file.read_text() == "second" and list(tmp_path.iterdir()) == [file]
