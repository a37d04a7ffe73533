"""The page without a browser: what it offers, and what it refuses."""

import re
import tempfile

import pytest

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'revisage[serve]'")

from fastapi.testclient import TestClient
from stand_ins_of_serve import engine, flat

from revisage import InputError, write_image
from revisage.restore.controls import Controls, Selection, declared
from revisage.serve import page_fields, page_html
from revisage.serve.app import create_app
from revisage.serve.photos import Photo


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = engine(page=True, max_bytes=10_000, jobs_folder=tmp_path_factory.mktemp("jobs"))
    with TestClient(create_app(made.settings, made), "http://localhost") as client:
        yield client


def config(client):
    return client.get("/page/config").json()


def test_the_first_address_leads_to_the_page(client):
    assert client.get("/", follow_redirects=False).headers["location"] == "/page/"
    assert "gradio-app" in client.get("/").text


def test_browsers_may_load_nothing_from_elsewhere(client):
    policy = client.get("/page/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_fonts_and_styles_come_from_this_server(client):
    assert not re.findall(r"url\(['\"]?(?:https?:)?//", client.get("/page/theme.css").text)
    assert not [sheet for sheet in config(client)["stylesheets"] if sheet.startswith("http")]


def test_the_page_fetches_no_addresses_for_clients(client):
    assert client.get("/page/gradio_api/file=http://example.org/photo.jpg").status_code == 404
    assert client.get("/page/gradio_api/proxy=http://example.org/").status_code == 404


def test_files_outside_of_its_folder_are_not_served(client):
    assert client.get(f"/page/gradio_api/file={__file__}").status_code == 403


def test_an_upload_above_the_limit_is_refused(client):
    reply = client.post("/page/gradio_api/upload", files={"files": ("photo.jpg", b"0" * 20_000)})
    assert reply.status_code == 413


def test_nothing_is_left_when_the_server_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = engine(page=True, jobs_folder=tmp_path / "jobs")
    with TestClient(create_app(made.settings, made), "http://localhost") as client:
        assert client.post("/page/gradio_api/upload", files={"files": ("photo.jpg", b"0")}).status_code == 200
        assert list(tmp_path.rglob("photo.jpg"))
    assert not list(tmp_path.glob("revisage-page-*"))


def test_telemetry_is_off(client):
    assert config(client)["analytics_enabled"] is False


def test_every_control_has_a_field_made_from_its_declaration(client):
    labels = {part["props"].get("label", "").split(":")[0] for part in config(client)["components"]}
    expected = {
        (option.flag or name).replace("-", " ").replace("_", " ").capitalize() for name, _, option in declared()
    }
    assert expected - labels == {"Face strengths", "Only center face"}


def test_fields_as_they_are_first_shown_mean_the_defaults():
    import gradio as gr

    with gr.Blocks(analytics_enabled=False):
        fields = page_fields.make_fields(first=True) | page_fields.make_fields(first=False)
    made = page_fields.make_controls({name: field.value for name, field in fields.items()})
    assert repr(made) == repr(Controls(selection=Selection()))


def test_texts_in_fields_are_parsed_and_refused_in_one_line():
    made = page_fields.make_controls({"which": "0,2", "roi": "", "eyes": None, "strength": 0})
    assert (made.selection.which, made.eyes, made.strength) == ((0, 2), None, 0)
    assert page_fields.make_controls({"eyes": "0.5"}).eyes == 0.5
    with pytest.raises(InputError, match="eyes is a number, not 'much'"):
        page_fields.make_controls({"eyes": "much"})
    with pytest.raises(InputError, match="x1,y1,x2,y2"):
        page_fields.make_controls({"roi": "left"})


def test_references_of_the_page_are_within_the_limit_of_pixels(tmp_path):
    write_image(tmp_path / "a.png", flat(1, (80, 80)))
    assert len(page_fields.make_controls({"reference": [tmp_path / "a.png"]}).selection.reference) == 1
    with pytest.raises(InputError, match="80 x 80 pixels are more than the limit"):
        page_fields.make_controls({"reference": [tmp_path / "a.png"]}, 2000)


def test_names_of_files_are_shown_as_text(tmp_path):
    photo = Photo(tmp_path / "<img src=x onerror=alert(1)>.jpg", error="<b>bad</b>")
    shown = page_html.comparison(photo) + page_html.status(photo.name, errors=[photo.error])
    assert "<img" not in shown
    assert "<b>" not in shown
