"""The page as people use it: a real server, in headless Chromium."""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from locations import EXAMPLES, PORTRAIT
from revisage import read_image, write_image

pytest.importorskip("gradio", reason="the page needs gradio")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, a Python package")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
"""Made by `npm install axe-core`."""
PHOTO = EXAMPLES / "photo.jpg"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def server(folder):
    """The address of a server whose temporary files lie in ``folder``."""
    command = [sys.executable, "-m", "revisage", "serve", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Visit:
    """A page in a browser of its own."""

    def __init__(self, browser, server, **context):
        self.requested = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(server)
        self.page.wait_for_selector("h1")
        self.page.wait_for_selector("#status[role=status]", state="attached")

    def add(self, *paths):
        self.page.set_input_files("#add input[type=file]", list(paths))

    def status(self, text):
        self.page.locator("#status", has_text=re.compile(text)).wait_for()

    def restored(self):
        """The result that the page shows, (H, W, 3)."""
        source = self.page.locator(".compare .after").get_attribute("src")
        return self.fetch(source)

    def fetch(self, source):
        return read_image(self.context.request.get(f"{self.page.url.rstrip('/')}/{source}").body())

    def download(self, name):
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=name, exact=True).or_(
                self.page.get_by_role("link", name=name, exact=True)
            ).click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.fixture
def visit(browser, server):
    visits = []

    def make(**context):
        visits.append(Visit(browser, server, **{"viewport": {"width": 1280, "height": 900}, **context}))
        return visits[-1]

    yield make
    for one in visits:
        one.context.close()


@pytest.fixture(scope="module")
def couple(tmp_path_factory):
    """The same person twice."""
    portrait = cv2.resize(read_image(PHOTO), (320, 320), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("couple") / "couple.png"
    write_image(path, np.hstack([portrait, portrait]))
    return path


def test_a_photo_is_restored_compared_and_downloaded(visit):
    visitor = visit()
    visitor.add(PHOTO)
    visitor.status("photo.jpg: 1 face found, 1 restored")
    slider = visitor.page.get_by_role("slider", name=re.compile("Comparison"))
    slider.focus()
    visitor.page.keyboard.press("Home")
    clip = "getComputedStyle(document.querySelector('.compare .after')).clipPath"
    assert visitor.page.evaluate(clip) == "inset(0px 0px 0px 0%)"
    visitor.page.keyboard.press("End")
    assert visitor.page.evaluate(clip) == "inset(0px 0px 0px 100%)"
    name, data = visitor.download("Download")
    assert name == "photo_restored.jpg"
    assert read_image(data).shape == (800, 800, 3)
    assert {url.split("/")[2] for url in visitor.requested if url.startswith("http")} == {
        visitor.page.url.split("/")[2]
    }


def test_a_face_is_switched_off_and_has_a_strength_of_its_own(visit, couple):
    visitor = visit()
    visitor.page.get_by_label("1×").check()
    visitor.add(couple)
    visitor.status("2 faces found, 2 restored")
    full = visitor.restored().astype(int)
    visitor.page.get_by_label("Restore face 1").uncheck()
    visitor.status("2 faces found, 1 restored")
    changed = np.abs(visitor.restored().astype(int) - full).max(axis=2)
    assert changed[:, :300].max() < 12  # a JPEG of the result is shown
    assert changed[:, 340:].max() > 20
    strength = visitor.page.get_by_role(
        "slider", name=re.compile("Strength of face 0|range slider for Strength of face 0")
    )
    before = visitor.page.locator(".compare .after").get_attribute("src")
    strength.focus()
    visitor.page.keyboard.press("Home")
    visitor.page.wait_for_function(
        "s => document.querySelector('.compare .after').getAttribute('src') != s", arg=before
    )
    visitor.status("2 faces found, 0 restored")


def test_a_choice_applies_to_photos_that_are_there(visit):
    visitor = visit()
    visitor.add(PHOTO)
    visitor.status("1 restored")
    visitor.page.get_by_label("1×").check()
    visitor.page.wait_for_function("document.querySelector('.compare .after').naturalWidth == 400")


def test_several_photos_come_in_one_zip_file_and_one_that_fails_is_a_sentence(visit, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    visitor = visit()
    visitor.add(PHOTO, tmp_path / "broken.jpg", PORTRAIT)
    visitor.page.get_by_role("button", name="Download all (zip)").wait_for()
    (text,) = visitor.page.locator("#status .error").all_inner_texts()
    assert "broken.jpg" in text
    assert str(Path(tempfile.gettempdir()).name) not in text
    _, data = visitor.download("Download all (zip)")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["photo_restored.jpg", "astronaut_restored.jpg"]
    visitor.page.locator("#photos .thumbnail-item").nth(2).click()
    visitor.status("astronaut.jpg: 1 face found")


def test_a_run_is_cancelled(visit, tmp_path):
    paths = [Path(shutil.copy(PORTRAIT, tmp_path / f"{index:02}.jpg")) for index in range(12)]
    visitor = visit()
    visitor.add(*paths)
    visitor.status(r"\(2 of 12\)")
    visitor.page.get_by_role("button", name="Cancel").click()
    visitor.status(r"Cancelled: \d+ of 12 photos restored")
    assert int(re.search(r"(\d+) of 12", visitor.page.inner_text("#status"))[1]) < 12


def test_photos_are_pasted(visit):
    visitor = visit()
    visitor.page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement('canvas'), {width: 80, height: 60});
            canvas.getContext('2d').fillRect(0, 0, 40, 60);
            const blob = await new Promise(done => canvas.toBlob(done));
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
            document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer}));
        }"""
    )
    visitor.status("No face was found in pasted.png")


def test_people_do_not_see_photos_of_others_and_nothing_is_left_of_them(visit, folder):
    first, second = visit(), visit()
    first.add(PHOTO)
    first.status("1 restored")
    second.add(PORTRAIT)
    second.status("astronaut.jpg: 1 face found")
    assert "photo.jpg" not in second.page.inner_text("body")
    first.page.close()
    second.page.wait_for_timeout(2000)
    left = [path.name for path in folder.rglob("*.jpg")]
    assert not [name for name in left if "photo" in name]
    assert [name for name in left if "astronaut" in name]


@pytest.mark.parametrize("look", [{}, {"color_scheme": "dark"}], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(visit, couple, look):
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm install axe-core, or AXE_CORE=axe.min.js")
    visitor = visit(**look)
    visitor.page.get_by_role("button", name="More options").click()
    visitor.add(couple, PHOTO)
    visitor.page.get_by_role("button", name="Download all (zip)").wait_for()
    visitor.page.get_by_label("Restore face 1").wait_for()
    visitor.page.evaluate(AXE.read_text("utf-8"))
    found = visitor.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (one["id"], one["nodes"][0]["html"]) for one in found["violations"] if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_shows_everything_without_scrolling_sideways(visit):
    visitor = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    visitor.add(PHOTO)
    visitor.status("1 restored")
    visitor.page.get_by_label("Restore face 0").wait_for()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = visitor.page.locator(".compare").bounding_box()
    assert box["width"] > 300
    assert 0 <= box["y"] < 844  # the page went to the result


def test_everything_is_reached_by_the_keyboard(visit):
    visitor = visit()
    visitor.add(PHOTO)
    visitor.status("1 restored")
    visitor.page.get_by_label("Restore face 0").wait_for()
    visitor.page.evaluate("document.activeElement.blur()")
    names = []
    for _ in range(40):
        visitor.page.keyboard.press("Tab")
        names.append(
            visitor.page.evaluate(
                "(e => e.ariaLabel || e.labels?.[0]?.innerText || e.innerText || e.closest('label')?.innerText || '')"
                "(document.activeElement)"
            )
        )
    order = ["Drop", "Try an example", "2×", "Strength", "More options", "Comparison", "Download", "Restore face 0"]
    places = [next((at for at, name in enumerate(names) if part in name), None) for part in order]
    assert None not in places, names
    assert places == sorted(places)
