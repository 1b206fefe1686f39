"""Second opinions by models of the user's: real classes of transformers, thin and with random weights."""

import math

import pytest
import torch

from reliable_ads.benchmarks.random_opinions import write_language, write_sam
from reliable_ads.rfnet.opinions.expansion import Expansion, Sam, grown, inner_points, open_expansion
from reliable_ads.rfnet.opinions.identity import name_of
from reliable_ads.rfnet.opinions.language import Language
from reliable_ads.rfnet.opinions.opening import open_opinion
from reliable_ads.rfnet.opinions.protocol import DEFECTS, SURE, OpinionError
from reliable_ads.rfnet.opinions.questions import log_odds, meaning, product_picture, question, to_picture

from .opinion_examples import boxed, on_table

SHAPE = DEFECTS.index("shape_hallucination")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_language(tmp_path_factory.mktemp("models") / "tiny-llava")


def test_the_evidence_is_that_of_yes_against_no_as_the_first_word(folder):
    opinion, canvas = open_opinion(f"language={folder}"), boxed()
    images = torch.cat([on_table(canvas, True)[0], torch.rand(1, 3, 64, 64)])
    found = opinion.evidence(canvas, images)
    content = [{"type": "image", "image": product_picture(canvas)}, {"type": "image", "image": to_picture(images[1])}]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": question(canvas, DEFECTS[2])}]}]
    inputs = opinion.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        p = opinion.network(**inputs).logits[0, -1].softmax(0)
    yes, no = (sum(float(p[i]) for i, word in opinion.words.items() if meaning(word) is said) for said in (True, False))
    assert found.shape == (2, 4) and found[1, 2].item() == pytest.approx(math.log(yes / no), abs=1e-4)
    assert opinion.model.startswith("tiny-llava ") and not found.isnan().any()


def test_a_model_that_says_other_things_does_not_know(tmp_path):
    folder = write_language(tmp_path / "prose", ["yes", "no", *(f"word{number}" for number in range(60))])
    assert Language(folder).evidence(boxed(), torch.rand(1, 3, 64, 64)).isnan().all()


def test_answers_in_numbers():
    assert log_odds([("Yes", math.log(0.6)), (" no", math.log(0.3)), ("Well", 0.0)]) == pytest.approx(math.log(2))
    assert math.isnan(log_odds([("Certainly", -0.1), ("Yes", -5.0)])) and log_odds([("yes", 0.0)]) == SURE


def emptied(folder, tmp_path, gone):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        if not path.match(gone):
            (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize(
    "gone, said",
    [
        ("config.json", "no folder with a config.json"),
        ("*.safetensors", "holds no .safetensors"),
        ("tokenizer*", "can't be read as a vision-language model"),
        ("chat_template*", "has no chat template"),
    ],
)
def test_a_folder_that_lacks_something_is_refused_before_anything_is_asked(folder, tmp_path, gone, said):
    with pytest.raises(OpinionError, match=said):
        Language(emptied(folder, tmp_path, gone))


def test_a_model_without_a_word_for_no_is_refused(tmp_path):
    with pytest.raises(OpinionError, match="no single word for yes or for no"):
        Language(write_language(tmp_path / "yes", ["yes", "product"]))


def masks_of(canvas, *boxes) -> torch.Tensor:
    """The product's own mask, and with it boxes (top, bottom, left, right)."""
    mask = (canvas.alpha > 0.5).float()
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask[None, None]


def test_only_what_hangs_together_with_the_product_has_grown():
    canvas = boxed()
    left, _, right, bottom = canvas.box
    pedestal, vase = (bottom - 1, bottom + 8, left, right), (2, 12, 2, 8)
    none, apart, joined = (float(grown(masks_of(canvas, *boxes), canvas)) for boxes in ((), (vase,), (pedestal,)))
    assert none == apart == 0 and joined == pytest.approx(8 / (bottom - canvas.box[1]), rel=0.2)
    assert grown(torch.zeros(1, 1, 64, 64), canvas).isnan().all()  # the product isn't in it


def test_what_the_network_adds_before_grey_is_its_own_error():
    canvas = boxed()
    left, _, right, bottom = canvas.box
    sloppy = masks_of(canvas, (bottom - 1, bottom + 8, left, right))
    honest = Expansion(lambda images, canvas: masks_of(canvas), "honest")
    always = Expansion(lambda images, canvas: sloppy, "always")
    sees = Expansion(
        lambda images, canvas: masks_of(canvas) if torch.equal(images[0], canvas.shown) else sloppy, "sees"
    )
    low, same, high = (each.evidence(canvas, torch.rand(1, 3, 64, 64))[0, SHAPE] for each in (honest, always, sees))
    assert low == same < -2 and high > 0


def test_a_sam_of_transformers_is_asked_for_what_lies_inside_the_product(tmp_path):
    write_sam(tmp_path / "sam")
    opinion, canvas = open_opinion(f"expansion={tmp_path / 'sam'}"), boxed()
    assert isinstance(opinion.segment, Sam) and opinion.model == name_of(tmp_path / "sam")
    masks = opinion.segment(torch.rand(2, 3, 64, 64), canvas)
    assert masks.shape == (2, 1, 64, 64) and set(masks.unique().tolist()) <= {0.0, 1.0}
    assert opinion.evidence(canvas, torch.rand(2, 3, 64, 64)).shape == (2, 4)
    points = inner_points(canvas)
    assert len(points) == 9 and all(canvas.alpha[int(y), int(x)] > 0.5 for x, y in points)


def test_models_of_one_name_are_told_apart(tmp_path):
    files = [tmp_path / name / "u2net.onnx" for name in "ab"]
    for number, file in enumerate(files, 1):
        file.parent.mkdir()
        file.write_bytes(b"0" * number)
    assert [name_of(file).split(" ")[0] for file in files] == ["u2net"] * 2 and name_of(files[0]) != name_of(files[1])


@pytest.mark.parametrize("name, said", [("nowhere.onnx", "no .onnx file that exists"), (".", "holds no config.json")])
def test_what_is_no_segmentation_network_is_refused(tmp_path, name, said):
    with pytest.raises(OpinionError, match=said):
        open_expansion(tmp_path / name)
