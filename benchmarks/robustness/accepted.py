"""What may be accepted though it is bad, and why it harms nobody. Read by hand; what isn't listed here and changes a
result counts as a fault.

An input that comes out as the good one that it was made from needs no entry.
"""

from __future__ import annotations

FITS = "the file says itself what it is, and its tensors fit: a number that can be is no fault that a reader could see"
FINITE = "another finite value is another weight, and no reader can tell it from a trained one"
SHOWN = "texts and numbers of a row are shown and nothing more, as text; who edits them by hand sees what was written"
WORDS = "ComfyUI turns whatever is given for a text into one, and any text is a caption"

HARMLESS: dict[tuple[str, str], str] = {
    (
        "pictures", "flipped bits",
    ): "JPEG, WebP, TIFF, GIF and BMP have no checksums: what still decodes is a picture with other pixels",
    ("pictures", "a flipped header"): "the same: what the header then says is still a whole picture",
    (
        "pictures", "chunks in disorder",
    ): "a palette with more transparencies than colours: the colours that pixels name are there",
    ("pictures", "cut short"): "what was cut off was not needed to show every pixel",
    ("reviewers", "finite values changed"): FINITE, ("adapters", "finite values changed"): FINITE,
    ("loras", "finite values changed"): FINITE, ("pocket files", "finite values changed"): FINITE,
    ("reviewers", "config with odd numbers"): FITS, ("pocket files", "family of odd sizes"): FITS,
    (
        "adapters", "a tensor of another kind",
    ): "bytes of one kind of floating-point number read as another are finite values again: " + FINITE,
    (
    ("profiles", "odd settings"):
        "settings that can be: the sampler says that they aren't its own, and rejects nothing early",
    ("configs of rfft", "a table where none belongs"):
        "a LoRA is opened, and refused, when it is folded into its checkpoint",
        "configs of rfft", "prompts that are none",
    ): "any text in an encoding that its mark or UTF-8 tells is a prompt; the text encoder reads its beginning",
    ("label files", "names that are not there"): "RF1M names pictures without their endings, too, and there they are",
    ("albums", "a row with odd values"): SHOWN, ("nodes", "product with odd words"): WORDS,
    (
        "nodes", "labels with odd values",
    ): "a report that is none is named in the summary, and the pictures wait without a verdict",
}


def reason(kind: str, way: str) -> str | None:
    return HARMLESS.get((kind, way))
