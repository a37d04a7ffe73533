"""Downloads from a server that truncates, stalls, lies, ignores ranges and changes its mind."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from filelock import FileLock
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from revisage.errors import CheckpointError, DownloadError, OutputError
from revisage.models.download import Remote, RetryPolicy, _extent, download, manual_download_hint, sha256_of
from revisage.models.fetch import cache_folder, is_offline, mirror

CONTENT = bytes(range(256)) * 800
OTHER = CONTENT[::-1]
HURRY = RetryPolicy(timeout=0.3, rounds=3, pause=0.01)


class Server(ThreadingHTTPServer):
    """Serves ``content`` at every path; ``mischief`` is one behaviour a request, none when they are used up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.mischief, self.requests = CONTENT, '"1"', [], []
        self.understands_ranges = True
        self.over = threading.Event()

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self):
        return [headers.get("Range") for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        mischief = server.mischief.pop(0) if server.mischief else None
        if isinstance(mischief, int):
            self.send_error(mischief)
            return
        content, start = (OTHER if mischief == "lie" else server.content), self.start()
        if start is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if mischief != "no length":
            self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mischief in ("truncate", "stall") else body)
        if mischief == "stall":
            self.wfile.flush()
            server.over.wait()

    def start(self):
        """First byte asked for; None if it lies beyond the end."""
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not asked or not self.server.understands_ranges or condition not in (None, self.server.etag):
            return 0
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        return start if start < len(self.server.content) else None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def remote(server, content=CONTENT, *, size=True, sha256=True, more=()):
    return Remote(
        "w.pth",
        (f"{server.base}/w.pth", *more),
        len(content) if size else None,
        hashlib.sha256(content).hexdigest() if sha256 else None,
    )


def left(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def begun(folder, content=CONTENT[:1000]):
    """A beginning of which nobody knows where it came from."""
    (folder / "w.part.pth").write_bytes(content)


def test_a_file_arrives_whole_and_alone(server, tmp_path):
    path = download(remote(server), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "w.pth"
    assert path.read_bytes() == CONTENT
    assert left(path.parent) == ["w.pth"]


def test_what_is_there_is_not_fetched(server, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"mine")
    assert download(remote(server), tmp_path).read_bytes() == b"mine"
    assert not server.requests


def test_a_truncated_download_goes_on_where_it_broke_off(server, tmp_path):
    server.mischief = ["truncate"]
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_stalled_download_goes_on_where_it_stopped(server, tmp_path):
    server.mischief = ["stall"]
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert not server.over.is_set()  # the server would still be silent
    assert server.ranges()[1] == f"bytes={len(CONTENT) // 2}-"


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.mischief = ["truncate"]
    with pytest.raises(DownloadError, match=f"broke after {len(CONTENT) // 2} of {len(CONTENT)} bytes"):
        download(remote(server), tmp_path, retry=RetryPolicy(rounds=1))
    assert left(tmp_path) == ["w.part.json", "w.part.pth"]
    assert download(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges()[1] == f"bytes={len(CONTENT) // 2}-"


def test_a_server_that_ignores_ranges_starts_the_file_anew(server, tmp_path):
    server.understands_ranges, server.mischief = False, ["truncate"]
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ['"2"', None], ids=["says so", "does not say so"])
def test_a_file_that_changes_between_two_attempts_is_never_mixed(server, tmp_path, etag):
    """Without size and sum only the validator can tell, and without a validator nothing is resumed."""
    server.mischief = ["truncate"]
    server.etag = etag and '"1"'
    with pytest.raises(DownloadError):
        download(remote(server, size=False, sha256=False), tmp_path, retry=RetryPolicy(rounds=1))
    server.content, server.etag = OTHER, etag
    path = download(remote(server, size=False, sha256=False), tmp_path)
    assert path.read_bytes() == OTHER


def test_a_weak_validator_is_not_trusted(server, tmp_path):
    server.etag, server.mischief = 'W/"1"', ["truncate"]
    assert download(remote(server, sha256=False), tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert server.ranges() == [None, None]


def test_with_a_known_sum_another_mirror_completes_the_file(server, tmp_path):
    begun(tmp_path)
    assert download(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges() == ["bytes=1000-"]


def test_a_beginning_of_another_file_is_found_out_by_the_sum(server, tmp_path):
    begun(tmp_path, OTHER[:1000])
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert server.ranges() == ["bytes=1000-", None]


def test_a_beginning_longer_than_the_file_is_thrown_away(server, tmp_path):
    begun(tmp_path, CONTENT + b"more")
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT


def test_a_whole_file_that_only_lacks_its_name_is_not_fetched_again(server, tmp_path):
    begun(tmp_path, CONTENT)
    assert download(remote(server), tmp_path).read_bytes() == CONTENT
    assert not server.requests


def test_a_whole_file_of_unknown_size_is_recognised_by_the_server(server, tmp_path):
    begun(tmp_path, CONTENT)
    assert download(remote(server, size=False), tmp_path).read_bytes() == CONTENT
    assert server.ranges() == [f"bytes={len(CONTENT)}-"]


def test_a_server_that_lies_about_the_content_once_is_asked_again(server, tmp_path):
    server.mischief = ["lie"]
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT


def test_a_wrong_sum_is_refused_and_nothing_is_left(server, tmp_path):
    server.content = OTHER
    with pytest.raises(DownloadError, match="gave another file, its SHA-256 is"):
        download(remote(server), tmp_path, retry=HURRY)
    assert left(tmp_path) == []


def test_a_wrong_size_is_refused_before_anything_is_read(server, tmp_path):
    server.content = CONTENT[:100]
    with pytest.raises(DownloadError, match=f"offers 100 bytes, the file has {len(CONTENT)}"):
        download(remote(server), tmp_path, retry=HURRY)
    assert left(tmp_path) == []


def test_a_response_that_does_not_tell_its_length_is_measured(server, tmp_path):
    server.mischief = ["no length"]
    assert download(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_file_without_a_known_sum_must_pass_the_check(server, tmp_path):
    seen = []

    def check(path):
        seen.append(path.read_bytes())
        raise CheckpointError("no weights at all")

    with pytest.raises(DownloadError, match="no weights at all"):
        download(remote(server, sha256=False), tmp_path, check=check, retry=RetryPolicy(rounds=1))
    assert seen == [CONTENT]
    assert left(tmp_path) == []


def test_errors_of_the_server_are_outlasted(server, tmp_path):
    server.mischief = [503, 429]
    assert download(remote(server), tmp_path, retry=HURRY).read_bytes() == CONTENT


def test_a_place_without_the_file_is_asked_once(server, tmp_path):
    server.mischief = [404, 503]
    wanted = remote(server, more=(f"{server.base}/mirror/w.pth",))
    assert download(wanted, tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/w.pth", "/mirror/w.pth", "/mirror/w.pth"]


def test_tries_are_limited(server, tmp_path):
    server.mischief = [500] * 10
    with pytest.raises(DownloadError, match="HTTP 500"):
        download(remote(server), tmp_path, retry=HURRY)
    assert len(server.requests) == HURRY.rounds


def test_a_mirror_is_asked_first_by_the_name_of_the_file(server, tmp_path):
    wanted = Remote("a++b.pth", ("http://127.0.0.1:1/never",), len(CONTENT))
    assert download(wanted, tmp_path, mirror=f"{server.base}/ours").read_bytes() == CONTENT
    assert server.requests[0][0] == "/ours/a%2B%2Bb.pth"


def test_without_a_network_one_line_tells_what_to_do(tmp_path):
    wanted = Remote("w.pth", ("http://127.0.0.1:1/w.pth",), 348_632_874)
    with pytest.raises(DownloadError) as caught:
        download(wanted, tmp_path, retry=RetryPolicy(rounds=1))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("cannot download w.pth (127.0.0.1: ")
    assert message.endswith(f"get http://127.0.0.1:1/w.pth (348.6 MB) and put it at {tmp_path / 'w.pth'}")
    assert manual_download_hint(wanted, tmp_path) in message


def test_other_protocols_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(DownloadError, match="only http and https"):
        download(Remote("w.pth", ((tmp_path / "secret").as_uri(),)), tmp_path)


def test_progress_tells_bytes_and_never_starts_from_nothing_when_resuming(server, tmp_path):
    begun(tmp_path)
    told = []
    download(remote(server), tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (1000, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_folder_that_cannot_be_written_is_an_output_error(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        download(remote(server), tmp_path / "file")


def test_of_many_that_want_a_file_at_once_one_fetches_it(server, tmp_path):
    wanted = remote(server)
    threads = [threading.Thread(target=download, args=(wanted, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_lock_holds_against_another_process_and_dies_with_it(tmp_path):
    code = "import sys, time; from filelock import FileLock\n"
    code += "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().strip() == b"held"
        start = time.monotonic()
        threading.Timer(0.3, other.kill).start()
        with FileLock(tmp_path / "lock"):
            assert time.monotonic() - start > 0.2


def test_sums_are_those_of_the_standard(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"REVISAGE_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"REVISAGE_CACHE": "~/w"}, os.path.expanduser("~/w")),  # noqa: PTH111
        ({"XDG_CACHE_HOME": "/x"}, "/x/revisage"),
    ],
)
def test_the_environment_names_the_cache(monkeypatch, environment, folder):
    for name in ("REVISAGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder().as_posix() == folder.replace("\\", "/")


@pytest.mark.parametrize(
    ("system", "end"),
    [(Unix, ".cache/revisage"), (MacOS, "Library/Caches/revisage"), (Windows, "AppData/Local/revisage/Cache")],
)
def test_each_system_has_a_folder_for_caches(monkeypatch, system, end):
    for name in ("REVISAGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda _: "/home/me/AppData/Local")
    monkeypatch.setattr(
        "revisage.models.fetch.user_cache_path", lambda name, **options: system(name, **options).user_cache_path
    )
    assert cache_folder().as_posix().replace("\\", "/").endswith(f"/{end}")


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("yes", True), ("0", False), ("False", False), ("", False)]
)
def test_the_environment_forbids_downloads(monkeypatch, value, expected):
    monkeypatch.setenv("REVISAGE_OFFLINE", value)
    assert is_offline() is expected


def test_the_environment_names_a_mirror(monkeypatch):
    monkeypatch.setenv("REVISAGE_MIRROR", "https://example.org/weights/")
    assert mirror() == "https://example.org/weights"
    monkeypatch.setenv("REVISAGE_MIRROR", "")
    assert mirror() is None


@pytest.mark.parametrize("note", ["[]", "3", "[" * 50_000, '{"url": 3, "validator": ["a"]}', "ÿ", '{"validator": "a"}'])
def test_a_note_that_is_none_starts_the_file_anew(server, tmp_path, note):
    begun(tmp_path)
    (tmp_path / "w.part.json").write_text(note)
    assert download(remote(server, sha256=False), tmp_path, retry=HURRY).read_bytes() == CONTENT
    assert server.ranges() == [None]


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "²", ""])
def test_a_length_that_is_none_is_not_believed(length):
    """Python refuses to read a number of five thousand digits."""
    headers = Message()
    headers["Content-Length"] = length
    assert _extent(SimpleNamespace(status=200, headers=headers), 0) == (0, None)


@pytest.mark.parametrize("url", ["http://[::1", "http://a..b/w.pth", "http://x:y/w.pth", "https://\nx/w.pth"])
def test_an_address_that_is_none_is_told_in_one_line(tmp_path, url):
    """A mirror of the environment may be anything."""
    with pytest.raises(DownloadError) as caught:
        download(Remote("w.pth", (url,)), tmp_path, retry=HURRY)
    assert str(caught.value).startswith("cannot download w.pth")
    assert str(caught.value).isprintable()
