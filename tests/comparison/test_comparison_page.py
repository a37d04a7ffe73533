"""A comparison as one HTML page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from revisage.comparison.page import render_page
from revisage.comparison.versions import Row


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def rows(*names, versions=2):
    images = tuple(np.full((20, 30, 3), 50 * number, np.uint8) for number in range(versions))
    return [Row(name, images) for name in names]


def test_the_page_loads_nothing_from_elsewhere():
    page = render_page("T", ["before", "after"], rows("a", "b"))
    elements = Elements(page)
    assert len(elements.of("img")) == 4
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in elements.of("img"))
    assert not elements.of("link")
    assert all("src" not in script for script in elements.of("script"))
    assert not re.search(r"https?:|@import|url\(|fetch\(", page)
    (policy,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_names_are_text_and_never_markup():
    name = "<script>alert(1)</script>\" onload='x' \udce9"
    page = render_page(name, [name, "$title"], rows(name))
    elements = Elements(page)
    assert len(elements.of("script")) == 1
    assert not any("onload" in attributes for _, attributes in elements.found)
    assert "$title" in page
    page.encode()


@pytest.mark.parametrize(("versions", "radios"), [(2, 0), (3, 2 * 2 * 3)])
def test_both_sides_can_be_chosen_where_there_are_more_than_two_versions(versions, radios):
    labels = [f"v{number}" for number in range(versions)]
    inputs = Elements(render_page("T", labels, rows("a", "b", versions=versions))).of("input")
    sliders = [one for one in inputs if one["type"] == "range"]
    assert len(sliders) == 2
    assert all(one["aria-label"] for one in sliders)
    assert len(inputs) - len(sliders) == radios
    assert [one["value"] for one in inputs if "checked" in one] == ["0", "2"] * (2 if radios else 0)


@pytest.mark.slow
def test_the_slider_and_the_choices_work_by_keyboard(tmp_path):
    api = pytest.importorskip("playwright.sync_api")
    (tmp_path / "page.html").write_text(render_page("T", ["a", "b", "c"], rows("x", versions=3)), encoding="utf-8")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 640})
        faults = []
        page.on("console", lambda message: faults.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        page.keyboard.press("Tab")
        page.keyboard.press("Home")
        slider = page.locator("input[type=range]")
        assert slider.get_attribute("aria-valuetext") == "0% a, 100% c"
        page.keyboard.press("End")
        assert slider.get_attribute("aria-valuetext") == "100% a, 0% c"
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "100% b, 0% c"
        assert page.locator("img.left").get_attribute("alt") == "x: b"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert not faults
        browser.close()
