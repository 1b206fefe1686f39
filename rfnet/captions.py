"""Captions to token ids: CLIP's vocabulary, which comes with open_clip, or RoBERTa's, which the user brings and the
weights keep.
"""

from functools import lru_cache
from pathlib import Path

import torch

from .architectures import ArchitectureError, RFNetConfig, need
from .textfiles import TextError, read_text

NO_CAPTION = "a product"
LONGEST = 2000  # characters; no tokenizer here reads further
CLIP_BEGIN, CLIP_END = 49406, 49407
ROBERTA_BEGIN, ROBERTA_PAD, ROBERTA_END = 0, 1, 2


def worded(captions) -> list:
    """Captions without outer blanks, at most LONGEST characters; an empty one reads "a product"."""
    return [caption[:LONGEST].strip() or NO_CAPTION for caption in captions]


@lru_cache(maxsize=1)
def _clip_vocabulary():
    return need("open_clip.tokenizer", "reading captions", "open_clip_torch").SimpleTokenizer()


def clip_tokens(captions, context: int) -> torch.Tensor:
    """Captions (any unicode, any length) -> token ids (B, context), CLIP's vocabulary: begin 49406, end 49407, padding
    0.

    Longer ones are cut, their end mark stays. Of open_clip nothing is used but `encode`, which is the same in every
    version.
    """
    rows = torch.zeros(len(captions), context, dtype=torch.long)
    for row, caption in zip(rows, worded(captions)):
        ids = _clip_vocabulary().encode(caption)[: context - 2]
        row[: len(ids) + 2] = torch.tensor([CLIP_BEGIN, *ids, CLIP_END])
    return rows


class RobertaVocabulary:
    """RoBERTa's byte-level BPE.

    text: a `tokenizer.json` as the tokenizers library writes it; weights files keep it whole.
    """

    def __init__(self, text: str):
        tokenizers = need("tokenizers", "RoBERTa's vocabulary")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exceptions
            raise ArchitectureError(
                f"the vocabulary is no tokenizer.json that can be read ({error}): copy it from the RoBERTa folder"
                " again."
            ) from error
        ids = [self._tokenizer.token_to_id(mark) for mark in ("<s>", "<pad>", "</s>")]
        if ids != [ROBERTA_BEGIN, ROBERTA_PAD, ROBERTA_END]:
            raise ArchitectureError(
                f"the vocabulary numbers <s>, <pad>, </s> as {ids} instead of 0, 1, 2: it isn't RoBERTa's."
            )
        self.text, self.size = text, self._tokenizer.get_vocab_size()

    @classmethod
    def from_folder(cls, folder) -> "RobertaVocabulary":
        """Read tokenizer.json, or vocab.json and merges.txt, of a RoBERTa folder. Raises ArchitectureError."""
        folder = Path(folder)
        whole, vocab, merges = (folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
        if whole.is_file():
            try:
                return cls(read_text(whole))
            except TextError as error:
                raise ArchitectureError(f"RoBERTa's vocabulary {error}") from error
        if not (vocab.is_file() and merges.is_file()):
            raise ArchitectureError(
                f'"{folder}" has no vocabulary: put RoBERTa\'s tokenizer.json there, or its vocab.json and merges.txt.'
            )
        tokenizers = need("tokenizers", "RoBERTa's vocabulary")
        return cls(tokenizers.ByteLevelBPETokenizer(str(vocab), str(merges)).to_str())

    def __call__(self, captions, context: int) -> torch.Tensor:
        """Captions -> token ids (B, context): begin 0, end 2, padding 1; longer ones are cut, their end mark stays."""
        rows = torch.full((len(captions), context), ROBERTA_PAD, dtype=torch.long)
        for row, caption in zip(rows, worded(captions)):
            ids = self._tokenizer.encode(caption, add_special_tokens=False).ids[: context - 2]
            row[: len(ids) + 2] = torch.tensor([ROBERTA_BEGIN, *ids, ROBERTA_END])
        return rows


class Tokenizer:
    """The captions' way into one architecture.

    vocabulary: RoBERTa's, None until it was given; CLIP's comes with open_clip.

    Raises ArchitectureError where open_clip is needed and missing.
    """

    def __init__(self, config: RFNetConfig):
        self.config = config
        self.vocabulary: RobertaVocabulary | None = None
        if config.reads_captions and config.text != "roberta":
            _clip_vocabulary()  # what is missing is said now, not after the first picture was drawn

    @property
    def needs_vocabulary(self) -> bool:
        return self.config.text == "roberta" and self.config.reads_captions

    def use(self, vocabulary: RobertaVocabulary) -> None:
        """Raises ArchitectureError where its size isn't the network's."""
        if vocabulary.size > self.config.vocabulary:
            raise ArchitectureError(
                f"the vocabulary has {vocabulary.size} entries, this architecture {self.config.vocabulary}: build it"
                f" with vocabulary={vocabulary.size}."
            )
        self.vocabulary = vocabulary

    def __call__(self, captions) -> torch.Tensor:
        """Captions -> token ids (B, context) on the CPU.

        Raises ArchitectureError where RoBERTa has no vocabulary yet.
        """
        if not self.needs_vocabulary:
            return clip_tokens(captions, self.config.context)
        if self.vocabulary is None:
            raise ArchitectureError(
                "RoBERTa has no vocabulary yet: call load_pretrained(rfnet, FOLDER) with a RoBERTa folder."
            )
        return self.vocabulary(captions, self.config.context)
