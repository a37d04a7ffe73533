import weakref

from hypothesis import given
from hypothesis import strategies as st

from revisage.video.windows import windows


@given(st.integers(0, 30), st.integers(0, 6))
def test_every_item_sees_its_neighbours(length, radius):
    found = list(windows(range(length), radius, str))
    assert [item for item, _ in found] == list(range(length))
    for item, notes in found:
        near = range(max(item - radius, 0), min(item + radius + 1, length))
        assert notes == [(other - item, str(other)) for other in near]


class Thing:
    pass


def test_no_more_items_are_alive_than_the_radius_asks_for():
    alive = weakref.WeakSet()

    def things():
        for _ in range(100):
            thing = Thing()
            alive.add(thing)
            yield thing

    most = 0
    for _ in windows(things(), 3, lambda _: None):
        most = max(most, len(alive))
    assert most <= 3 + 2
