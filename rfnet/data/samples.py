"""Labelled pictures that stay on disk: an index of compact arrays in memory, pictures read one by one, splits by
product.
"""

import hashlib
import io
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from ..files import quoted, refusal
from ..labels import LABELS, UNSUITABLE
from ..map_names import KINDS
from ..pictures import PictureError, decode
from ..product import Product, place
from .archives import ArchiveError, Files
from .errors import BrokenSample, DataError
from .map_files import MapFiles
from .spans import Texts, hash_text, mix

SHOWN = 5  # sentences kept per kind of finding
HARMLESS = (UNSUITABLE, "unlabelled_images", "duplicate_lines")  # findings that a data set may well have
# On one canvas MOST of the product's pixels differ by less than SAME of 255: scaling and compression change less.
SAME = 32
MOST = 0.85
LONGEST = 65535  # pixels on a side of a picture, LARGEST squared in all
PLACED = 512  # a product that has to be placed first is placed on a canvas of at most this many pixels a side


@dataclass
class Findings:
    """What was wrong with a data set: counts {kind: how often}, the first few sentences of each kind, and notes on how
    it was read.
    """

    counts: dict[str, int] = field(default_factory=dict)
    sentences: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, sentences, count: int | None = None) -> None:
        """Count `count` findings, or as many as there are sentences; sentences: one, or an iterable that is drawn from
        as far as needed.
        """
        sentences = [sentences] if isinstance(sentences, str) else list(sentences)
        count = len(sentences) if count is None else int(count)
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            shown = self.sentences.setdefault(kind, [])
            shown += sentences[: SHOWN - len(shown)]

    @property
    def damaged(self) -> int:
        """How many findings mean that something is wrong, and not only that it wasn't asked for or came twice."""
        return sum(count for kind, count in self.counts.items() if kind not in HARMLESS)

    @property
    def brief(self) -> str:
        """What was wrong in less than 300 characters: the counts, and the first sentence."""
        counts = (
            ", ".join(f"{kind.replace('_', ' ')}: {count}" for kind, count in sorted(self.counts.items()))
            or "it is empty"
        )
        first = next((f"; first: {shown[0].rstrip('.')}" for shown in self.sentences.values() if shown), "")
        return counts[:120] + (first if len(first) <= 180 else first[:179] + "…")

    def __str__(self) -> str:
        lines = list(self.notes)
        for kind, count in sorted(self.counts.items()):
            lines += [f"{kind.replace('_', ' ')}: {count}", *(f"  {sentence}" for sentence in self.sentences[kind])]
        return "\n".join(lines) or "nothing wrong was found"


@dataclass
class Samples:
    """N labelled samples, their pictures still on disk, or in memory (`in_memory`).

    labels (N,) uint8 positions in LABELS; products (N,) int32 positions in product_keys (P,) uint64, which name the
    products for good; ids (N,) uint64 name the samples; files: {"image", "product", perhaps "depth", "saliency": Files
    of N rows}; texts: {"caption", "prompt", ...: Texts of N rows}; size: pictures are read as size x size; maps:
    computed depth and saliency that stand in for those of the files; arrays: what is in memory. Holds no open file, so
    that any number of DataLoader workers can share or copy it.
    """

    labels: np.ndarray
    products: np.ndarray
    product_keys: np.ndarray
    ids: np.ndarray
    files: dict[str, Files]
    texts: dict[str, Texts]
    size: int
    findings: Findings
    product_names: Texts | None = None  # of P rows; where products have names of their own
    maps: MapFiles | None = None
    own_maps: str = ""  # what made the depth and saliency that came with the samples, where a network is to see them
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict:
        return self.read(row)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name this selection of samples and their labels, in whatever order."""
        return hashlib.sha256(np.sort(mix(self.ids, self.labels)).astype("<u8").tobytes()).hexdigest()[:16]

    @property
    def product_ids(self) -> list[str]:
        """N texts, equal for samples of one product."""
        return [self.product_id(row) for row in range(len(self))]

    def product_id(self, row: int) -> str:
        product = self.products[row]
        return self.product_names[product] if self.product_names else f"{self.product_keys[product]:016x}"

    def column(self, name: str) -> list[str]:
        """N texts of one kind: "caption", "prompt", ..."""
        return list(self.texts[name])

    def count_labels(self) -> dict[str, int]:
        """{label: number of samples}, every label named."""
        return count_labels(self.labels)

    def select(self, rows) -> "Samples":
        """The samples at these positions, or where a mask (N,) is true."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        return replace(
            self,
            labels=self.labels[rows],
            products=self.products[rows],
            ids=self.ids[rows],
            files={role: files.select(rows) for role, files in self.files.items()},
            texts={name: texts.select(rows) for name, texts in self.texts.items()},
            arrays={name: array[rows] for name, array in self.arrays.items()},
        )

    def resized(self, size: int) -> "Samples":
        """The same samples, on disk, read as size x size."""
        return replace(self, size=size, arrays={})

    @property
    def map_name(self) -> str | None:
        """What made the maps that a network is to see; None where it makes them itself."""
        return (self.own_maps or None) if self.maps is None else self.maps.estimator

    def with_own_maps(self, made_by: str) -> "Samples":
        """The samples that came with depth and saliency, for a network that sees these. made_by: what made them.

        Raises DataError where none did.
        """
        complete = np.ones(len(self), bool)
        for kind in KINDS:
            complete &= self.files[kind].container >= 0 if kind in self.files else False
        if not complete.any():
            raise DataError(
                "no sample came with both depth and saliency: leave out own_maps, or compute them with `rfnet maps`."
            )
        samples = replace(self.select(complete), own_maps=made_by)
        samples.findings.add("without_maps", (), int((~complete).sum()))
        return samples

    def with_maps(self, folder) -> "Samples":
        """The same samples with the depth and saliency that bulk_maps.precompute_maps left in a folder.

        Raises DataError where some lack them.
        """
        return replace(self, maps=MapFiles.open(folder, self.ids))

    def read(self, row: int) -> dict:
        """One sample, S = size: "image" (S, S, 3), "product" (S, S, 4), "depth" and "saliency" (S, S) or None, all
        uint8; "aligned": whether the product came on the image's own canvas; "square": whether the image is a square on
        disk, too; "label" int, "product_id" str, and the texts ("caption", "prompt", ...).

        Pictures are stretched to the square, all by the same factors. A product picture is taken to be on the image's
        own canvas where it has the image's size, or its proportions and the image shows the same colours there; any
        other is placed on the canvas as `rfnet review` places it, and "aligned" is False. Raises BrokenSample.
        """
        in_memory = {name: array[row] for name, array in self.arrays.items()}
        sample = in_memory or self._read_pictures(row)
        for role in ("depth", "saliency"):
            on_disk = self.maps is None and role in self.files and row in self.files[role]
            sample[role] = _square(self._open(role, row)[0].convert("L"), self.size) if on_disk else None
        if self.maps is not None:
            sample |= {
                role: _square(Image.fromarray(values), self.size)
                for role, values in self.maps.read(self.ids[row]).items()
            }
        return {
            **sample,
            **self.texts_of(row),
            "label": int(self.labels[row]),
            "product_id": self.product_id(row),
        }

    def texts_of(self, row: int) -> dict[str, str]:
        """ "caption", "prompt", ... of one sample."""
        return {name: texts[row] for name, texts in self.texts.items()}

    def _read_pictures(self, row: int) -> dict:
        """ "image", "product", "aligned" and "square" of `read`."""
        image, image_size = self._open("image", row)
        product, product_size = self._open("product", row)
        if product.getchannel("A").getextrema()[1] == 0:
            raise BrokenSample(f'"{self.files["product"].name(row)}" is transparent everywhere: it shows no product.')
        sample = {"image": _square(image.convert("RGB"), self.size), "product": _square(product, self.size)}
        aligned = image_size == product_size or _same_canvas(image, product, sample)
        if not aligned:
            sample["product"] = _square(self._placed(product, image.size, row), self.size)
        return {**sample, "aligned": aligned, "square": image_size[0] == image_size[1]}

    def read_image(self, row: int) -> np.ndarray:
        """The generated image alone, (S, S, 3) uint8. Raises BrokenSample."""
        return _square(self._open("image", row)[0].convert("RGB"), self.size)

    def read_many(self, rows) -> tuple:
        """(samples, broken): those at these rows that can be read, and [(row, sentence)] of those that can't."""
        samples = []
        broken = []
        for row in rows:
            try:
                samples.append(self.read(row))
            except BrokenSample as error:
                broken.append((int(row), str(error)))
        return samples, broken

    def without_broken(self, progress=iter) -> "Samples":
        """The samples that can be read, the others counted in the findings.

        Opens every picture; progress wraps the rows, as tqdm does. Raises DataError where none can be read.
        """
        return self._readable(progress)[0]

    def in_memory(self, progress=iter) -> "Samples":
        """The samples that can be read, with all images and products in memory, for a training that draws them often:
        `arrays` is {"image": (N, S, S, 3), "product": (N, S, S, 4) uint8, "aligned", "square": (N,) bool}. Depth and
        saliency stay on disk. Otherwise as without_broken.
        """
        shapes = {"image": (self.size, self.size, 3), "product": (self.size, self.size, 4)}
        arrays: dict[str, np.ndarray] = {
            name: np.empty((len(self), *shape), np.uint8) for name, shape in shapes.items()
        }
        arrays |= {name: np.empty(len(self), bool) for name in ("aligned", "square")}

        def keep(row: int, sample: dict) -> None:
            for name, array in arrays.items():
                array[row] = sample[name]

        samples, readable = self._readable(progress, keep)
        arrays = arrays if readable.all() else {name: array[readable] for name, array in arrays.items()}
        return replace(samples, arrays=arrays)

    def _readable(self, progress, keep=lambda row, sample: None) -> tuple["Samples", np.ndarray]:
        """(the samples that can be read, which those are (N,) bool); keep(row, sample) gets each of them."""
        findings = Findings(
            dict(self.findings.counts),
            {kind: list(sentences) for kind, sentences in self.findings.sentences.items()},
            list(self.findings.notes),
        )
        readable = np.ones(len(self), bool)
        for row in progress(range(len(self))):
            try:
                keep(row, self.read(row))
            except BrokenSample as error:
                readable[row] = False
                findings.add("broken_files", str(error))
        if len(self) and not readable.any():
            raise DataError(f"none of {len(self)} samples can be read, first: {findings.sentences['broken_files'][0]}")
        return replace(self.select(readable), findings=findings), readable

    def _open(self, role: str, row: int) -> tuple:
        """A picture as RGBA, at least `size` large where it is stored larger, and the (width, height) that it is stored
        with.
        """
        files = self.files[role]
        try:
            content = io.BytesIO(files.read(row))
        except ArchiveError as error:
            raise BrokenSample(
                f"the {role} {quoted(files.name(row))} can't be read ({error}): replace the file, or take out its line."
            ) from error
        except OSError as error:
            raise BrokenSample(f"the {role} {refusal(files.name(row), error)}") from error
        try:  # a JPEG is decoded at the smallest scale that is still twice as fine
            return decode(content, f'the {role} "{files.name(row)}"', smallest=1, largest=LONGEST, fit=2 * self.size)
        except PictureError as error:
            raise BrokenSample(str(error)) from error

    def _placed(self, product: Image.Image, shape: tuple, row: int) -> Image.Image:
        shrink = min(1, PLACED / max(shape))
        try:
            canvas = place(
                Product.from_arrays(np.asarray(product)), *(max(64, round(side * shrink / 8) * 8) for side in shape)
            )
        except PictureError as error:
            raise BrokenSample(f'the product "{self.files["product"].name(row)}" can\'t be placed: {error}') from error
        planes = np.dstack([canvas.rgb.permute(1, 2, 0).numpy(), canvas.alpha.numpy()])
        return Image.fromarray((planes * 255 + 0.5).astype(np.uint8), "RGBA")


def _square(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image if image.size == (size, size) else image.resize((size, size), Image.Resampling.LANCZOS))


def _same_canvas(image: Image.Image, product: Image.Image, sample: dict) -> bool:
    """Whether a product picture of another size than the image lies on the same canvas: what is opaque in it is what
    the image shows there.
    """
    if abs(np.log(product.width * image.height / (product.height * image.width))) > 0.02:
        return False
    opaque = sample["product"][..., 3] >= 250
    differences = np.abs(sample["product"][opaque][:, :3].astype(int) - sample["image"][opaque]).mean(1)
    return bool(len(differences)) and bool((differences < SAME).mean() >= MOST)


def split(samples: Samples, shares: dict, salt: str = "") -> dict:
    """{name: Samples} by product: all samples of a product fall into the same part, decided by its key alone, so that
    the same product falls into the same part in every data set and on every machine.

    shares: {name: share of the products}, together at most 1. salt: any text; another one gives an independent split,
    which is what a part needs that is split again. Raises DataError for shares that aren't shares.
    """
    values = np.array(list(shares.values()), float)
    if not len(values) or not (values >= 0).all() or not 0 < values.sum() <= 1 + 1e-9:
        raise DataError(f"the shares of a split are {shares}: give numbers from 0 to 1 that sum to at most 1.")
    draws = (mix(samples.product_keys, np.uint64(hash_text(salt))) >> np.uint64(11)) / float(1 << 53)
    edges = np.cumsum(values)
    edges[-1] = 1.0 if edges[-1] > 1 - 1e-9 else edges[-1]
    part = np.searchsorted(edges, draws, side="right")[samples.products]
    return {name: samples.select(part == number) for number, name in enumerate(shares)}


def count_labels(labels: np.ndarray) -> dict[str, int]:
    """{label: how many of these positions in LABELS are it}, every label named."""
    return {name: int((labels == position).sum()) for position, name in enumerate(LABELS)}


def plain_label(name: str) -> str:
    """A label as people write it ("Space Mismatch", "space-mismatch") in the form of LABELS."""
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


def index(rows: dict, findings: Findings, size: int, where: str) -> Samples:
    """Samples out of matched arrays; drops what may be dropped only now: pictures that are listed more than once.

    rows: {"labels", "ids", "keys" (product keys, uint64), "files", "texts"}, of N rows each, and perhaps "names"
    (product names, Texts of N rows) and "lines": a function that names rows in a message. Raises DataError where
    nothing is left.
    """
    unique = once(rows["ids"], rows["labels"], findings, rows["lines"])
    if not len(unique):
        raise DataError(f"{quoted(where)} holds no usable sample ({findings.brief}): give other data, or change these.")
    keys, first, products = np.unique(rows["keys"][unique], return_index=True, return_inverse=True)
    return Samples(
        rows["labels"][unique].astype(np.uint8),
        products.astype(np.int32),
        keys,
        rows["ids"][unique],
        {role: files.select(unique) for role, files in rows["files"].items()},
        {name: texts.select(unique) for name, texts in rows["texts"].items()},
        size,
        findings,
        rows["names"].select(unique[first]) if rows.get("names") else None,
    )


def once(ids: np.ndarray, labels: np.ndarray, findings: Findings, name) -> np.ndarray:
    """Positions of the first of each id, in order; ids that carry different labels are left out, since none of them can
    be believed.
    """
    unique, first, group, count = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    differs = np.zeros(len(unique), bool)
    differs[group[labels != labels[first][group]]] = True
    extra = count > 1
    findings.add(
        "duplicate_lines",
        (
            f"{name(row)} is listed {times} times: the first line counts."
            for row, times in _few(first, count, extra & ~differs)
        ),
        (count - 1)[extra & ~differs].sum(),
    )
    findings.add(
        "contradicting_lines",
        (f"{name(row)} is listed with different labels: left out." for row, _ in _few(first, count, differs)),
        count[differs].sum(),
    )
    return np.sort(first[~differs])


def _few(first, count, mask):
    chosen = np.flatnonzero(mask)[:SHOWN]
    return zip(first[chosen].tolist(), count[chosen].tolist())
