"""How a training shows itself to whoever watches it, in words and as a picture."""

import pytest
from PIL import Image

from reliable_ads.rfft.config import ConfigError
from reliable_ads.rfft.interactive import Progress, advanced_settings, summary


@pytest.mark.slow(reason="trains a tiny family")
def test_a_run_shows_itself_after_each_step(world, tmp_path):
    said, shown = [], []
    progress = Progress(2, said.append, lambda picture, step: shown.append((picture.size, step)))
    run = world(watch=progress, steps=2)
    progress.begin(run)
    answer = run()
    assert said[0] == "measuring the start" and said[1].startswith("step 0 of 2: rate ")
    assert [step for _, step in shown][:3] == [0, 1, 2] and len(progress.steps) == 2
    assert isinstance(progress.curves(), Image.Image) and progress.saved().startswith("Stopped after step 2 of 2")
    told = summary(run.config, answer, "Press again to go on.")
    assert told.startswith("2 steps done.") and "Press again to go on." in told and str(run.config.folder) in told


def test_further_settings_are_toml_and_leave_the_inputs_alone():
    assert advanced_settings("size = 768\nprecision = 'bf16'") == {"size": 768, "precision": "bf16"}
    assert advanced_settings("") == {}
    with pytest.raises(ConfigError, match="one key = value per line"):
        advanced_settings("size 768")
    with pytest.raises(ConfigError, match="sets folder, name: use their own inputs"):
        advanced_settings("name = 'x'\nfolder = '/tmp'")
