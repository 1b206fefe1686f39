"""What a user can read inside ComfyUI: a help page and translated names for every node, in English and Chinese, as the
real server serves them.
"""

import json
import re
import urllib.error

import pytest

from reliable_ads.devtools import locales
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import PACK, ROOT
from reliable_ads.devtools.graph import declared_inputs

LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def asked(server) -> ComfyClient:
    return ComfyClient(server.address)


@pytest.fixture(scope="module")
def nodes(asked) -> dict:
    found = locales.own_nodes(asked.ask("/object_info"))
    assert found
    return found


@pytest.fixture(scope="module")
def translations(asked) -> dict:
    return asked.ask("/i18n")


def page(asked: ComfyClient, path: str) -> str:
    """A help page as the front end fetches it; empty where there is none."""
    try:
        return asked.get(f"/extensions/{PACK}/docs/{path}").decode()
    except urllib.error.HTTPError:
        return ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_has_a_page_that_names_all_inputs_and_outputs(asked, nodes, translations, language):
    shown = translations[language]["nodeDefs"]
    missing = []
    for name, info in nodes.items():
        if name not in shown:
            missing.append((name, "locale"))
            continue
        text = page(asked, f"{name}/{language}.md")
        ids = [key for key, _ in declared_inputs(info)]
        named = [shown[name]["inputs"][key]["name"] for key in ids] + [
            output["name"] for output in shown[name]["outputs"].values()
        ]
        missing += [(name, label) for label in named if f"**{label}**" not in text]
        if language != "en":  # messages call an input by its id, and front ends up to 1.32 lose a pack's translations
            missing += [(name, label) for label in [*ids, *info["output_name"]] if f"`{label}`" not in text]
    assert missing == []


def test_readers_of_other_languages_get_the_english_page(asked, nodes):
    for name in nodes:
        assert page(asked, f"{name}.md") == page(asked, f"{name}/en.md") != "", (
            f"run python -m {locales.__name__} for {name}"
        )


def test_pictures_on_the_pages_are_served(asked):
    for path in locales.PAGES.glob("**/*.md"):
        pictures = re.findall(r"!\[.*?\]\((.*?)\)", path.read_text(encoding="utf-8"))
        assert pictures, f"{path} shows none: python -m reliable_ads.devtools.pictures takes one"
        for picture in pictures:  # the front end looks for them below docs/
            assert asked.get(f"/extensions/{PACK}/docs/{picture}"), (path, picture)


def test_no_page_is_left_of_a_node_that_is_gone(nodes):
    assert {path.name.removesuffix(".md") for path in locales.PAGES.iterdir()} - set(nodes) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_and_tooltip_is_translated(nodes, translations, language):
    files = {path.name: json.loads(text) for path, text in locales.english(nodes).items()}
    assert (
        set(texts({"nodeDefs": files["nodeDefs.json"], **files["main.json"]})) - set(texts(translations[language]))
        == set()
    )
    own = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(texts(own)) == set(texts(files["nodeDefs.json"]))  # nothing of inputs that are gone, either


def texts(values: dict, above: str = "") -> dict:
    """{path: text} of all texts that are not empty."""
    found = {}
    for key, value in values.items():
        found |= (
            texts(value, f"{above}/{key}") if isinstance(value, dict) else {f"{above}/{key}": value} if value else {}
        )
    return found


def test_the_english_locale_is_what_the_nodes_say(nodes):
    for path, text in locales.english(nodes).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"run python -m {locales.__name__}"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "locales").glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_text_holds_what_the_front_end_takes_for_code(path):
    """A tooltip with a bare {, }, @ or | would be cut, or not shown at all; {'|'} is how it has to be written."""
    bare = {
        where: re.sub(r"\{'[{}@|]'\}", "", text)
        for where, text in texts(json.loads(path.read_text(encoding="utf-8"))).items()
    }
    assert {where: text for where, text in bare.items() if set(text) & set("{}@|")} == {}


def test_the_web_folder_holds_what_it_says_and_is_published(asked):
    scripts = {
        path.relative_to(ROOT / "web").as_posix(): path.stat().st_size for path in (ROOT / "web").glob("**/*.js")
    }
    own = f"/extensions/{PACK}/"
    assert {path.removeprefix(own) for path in asked.ask("/extensions") if path.startswith(own)} == set(scripts)
    assert sum(scripts.values()) <= 30_000
    left_out = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    assert not {"web/", "locales/", "*.md", "*.json", "*.png"} & set(left_out)
