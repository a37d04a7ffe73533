import pytest

pytest.importorskip("av", reason="videos need PyAV")
