"""Hold the app against the whole contract; `room_members` is the probe that lets the effects be judged too."""

import pytest
from presence import app, in_room


@pytest.fixture
def room_members():
    return in_room


def test_backend_conforms(assert_conforms):
    assert_conforms(app, strict=True)
