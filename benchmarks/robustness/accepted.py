"""What may be accepted though it is bad, and why it harms nobody. Read by hand; what isn't listed here and changes a
result counts as a fault.

An input that comes out as the good one that it was made from needs no entry.
"""

from __future__ import annotations

FITS = "the file says itself what it is, and its tensors fit: no reader could see a fault in it"
FINITE = "another finite value is another weight, and no reader can tell it from a trained one"
SHOWN = "texts and numbers of a row are shown and nothing more, as text; who edits them sees what was written"
WORDS = "ComfyUI turns whatever is given for a text into one, and any text is a caption"

HARMLESS: dict[tuple[str, str], str] = {
    ("pictures", "flipped bits"): "most formats have no checksums: what still decodes is a picture of other pixels",
    ("pictures", "a flipped header"): "the same: what the header then says is still a whole picture",
    ("pictures", "chunks in disorder"): "a palette of more transparencies than colours has the colours that are named",
    ("pictures", "cut short"): "what was cut off was not needed to show every pixel",
    ("reviewers", "finite values changed"): FINITE,
    ("adapters", "finite values changed"): FINITE,
    ("loras", "finite values changed"): FINITE,
    ("pocket files", "finite values changed"): FINITE,
    ("reviewers", "config with odd numbers"): FITS,
    ("pocket files", "family of odd sizes"): FITS,
    ("adapters", "a tensor of another kind"): "read as another kind of floating-point number, " + FINITE,
    ("profiles", "odd settings"): "they can be: the sampler says that they aren't its own, and rejects nothing early",
    ("configs of rfft", "a table where none belongs"): "a LoRA is opened, and refused, when it is folded in",
    ("configs of rfft", "prompts that are none"): "any text whose encoding can be told is a prompt",
    ("label files", "names that are not there"): "RF1M names pictures without their endings, too, and there they are",
    ("galleries", "a row with odd values"): SHOWN,
    ("nodes", "product with odd words"): WORDS,
    ("nodes", "requests with other methods"): "ComfyUI itself answers OPTIONS, and says nothing",
    ("nodes", "labels with odd values"): "the summary names a report that is none; the pictures have no verdict then",
}


def reason(kind: str, way: str) -> str | None:
    return HARMLESS.get((kind, way))
