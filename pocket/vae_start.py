"""A good start for the pocket VAE: before the first step it already is a thumbnail codec (8x8 means in, smooth interpolation out).

Starting from noise, a small autoencoder spends most of a CPU's budget on finding out what colour a picture has; GroupNorm at the end of encoder and
decoder takes each group's mean away. Here three (or four) signal channels get a constant partner of size ANCHOR in their group of two: mean and deviation of
the group are then the anchor's, the norm becomes an affine map that gain and bias undo, and SiLU is linear at the height BIAS. All residual branches start at zero.
"""

from __future__ import annotations

import torch

ANCHOR, BIAS = 20.0, 6.0
SIGNALS = (0, 2, 4)  # channels that carry red, green and blue; each one's partner is the next channel
SMALL = 0.3          # size of the random features beside the signal path, relative to the usual start
SMOOTH = torch.tensor([0.25, 0.5, 0.25])


@torch.no_grad()
def start_as_thumbnails(vae) -> None:
    """Sets the weights of an AutoencoderKL whose levels all have 64 channels and whose encoder has no residual blocks before its middle."""
    encoder, decoder = vae.encoder, vae.decoder
    if encoder.conv_norm_out.num_channels != 64 or decoder.conv_norm_out.num_channels != 64:
        raise ValueError("start_as_thumbnails needs 64 channels at both ends of the VAE: two per group of its 32 groups")
    for name, module in vae.named_modules():
        if name.endswith("conv2") or name.endswith("to_out.0"):
            module.weight.zero_()
            module.bias.zero_()
    center = torch.zeros(3, 3)
    center[1, 1] = 1
    mean = torch.zeros(3, 3)
    mean[:2, :2] = 0.25  # diffusers and ldm pad on the right and below only, so a pixel's block is the kernel's first two rows and columns
    smooth = SMOOTH[:, None] * SMOOTH
    _carry(encoder.conv_in, range(3), SIGNALS, center)
    for block in encoder.down_blocks[:-1]:
        _carry(block.downsamplers[0].conv, SIGNALS, SIGNALS, mean)
    _anchor(encoder.down_blocks[-2].downsamplers[0].conv, encoder.conv_norm_out)
    _carry(encoder.conv_out, SIGNALS, range(3), center)
    encoder.conv_out.bias[:3] = -BIAS
    encoder.conv_out.weight[4:] *= 0.1
    encoder.conv_out.bias[4:] = -6.0  # little posterior noise at first
    _identity(vae.quant_conv)
    _identity(vae.post_quant_conv)
    _carry(decoder.conv_in, range(3), SIGNALS, center)
    for block in decoder.up_blocks[:-1]:
        _carry(block.upsamplers[0].conv, SIGNALS, SIGNALS, smooth)
    _anchor(decoder.up_blocks[-2].upsamplers[0].conv, decoder.conv_norm_out)
    _carry(decoder.conv_out, SIGNALS, range(3), center)
    decoder.conv_out.bias[:3] = -BIAS


def _carry(conv, sources, targets, kernel: torch.Tensor) -> None:
    """Targets hear their source through `kernel` and nothing else; all other weights shrink to small random features."""
    conv.weight *= SMALL
    conv.bias.zero_()
    for source, target in zip(sources, targets):
        conv.weight[target] = 0
        conv.weight[target, source] = kernel


def _anchor(conv, norm) -> None:
    """`conv` feeds `norm`: partners of the signals become ANCHOR, the norm's gain and bias give the signals back, raised by BIAS."""
    for signal in SIGNALS:
        conv.weight[signal + 1] = 0
        conv.bias[signal + 1] = ANCHOR
        norm.weight[signal] = ANCHOR / 2   # group mean is ANCHOR / 2 and so is the deviation
        norm.bias[signal] = ANCHOR / 2 + BIAS


def _identity(conv) -> None:
    conv.weight.zero_()
    conv.bias.zero_()
    for i in range(len(conv.weight)):
        conv.weight[i, i] = 1
