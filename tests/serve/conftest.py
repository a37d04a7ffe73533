"""A client of a server with a plain restorer."""

import pytest
from fastapi.testclient import TestClient
from stand_ins_of_serve import engine

from revisage.serve.app import create_app


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Make clients of servers; settings as keywords, with a network and a detector besides."""
    opened = []

    def make(**values):
        made = engine(**{"jobs_folder": tmp_path_factory.mktemp("jobs"), **values})
        app = create_app(made.settings, made)
        client = TestClient(app, "http://localhost", raise_server_exceptions=False)
        opened.append(client)
        client.__enter__()
        client.engine, client.stop = made, app.state.stop
        client.close_server = lambda: opened.remove(client) or client.__exit__(None, None, None)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)
