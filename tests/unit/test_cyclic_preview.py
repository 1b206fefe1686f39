"""A linear preview finds the map that made the colours, and its pictures are pictures."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.cyclic.preview import Preview


@settings(max_examples=20, deadline=None)
@given(channels=st.sampled_from([1, 4, 16]), scale=st.sampled_from([4, 8]), seed=st.integers(0, 1000))
def test_a_linear_decoder_is_found_again(channels, scale, seed):
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn(3, channels, 8, 12, generator=random)
    mixing = torch.randn(3, channels, generator=random) * 0.05
    pictures = F.interpolate(torch.einsum("oc,nchw->nohw", mixing, latents) + 0.5, scale_factor=scale)
    preview = Preview.fit(latents, pictures)
    assert torch.allclose(torch.tensor(preview.factors)[:, :-1], mixing, atol=0.01)
    shown = preview(latents, 8, 12)
    assert (shown - F.interpolate(pictures, (8, 12), mode="area").clamp(0, 1)).abs().mean() < 0.01


def test_previews_have_the_size_asked_for_and_colours_of_pictures():
    preview = Preview([[9.0, 0.0, 0.5], [-9.0, 0.0, 0.5], [0.0, 0.0, 0.25]])
    shown = preview(torch.randn(2, 2, 8, 6, dtype=torch.float16), 64, 48)
    assert (
        shown.shape == (2, 3, 64, 48)
        and shown.min() >= 0
        and shown.max() <= 1
        and shown[:, 2].mean().item() == pytest.approx(0.25, abs=1e-3)
    )
