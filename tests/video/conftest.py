import pytest

pytest.importorskip("av", reason="films need PyAV")
