import json
from typing import get_args

import pytest

from mtl.runs.checkpoint import read_facts
from mtl.runs.events import RunStarted, StepDone, describe
from mtl.settings.config import RunConfig, make_config, read_config
from mtl.settings.rates import RATES, auto_epochs, auto_rates


def test_every_fine_tuning_and_tiny_have_rates():
    assert set(RATES) == {*get_args(RunConfig.model_fields["fine_tuning"].annotation), "tiny"}


def test_rates_fall_with_the_width_of_the_encoder_and_grow_with_the_rows_of_a_step():
    bundled = auto_rates("bundled", "full", 32, 384)
    base, large = (auto_rates("o/model", "full", 32, width) for width in (768, 1024))
    assert bundled[0] == 4 * base[0] > 4 * large[0] and bundled[1] == base[1]
    assert auto_rates("o/model", "full", 32) == base and auto_rates("o/model", "full", 32, 128) == auto_rates("o/model", "full", 32, 256)
    assert auto_rates("bundled", "full", 128, 384) == tuple(2 * rate for rate in bundled)
    assert auto_rates("bundled", "full", 10**6, 384) == auto_rates("bundled", "full", 256, 384), "without bound it would blow up"
    assert auto_rates("tiny", "full", 32, 64)[0] > 5 * bundled[0] and auto_rates("bundled", "lora", 32, 384)[0] > 5 * bundled[0]


def test_few_rows_are_read_more_often_and_very_many_less():
    assert [auto_epochs(steps) for steps in (1, 12, 70, 117, 818, 3000, 10**6)] == [40, 40, 10, 6, 6, 4, 3]


def test_a_run_uses_and_tells_the_automatic_rates_unless_they_are_given_and_its_settings_stay_open(tiny_config, finish, tmp_path):
    config = tiny_config(learning_rate=None, head_learning_rate=None, schedule="constant", warmup=0.0, batch_size=8, accumulation=2)
    wanted = auto_rates("tiny", "full", 16, 64)
    events = finish(config, tmp_path / "auto")
    started = next(event for event in events if isinstance(event, RunStarted))
    assert (started.learning_rate, started.head_learning_rate) == wanted
    assert {event.learning_rate for event in events if isinstance(event, StepDone)} == {wanted[0]}
    assert f"rates {wanted[0]:g} and {wanted[1]:g} (heads)" in describe(started)
    assert read_facts(tmp_path / "auto/last")["config"]["learning_rate"] is None
    started = finish(config.model_copy(update={"learning_rate": 1e-5, "epochs": 1}), tmp_path / "given")[0]
    assert (started.learning_rate, started.head_learning_rate) == (1e-5, wanted[1])


def test_settings_of_an_earlier_version_keep_their_rates(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"learning_rate": 2e-4, "head_learning_rate": 1e-3}))
    assert (read_config(file).learning_rate, read_config(file).head_learning_rate) == (2e-4, 1e-3)
    assert make_config({}).learning_rate is None


@pytest.mark.parametrize(("settings", "shown"), [
    (("bundled", "full", "32", "1"), ["automatic: 0.0002", "automatic: 0.001"]),
    (("bundled", "full", "8", "16"), ["automatic: 0.0004", "automatic: 0.002"]),
    (("bert-base-uncased", "full", "32", "1"), ["automatic: 5e-05 for a base-size model", "automatic: 0.001"]),
    (("bundled", "heads", "32", "1"), ["not used: the encoder is not trained", "automatic: 0.01"]),
    (("bundled", "full", "", "1"), ["automatic"] * 2), (("bundled", "full", "-3", "1"), ["automatic"] * 2)])
def test_the_form_says_what_empty_rates_come_to(settings, shown):
    from mtl.ui.form import automatic

    assert automatic(*settings) == shown
