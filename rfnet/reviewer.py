"""The reviewer: generated images and the product they were painted around in, verdicts out (arXiv:2408.00418)."""

import warnings
from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from PIL import Image, ImageDraw
from torch import nn

from .familiarity import SENTENCE, UNFAMILIAR, Familiarity
from .fusion import parse_fusion
from .labels import LABELS
from .lettering import letters, write
from .map_names import BUILTIN, OUTSIDE, map_notes, parse_maps
from .map_sources import MapSource
from .model import RFNet
from .painters import Painter
from .presence import missing
from .product import Canvas, over_grey
from .resize import resize
from .risks import ACCEPT, certified_for, parse_risks
from .sheets import GREEN, RED
from .sizes import parse_sizes
from .structured import shortened

CHUNK = 16  # images reviewed at once, so that a long batch needs no more memory than a short one
REMEMBERED = 8  # products whose features are kept
MISSING = (
    "The product is not in this picture: look whether its mask is inverted, and whether the picture belongs to this"
    " product."
)


class ReviewError(ValueError):
    """These images can't be reviewed; the message says why and what to do."""


@dataclass
class Review:
    """Verdicts on B images: probabilities (B, 5) in the order of LABELS, accepted (B,) bool, label_ids (B,), and the
    maps that were looked at: depth, saliency (B, 1, H, W) in [0, 1], depth inverse with 1 = nearest. notes: sentences
    on what to doubt. missing (B,) bool: the product is not in the picture, which is then not accepted, whatever the
    probabilities say. opinions: of an opinions.panel.Panel, what its rows say besides. familiar (B,):
    the share of familiar pictures that are further from what the reviewer learned from; None where it doesn't know.
    shown_size: (log metres (B,) of the product's largest side as the picture shows it, how far that may be off); None
    where the reviewer reads no sizes.
    """

    probabilities: torch.Tensor
    accepted: torch.Tensor
    label_ids: torch.Tensor
    depth: torch.Tensor
    saliency: torch.Tensor
    notes: list = field(default_factory=list)
    missing: torch.Tensor | None = None
    opinions: list | None = None
    familiar: torch.Tensor | None = None
    shown_size: tuple[torch.Tensor, float] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    def rows(self) -> list:
        """One JSON-able dict per image: {"label", "probabilities": {label: p}, "accepted"}, "missing": True where the
        product is not in the picture, "notes" where there are some, and with second opinions "decided_by", the name of
        the one that did or "rfnet", "opinions", {name: {defect: log-odds}}, "models", {name: what it asked}, and
        "said", {name: words}, where one has some.
        """
        gone = [False] * len(self) if self.missing is None else self.missing.tolist()
        rows = []
        for label, row, accepted, is_gone in zip(
            self.label_ids.tolist(), self.probabilities.tolist(), self.accepted.tolist(), gone
        ):
            rows.append(
                {
                    "label": LABELS[label],
                    "probabilities": dict(zip(LABELS, (round(p, 6) for p in row))),
                    "accepted": accepted,
                }
            )
            if self.familiar is not None:
                rows[-1]["familiar"] = round(float(self.familiar[len(rows) - 1]), 4)
            if unlike := rows[-1].get("familiar", 1) < UNFAMILIAR:
                rows[-1]["unfamiliar"] = True
            if self.opinions:
                rows[-1] |= self.opinions[len(rows) - 1]
            if is_gone:
                rows[-1]["missing"] = True
            if notes := [*self.notes, *[MISSING] * is_gone, *[SENTENCE] * unlike]:
                rows[-1]["notes"] = notes
        return rows


class Reviewer(nn.Module):
    """RFNet with a source of maps, its temperature and its threshold. Make one with weights.load_reviewer."""

    def __init__(
        self, rfnet: RFNet, maps: MapSource, metadata: dict | None = None, familiarity: Familiarity | None = None
    ):
        super().__init__()
        self.rfnet, self.maps, self.metadata = rfnet, maps, dict(metadata or {})
        self.trained_maps = parse_maps(self.metadata.get("maps", BUILTIN))
        self.familiarity = familiarity  # of features that its own maps give
        self._warned: set[str] = set()
        self.temperature = float(self.metadata.get("temperature", 1.0))
        self.threshold = float(self.metadata.get("threshold", 0.5))
        self.risks = parse_risks(self.metadata.get("risks", "{}"))
        self.fusion = parse_fusion(self.metadata.get("fusion", ""))
        self.sizes = parse_sizes(self.metadata.get("sizes", ""))
        self._products: OrderedDict = OrderedDict()
        self.eval()

    @torch.no_grad()
    def review(
        self, images: torch.Tensor, canvas: Canvas, threshold: float | None = None, depth=None, saliency=None
    ) -> Review:
        """Review images (B, 3, H, W), RGB in [0, 1], painted around the product of this canvas.

        accepted = p(available) >= threshold, and the product is in the picture; by default the threshold of the
        weights. Each image is judged by itself, whatever else is in the batch. depth, saliency: maps that something
        else made, (B, 1, h, w) or one for all, in [0, 1], depth inverse with 1 = nearest; None looks through self.maps.
        The first time that a kind of maps isn't what the weights were trained with, it warns, and each Review notes it.
        Raises ReviewError.
        """
        check(images, canvas)
        outside = [_fit(kind, values, images) for kind, values in (("depth", depth), ("saliency", saliency))]
        notes = self._notes(*outside)
        threshold = self.threshold if threshold is None else threshold
        features = self.product_features(canvas)
        logits, depths, saliencies = [], [], []
        seen: list[torch.Tensor] = []
        for start in range(0, len(images), CHUNK):
            rows = slice(start, start + CHUNK)
            chunk = images[rows].to(self._weight).clamp(0, 1)
            given = [maps if maps is None else maps[rows].to(self._weight).clamp(0, 1) for maps in outside]
            depth, saliency = self._maps_of(chunk, *given)
            logits.append(self.rfnet(None, chunk, depth, saliency, None, product_features=features, features=seen))
            depths.append(depth.float().cpu())
            saliencies.append(saliency.float().cpu())
        probabilities = (torch.cat(logits).float() / self.temperature).softmax(1).cpu()
        found = torch.cat(seen).float().cpu()
        gone = missing(images, canvas)
        accepted = (probabilities[:, 0] >= threshold) & ~gone
        return Review(
            probabilities,
            accepted,
            probabilities.argmax(1),
            torch.cat(depths),
            torch.cat(saliencies),
            notes,
            gone,
            familiar=self.familiarity.share_further(found) if self.familiarity else None,
            shown_size=(self.sizes.read(found), self.sizes.sigma) if self.sizes else None,
        )

    def threshold_for(self, accept: str = "threshold", threshold: float | None = None) -> float:
        """The least p(available) to accept when `accept`, one of ACCEPT, decides: the given threshold (None: the
        weights' own), or the one certified for a risk, whatever the given one is. Raises ReviewError where this
        reviewer holds no such certificate.
        """
        if accept not in ACCEPT:
            raise ReviewError(f'accept is "{accept}": use one of {", ".join(ACCEPT)}.')
        risk = ACCEPT[accept]
        if risk is None:
            return self.threshold if threshold is None else threshold
        remedy = (
            f"run `rfnet calibrate WEIGHTS --data DIR --risk {risk:g}` on labelled pictures of products that it never"
            " saw, or set accept to threshold."
        )
        if risk not in self.risks:
            raise ReviewError(f"this reviewer was never certified to accept at {accept}: {remedy}")
        if "refused" in self.risks[risk]:
            raise ReviewError(
                f"this reviewer could not be certified to accept at {accept}"
                f" ({shortened(self.risks[risk]['refused'].rstrip('.'), 200)[1:-1]}): with better weights or more"
                f" pictures, {remedy}"
            )
        return self.risks[risk]["threshold"]

    def certificate(self, accept: str, painter: Painter | None = None) -> dict | None:
        """What the threshold of an `accept` stands on: an entry of risks.certify, with "about", the pictures that it
        speaks of, "painter", what painted them, and "certified_for_this_painter": whether that is the given painter,
        None where that is None, unknown. None for a plain threshold.
        """
        entry = self.risks.get(ACCEPT[accept])
        return entry and {**entry, "certified_for_this_painter": certified_for(entry, painter)}

    def logits(self, images: torch.Tensor, product_rgb: torch.Tensor, alpha: torch.Tensor, captions) -> torch.Tensor:
        """Differentiable logits (B, 5), divided by the temperature; images, product_rgb (B, 3, H, W), alpha (B, H, W),
        B captions.
        """
        images, tokens = images.to(self._weight), self.rfnet.tokenize(captions).to(self._weight.device)
        shown = over_grey(product_rgb.to(images), alpha.to(images))
        return self.rfnet(shown, images, *self.maps(images), tokens) / self.temperature

    def _maps_of(self, images: torch.Tensor, depth, saliency):
        """The maps of these images: those given, and where one is None the source's."""
        estimated = self.maps(images) if depth is None or saliency is None else (depth, saliency)
        return estimated[0] if depth is None else depth, estimated[1] if saliency is None else saliency

    def _notes(self, depth, saliency) -> list:
        """map_notes on the maps that RFNet looks at; a sentence that is new is also a warning."""
        names = parse_maps(self.maps.name)
        fed = {
            kind: names[kind] if given is None else OUTSIDE
            for kind, given in (("depth", depth), ("saliency", saliency))
            if kind in self.rfnet.config.inputs
        }
        notes = map_notes(self.trained_maps, fed)
        for note in notes:
            if note not in self._warned:
                self._warned.add(note)
                warnings.warn(note, stacklevel=4)
        return notes

    @property
    def _weight(self) -> torch.Tensor:
        return self.rfnet.head.weight

    @torch.no_grad()
    def product_features(self, canvas: Canvas) -> torch.Tensor:
        """What depends on the product alone, RFNet.encode_product's answer, computed once per canvas, device and
        dtype.
        """
        weight = self._weight
        key = canvas.fingerprint, weight.device, weight.dtype, weight._version if not weight.is_inference() else 0
        if key not in self._products:
            tokens = self.rfnet.tokenize([canvas.product.caption]).to(weight.device)
            self._products[key] = self.rfnet.encode_product(canvas.shown[None].to(weight), tokens)
            if len(self._products) > REMEMBERED:
                self._products.popitem(last=False)
        self._products.move_to_end(key)
        return self._products[key]


def check(images: torch.Tensor, canvas: Canvas) -> None:
    """Raises ReviewError unless these are images (B, 3, H, W) of this canvas's size, every value finite."""
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ReviewError(
            f"the images have shape {tuple(images.shape)}: they must be (batch, 3, height, width), at least one."
        )
    height, width = images.shape[2:]
    if (height, width) != (canvas.height, canvas.width):
        raise ReviewError(
            f"the pictures are {width}x{height} but the product was placed on {canvas.width}x{canvas.height}: connect"
            " the RFProduct that the sampler used."
        )
    broken = torch.nonzero(~torch.isfinite(images).flatten(1).all(1)).flatten().tolist()
    if broken:
        raise ReviewError(
            f"image {broken[0] + 1} of {len(images)} holds NaN or infinite values: the sampler or VAE overflowed; run"
            " them in fp32 or try another VAE."
        )


def _fit(kind: str, values, images: torch.Tensor):
    """Maps from outside as (B, 1, H, W) of the images' size; None stays None. Raises ReviewError."""
    if values is None:
        return None
    if values.ndim != 4 or values.shape[1] != 1 or len(values) not in (1, len(images)):
        raise ReviewError(
            f"the {kind} maps have shape {tuple(values.shape)}: they must be ({len(images)}, 1, height, width), one per"
            " picture, or one for all."
        )
    if not torch.isfinite(values).all():
        raise ReviewError(f"the {kind} maps hold NaN or infinite values: check the node that made them.")
    return resize(values.float(), *images.shape[-2:]).expand(len(images), -1, -1, -1)


def annotate(images: torch.Tensor, review: Review) -> list:
    """Images (B, 3, H, W) in [0, 1] as Pillow pictures with a green or red frame and a strip that says "size_mismatch
    0.81".
    """
    return [annotate_row(image, row) for image, row in zip(images, review.rows())]


def verdict(row: dict) -> str:
    """A row of a review in a few characters."""
    if row.get("error"):
        return "error"
    if row.get("unfamiliar") and not row.get("missing"):
        return "unfamiliar picture"
    return "product is missing" if row.get("missing") else f"{row['label']} {row['probabilities'][row['label']]:.2f}"


def annotate_row(image: torch.Tensor, row: dict, text: str = "") -> Image.Image:
    """One image (3, H, W) with one row of Review.rows(); a row with "error" shows that instead of a verdict.

    text: what the strip says instead.
    """
    pixels = (image.detach().cpu().float().nan_to_num().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).numpy()
    height, width = pixels.shape[:2]
    frame = max(2, round(min(width, height) / 64))
    text = text or verdict(row)
    size = max(9, round(height / 20))
    while size > 7 and letters(size).getlength(text) > width:
        size -= 1
    strip = round(size * 1.6)
    picture = Image.new("RGB", (width + 2 * frame, height + 2 * frame + strip), GREEN if row["accepted"] else RED)
    picture.paste(Image.fromarray(pixels), (frame, frame))
    write(
        ImageDraw.Draw(picture),
        (picture.width / 2, height + 2 * frame + strip / 2 - frame / 2),
        text,
        "white",
        size,
        "mm",
    )
    return picture
