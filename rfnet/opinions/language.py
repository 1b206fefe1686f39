"""A vision-language model in a folder of the user's, asked one yes/no question for each defect."""

from pathlib import Path

import torch

from ..architectures import need
from ..files import quoted
from ..structured import shortened
from .identity import name_of
from .protocol import OpinionError
from .questions import asked_all, log_odds, meaning


class Language:
    """Evidence for every defect from the probabilities of "yes" and "no" as the first word of the answer.

    folder: a model of transformers' AutoModelForImageTextToText with its processor and chat template, as
    save_pretrained writes it; only safetensors are opened, nothing is fetched, no code of the folder runs. ready():
    called before the model is used, such as to bring it to a GPU. Raises OpinionError.
    """

    name, proof = "language", False
    cost = "four passes of the model"

    def __init__(self, folder, ready=lambda: None):
        self.folder, self.ready = Path(folder), ready
        if not (self.folder / "config.json").is_file():
            raise OpinionError(f"{quoted(self.folder)} is no folder with a config.json: give a transformers model's.")
        if not any(self.folder.glob("*.safetensors")):
            raise OpinionError(f"{quoted(self.folder.name)} holds no .safetensors: other formats are not opened.")
        self.processor, self.network = self._load()
        if getattr(self.processor, "chat_template", None) is None:
            raise OpinionError(f"{quoted(self.folder.name)} has no chat template: use a model tuned to answer.")
        self.model = name_of(self.folder)
        self.words = self._words()

    @torch.no_grad()
    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion."""
        self.ready()
        return asked_all(self._ask, canvas, images)

    def _ask(self, product, picture, text: str) -> float:
        """Log-odds of yes."""
        content = [{"type": "image", "image": product}, {"type": "image", "image": picture}]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]
        try:
            inputs = self.processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
            weight = next(self.network.parameters())
            inputs = inputs.to(weight.device)
            if "pixel_values" in inputs:
                inputs["pixel_values"] = inputs["pixel_values"].to(weight.dtype)
            logits = self.network(**inputs).logits[0, -1].float()
        except torch.cuda.OutOfMemoryError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
            raise OpinionError(f"{quoted(self.folder.name)} could not be asked ({reason}).") from error
        log_p = logits.log_softmax(0)[list(self.words)].tolist()
        return log_odds(zip(self.words.values(), log_p))

    def _words(self) -> dict[int, str]:
        """{token: its text} of the tokens that say yes or no. Raises OpinionError."""
        tokenizer = getattr(self.processor, "tokenizer", self.processor)
        words = {index: text for text, index in tokenizer.get_vocab().items() if meaning(text) is not None}
        if len({meaning(text) for text in words.values()}) < 2:
            raise OpinionError(f"{quoted(self.folder.name)} has no single word for yes or for no: use another model.")
        return words

    def _load(self):
        transformers = need("transformers", "a vision-language model", error=OpinionError)
        here = {"local_files_only": True, "trust_remote_code": False}
        try:
            processor = transformers.AutoProcessor.from_pretrained(self.folder, **here)
            network = transformers.AutoModelForImageTextToText.from_pretrained(
                self.folder, use_safetensors=True, **here
            )
        except Exception as error:  # what transformers raises on odd folders is not bounded
            reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
            raise OpinionError(
                f"{quoted(self.folder.name)} can't be read as a vision-language model ({reason}): it needs the files"
                " that transformers' save_pretrained writes, processor included."
            ) from error
        return processor, network.eval().requires_grad_(False)
