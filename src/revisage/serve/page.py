"""The web page: photos in, restored photos out, every option of a restoration at hand."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image
from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from revisage.errors import InputError, RevisageError, fault_of

try:
    import gradio as gr
    from gradio.themes import Base
except ImportError as error:
    raise InputError("the web page needs gradio: pip install 'revisage[serve]'") from error

from revisage.serve import page_fields, page_html
from revisage.serve.engine import BusyError, Engine
from revisage.serve.page_guard import PATH, PageGuard, refuse_addresses
from revisage.serve.photos import Photo, Session
from revisage.serve.restored_file import Limits, RestoredFile, restore_file
from revisage.serve.settings import Settings

EXAMPLE = Path(__file__).parents[3] / "examples" / "photo.jpg"
"""A photo to try; there is one in a clone of the repository, none in an installed package."""
FILES = ["image", ".heic", ".heif", ".avif", ".webp", ".tif", ".tiff"]
MAX_FACES = 24
"""Faces that have fields of their own."""
PAUSE = 0.25
"""Seconds for which a choice must rest before it is applied."""
_ASSETS = Path(__file__).parent / "assets"
_COMPARE_JS = """
const apply = () => {
  const figure = element.querySelector('.compare'), range = figure && figure.querySelector('input');
  if (!range) return;
  range.value = element.dataset.at || 50;
  figure.style.setProperty('--at', range.value + '%');
};
element.addEventListener('input', event => { element.dataset.at = event.target.value; apply(); });
watch('value', apply);
"""


def mount_page(app: FastAPI, engine: Engine, settings: Settings) -> FastAPI:
    """Add the page to an application, under ``/page/``, to which ``/`` leads.

    Args:
        app: the application; its own routes stay.
        engine: restores the photos.
        settings: limits of photos and uploads.
    """
    folder = tempfile.TemporaryDirectory(prefix="revisage-page-", ignore_cleanup_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = folder.name  # gradio keeps uploads there, and serves files from nowhere else
    blocks = Page(engine, settings, Path(folder.name)).build()

    @app.get("/", include_in_schema=False)
    def to_page() -> RedirectResponse:  # pyright: ignore[reportUnusedFunction]
        return RedirectResponse(f"{PATH}/")

    app.add_middleware(PageGuard)
    gr.mount_gradio_app(
        app,
        blocks,
        PATH,
        footer_links=[],
        run_history=False,
        max_file_size=settings.max_bytes,
        ssr_mode=False,
        pwa=False,
        head=page_html.HEAD,
        theme=_make_theme(),
        css=(_ASSETS / "page.css").read_text("utf-8"),
        js=(_ASSETS / "page.js").read_text("utf-8"),
    )
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Any]:
        try:
            async with inner(app) as state:
                yield state
        finally:
            folder.cleanup()

    app.router.lifespan_context = lifespan
    return app


def _make_theme() -> Base:
    """Fonts of the system, nothing to fetch; contrasts of at least 4.5."""
    theme = Base(primary_hue="teal", neutral_hue="stone", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    subdued = {"body_text_color_subdued": "*neutral_600", "body_text_color_subdued_dark": "*neutral_400"}
    info = {"block_info_text_color": "*neutral_600", "block_info_text_color_dark": "*neutral_400"}
    primary = {"button_primary_background_fill": "*primary_700", "button_primary_background_fill_hover": "*primary_800"}
    dark = {f"{name}_dark": value for name, value in primary.items()}
    return theme.set(
        **subdued, **info, **primary, **dark, slider_color="*primary_700", slider_color_dark="*primary_500"
    )


class Page:
    """The layout of the page, and what happens when something is chosen.

    Args:
        engine, settings: see :func:`mount_page`.
        folder: of the sessions.
    """

    def __init__(self, engine: Engine, settings: Settings, folder: Path) -> None:
        self.engine = engine
        self.limits = Limits(settings.max_pixels, settings.max_output_pixels)
        self.folder = folder
        self.sessions: dict[str, Session] = {}

    def build(self) -> gr.Blocks:
        """Lay the page out, and connect its parts."""
        models = [model.name for model in self.engine.models()]
        with gr.Blocks(title="revisage", analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
            gr.HTML(page_html.HEADER)
            with gr.Row(elem_id="columns"):
                with gr.Column(scale=2, min_width=320):
                    self.files = gr.File(
                        label="Add photos: drop, paste or choose",
                        file_count="multiple",
                        file_types=FILES,
                        height=190,
                        elem_id="add",
                    )
                    self.example = gr.Button("Try an example photo", size="sm", visible=EXAMPLE.is_file())
                    self.model = gr.Dropdown(models, value=models[0], label="Model", visible=len(models) > 1)
                    self.fields: dict[str, Any] = page_fields.make_fields(first=True)
                    with gr.Accordion("More options", open=False, elem_id="more"):
                        self.fields |= page_fields.make_fields(first=False)
                with gr.Column(scale=3, min_width=320, elem_id="results"):
                    self.status = gr.HTML(elem_id="status")
                    self.cancel = gr.Button("Cancel", size="sm", visible=False)
                    self.compare = gr.HTML(page_html.EMPTY, js_on_load=_COMPARE_JS)
                    self.gallery = gr.Gallery(
                        label="Photos",
                        columns=6,
                        fit_columns=False,
                        height=130,
                        allow_preview=False,
                        visible=False,
                        buttons=[],
                        show_label=False,
                        elem_id="photos",
                    )
                    with gr.Row(elem_id="actions"):
                        self.download = gr.DownloadButton("Download", variant="primary", visible=False)
                        self.download_all = gr.DownloadButton("Download all (zip)", visible=False)
                        self.clear = gr.Button("Remove all photos", visible=False)
                with gr.Column(scale=2, min_width=320, elem_id="faces-column"):
                    self.faces = gr.State(())
                    gr.render(inputs=self.faces, show_progress="hidden")(self._show_faces)
            self._connect(blocks)
        return blocks

    @property
    def _choices(self) -> list[Any]:
        return [self.model, *self.fields.values()]

    @property
    def _view(self) -> list[Any]:
        shown = [self.status, self.cancel, self.compare, self.gallery, self.download, self.download_all, self.clear]
        return [*shown, self.faces]

    def _connect(self, blocks: gr.Blocks) -> None:
        run: dict[str, Any] = {
            "api_visibility": "private",
            "show_progress": "hidden",
            "trigger_mode": "multiple",
            "concurrency_limit": None,
        }
        self.files.upload(self._add, [self.files, *self._choices], [*self._view, self.files], **run)
        self.example.click(self._add_example, self._choices, self._view, **run)
        for field in self._choices:
            events = (
                [field.blur, field.submit]
                if isinstance(field, gr.Textbox)
                else [getattr(field, "input", None) or field.upload]
            )
            gr.on(events, self._restore, self._choices, self._view, **run)
            if isinstance(field, gr.File):
                refuse_addresses(field)
                field.clear(self._restore, self._choices, self._view, **run)
        refuse_addresses(self.files)
        self.cancel.click(self._cancel, None, self._view, **run)
        self.clear.click(self._clear, None, self._view, **run)
        self.gallery.select(self._select, None, self._view, **run)
        blocks.unload(self._leave)

    def _session(self, request: gr.Request) -> Session:
        name = str(request.session_hash)
        if name not in self.sessions:
            self.sessions[name] = Session(self.folder)
        return self.sessions[name]

    def _leave(self, request: gr.Request) -> None:
        if session := self.sessions.pop(str(request.session_hash), None):
            session.close()

    async def _add(self, request: gr.Request, files: list[str] | None, *choices: Any) -> AsyncIterator[dict[Any, Any]]:
        session = self._session(request)
        session.current = len(session.photos)
        paths = [Path(file) for file in files or []]
        for path in paths:
            session.add(path)
        for path in paths:  # gradio's own copies; files of the same content share a folder
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
        yield {self.files: None}
        async for view in self._restore(request, *choices):
            yield view

    async def _add_example(self, request: gr.Request, *choices: Any) -> AsyncIterator[dict[Any, Any]]:
        session = self._session(request)
        session.current = len(session.photos)
        session.add(EXAMPLE)
        async for view in self._restore(request, *choices):
            yield view

    async def _restore(self, request: gr.Request, *choices: Any) -> AsyncIterator[dict[Any, Any]]:
        """Restore all photos that were not restored with these choices, the shown one first."""
        session = self._session(request)
        run = session.begin()
        await asyncio.sleep(PAUSE)
        if not session.is_current(run):
            return
        model, *values = choices
        try:
            given = dict(zip(self.fields, values, strict=True))
            controls = await asyncio.to_thread(page_fields.make_controls, given, self.limits.max_pixels)
        except RevisageError as error:
            yield {
                self.status: page_html.status("", errors=[_sentence(error, session)]),
                self.cancel: gr.Button(visible=False),
            }
            return
        todo = [photo for photo in session.photos if photo.made_with != (choices, photo.face_strengths)]
        todo.sort(key=lambda photo: photo is not session.photo)
        for done, photo in enumerate(todo):
            yield self._show(session, f"Restoring {photo.name} ({done + 1} of {len(todo)})", done, len(todo))
            made_with = choices, photo.face_strengths
            try:
                own = replace(controls, face_strengths=photo.face_strengths)
                work = partial(restore_file, photo.source, controls=own, limits=self.limits, former=photo.restored)
                photo.take(await session.wait_for(self._run(work, model)), made_with)
            except asyncio.CancelledError:
                if session.is_current(run):
                    raise
            except Exception as error:  # of one photo; it must not cost the others
                photo.error, photo.made_with = _sentence(error, session, photo), made_with
            if not session.is_current(run):
                return
        session.pack()
        yield self._show(session)

    async def _run(self, work: Any, model: str) -> RestoredFile:
        """Run work in the engine as soon as it has room."""
        while True:
            try:
                return await self.engine.run(lambda restorer: work(restorer=restorer), model)
            except BusyError as busy:
                await asyncio.sleep(min(busy.seconds, 2))

    def _cancel(self, request: gr.Request) -> dict[Any, Any]:
        session = self._session(request)
        session.stop()
        session.pack()
        count = sum(photo.restored is not None for photo in session.photos)
        return self._show(session, f"Cancelled: {count} of {page_html.counted(len(session.photos), 'photo')} restored.")

    def _clear(self, request: gr.Request) -> dict[Any, Any]:
        session = self._session(request)
        session.clear()
        return self._show(session, "All photos are removed.")

    def _select(self, request: gr.Request, chosen: gr.SelectData) -> dict[Any, Any]:
        session = self._session(request)
        session.current = int(chosen.index)
        return self._show(session)

    def _show(self, session: Session, text: str = "", done: int = 0, total: int = 0) -> dict[Any, Any]:
        """Updates of everything that shows the photos of a session."""
        photo, photos = session.photo, session.photos
        made = photo.restored if photo else None
        errors = list(dict.fromkeys(one.error for one in photos if one.error))
        if photo and not text:
            text = page_html.summary(photo)
        view: dict[Any, Any] = {
            self.status: page_html.status(text, done, total, errors),
            self.compare: page_html.comparison(photo) if photo else page_html.EMPTY,
            self.download: gr.DownloadButton(value=made and str(made.path), visible=made is not None),
            self.clear: gr.Button(visible=bool(photos)),
            self.cancel: gr.Button(visible=bool(total)),
            self.faces: (session.photos.index(photo), made.size, len(made.faces)) if photo and made else (),
        }
        if not total or done:
            shown = [(str(self._thumbnail(one)), one.name) for one in photos]
            view[self.gallery] = gr.Gallery(shown, selected_index=session.current, visible=len(photos) > 1)
            archive = session.archive
            view[self.download_all] = gr.DownloadButton(value=archive and str(archive), visible=archive is not None)
        return view

    def _thumbnail(self, photo: Photo) -> Path:
        """The part of a photo that browsers can show, else a gray tile."""
        if photo.restored:
            return photo.restored.after
        if page_html.is_shown_by_browsers(photo):
            return photo.source
        tile = self.folder / "tile.png"
        if not tile.exists():
            PIL.Image.new("RGB", (96, 96), "#a8a29e").save(tile)
        return tile

    def _show_faces(self, request: gr.Request, key: Any) -> None:
        """Fields for the faces of the shown photo."""
        photo = self._session(request).photo
        made = photo.restored if photo else None
        if not key or photo is None or made is None or not made.faces or made.detected is None:
            return
        with gr.Accordion(f"Faces: {len(made.faces)}", open=True, elem_id="faces"):
            gr.HTML(page_html.numbered(made))
            for number in range(min(len(made.faces), MAX_FACES)):
                with gr.Row(elem_classes="face-row"):
                    self._show_face(photo, made, number)

    def _show_face(self, photo: Photo, made: RestoredFile, number: int) -> None:
        gr.HTML(page_html.face(made, number))
        if made.crops[number] is None:
            return
        enabled = gr.Checkbox(
            number not in photo.disabled, label=f"Restore face {number}", interactive=True, min_width=140
        )
        value = photo.own_strengths.get(number, made.faces[number].strength)
        strength = gr.Slider(
            0, 1, value, step=0.05, label=f"Strength of face {number}", interactive=True, buttons=[], min_width=180
        )

        async def choose(
            request: gr.Request, is_on: bool, value: float, *choices: Any
        ) -> AsyncIterator[dict[Any, Any]]:
            photo.own_strengths[number] = value
            (photo.disabled.discard if is_on else photo.disabled.add)(number)
            async for view in self._restore(request, *choices):
                yield view

        gr.on(
            [enabled.input, strength.input],
            choose,
            [enabled, strength, *self._choices],
            self._view,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=None,
        )


def _sentence(error: Exception, session: Session, photo: Photo | None = None) -> str:
    """An error without the folders of this server."""
    text = fault_of(photo.source, error) if photo else str(error)
    text = text.partition("; use --")[0]  # hints for the command line
    text = re.sub(re.escape(f"{session.folder}{os.sep}") + r"(?:[\w-]+[/\\])*", "", text)
    return text[:1].upper() + text[1:] + "."
