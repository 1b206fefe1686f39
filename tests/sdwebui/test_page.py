"""The accordion in the host's own page, in a real browser."""

import io

import pytest
from PIL import Image

from .ads import SIZE, cut_out, draw

ACCORDION = "#script_{tab}_reliable_ads_{name}"


@pytest.fixture(autouse=True)
def ready(page):
    page.wait_for_selector(part("enabled"))
    page.wait_for_timeout(2000)  # the host's own JavaScript binds its accordions after they are there


def part(name: str, tab: str = "txt2img") -> str:
    return ACCORDION.format(tab=tab, name=name)


def number(page, name: str, value) -> None:
    box = page.locator(f"{name} input[type=number]").first
    box.fill(str(value))
    box.press("Tab")


def switch_on(page, tmp_path) -> None:
    """Opens the accordion, which turns it on, and drops a product in."""
    page.locator(f"{part('enabled')} .label-wrap").first.click()
    file = tmp_path / "box.png"
    cut_out().save(file)
    page.set_input_files(f"{part('product')} input[type=file]", str(file))
    page.wait_for_selector(f"{part('product')} img")


def generate(page) -> str:
    """Presses Generate, and waits -> what stands under the gallery."""
    page.click("#txt2img_generate")
    page.wait_for_function("document.querySelector('#html_info_txt2img').innerText.includes('RF verdict')")
    return page.locator("#html_log_txt2img").first.inner_text()


def test_a_product_is_dropped_in_and_its_attempts_are_told(page, tmp_path):
    switch_on(page, tmp_path)
    page.fill("#txt2img_prompt textarea", "a box on a table")
    for name, value in (
        ("#txt2img_width", SIZE),
        ("#txt2img_height", SIZE),
        ("#txt2img_steps", 2),
        (part("attempts"), 2),
    ):
        number(page, name, value)
    seen = generate(page)
    assert "after 2 of 2 attempts" in seen.lower() and "attempt 1, seed" in seen and "attempt 2, seed" in seen
    assert (
        page.locator("#txt2img_gallery .thumbnails button").count() == 2
    )  # the picture, and the sheet of all attempts


def test_a_picture_is_read_back_through_png_info(page, web, tmp_path):
    """Dropped into PNG Info and sent to txt2img, it fills the accordion, product and all."""
    answer = draw(
        web, {"attempts": 2, "image_scale": 0.5, "caption": "a box, blue: and orange", "remedies": ["contrast"]}
    )
    file = tmp_path / "drawn.png"
    picture = answer.pictures[0]
    kept = io.BytesIO()
    picture.save(kept, "PNG", pnginfo=info_of(picture))
    file.write_bytes(kept.getvalue())
    page.locator("#tabs > .tab-nav button", has_text="PNG Info").first.click()
    page.set_input_files("#pnginfo_image input[type=file]", str(file))
    page.wait_for_function("document.querySelector('#tab_pnginfo').innerText.includes('RF attempts')")
    page.locator("#tab_pnginfo").get_by_role("button", name="txt2img").click()
    page.wait_for_selector(f"{part('product')} img")
    assert page.locator(f"{part('caption')} textarea").input_value() == "a box, blue: and orange"
    assert page.locator(f"{part('image_scale')} input[type=number]").input_value() == "0.5"
    chosen = page.locator(f"{part('remedies')} input:checked")
    assert chosen.count() == 1


def info_of(picture: Image.Image):
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("parameters", picture.info["parameters"])
    return told


def test_without_a_product_the_page_says_what_to_do(page):
    page.locator(f"{part('enabled')} .label-wrap").first.click()
    page.fill("#txt2img_prompt textarea", "a box on a table")
    page.click("#txt2img_generate")
    page.wait_for_function(
        "document.querySelector('#html_log_txt2img').innerText.includes('has no product')"
        " || document.body.innerText.includes('has no product')"
    )
