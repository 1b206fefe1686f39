"""The small models that ship draw in a real Automatic1111; Forge and reForge say that they can't take them."""

import pytest

from reliable_ads.sdwebui import pocket_files


def test_the_small_models_draw_and_are_reviewed(web, data):
    if web.host.kind != "Automatic1111":
        pytest.skip("Forge and reForge know checkpoints by their shapes")
    checkpoint = pocket_files.install(data / "models")
    web.ask("/sdapi/v1/refresh-checkpoints", {})
    settings = {**pocket_files.SETTINGS, "product": pocket_files.product(), "attempts": 2, "threshold": 1.0}
    answer = web.draw(
        **pocket_files.DRAW,
        override_settings={"sd_model_checkpoint": checkpoint.name},
        alwayson_scripts={"reliable ads": {"args": [settings]}},
    )
    assert len(answer.report["attempts"]) == len(answer.pictures) == 2
    assert all(f"Model: {checkpoint.stem}" in text for text in answer.infotexts)
    low, high = zip(*answer.pictures[0].convert("RGB").getextrema())
    assert max(low) < 80 and min(high) > 170  # a picture, not the grey or the noise of weights that were not loaded
