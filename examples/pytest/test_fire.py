"""Fire single callbacks at an app in this process, and look at what they did."""

from presence import app, in_room


def test_leaver_is_gone_and_the_others_stay(room_callbacks):
    backend = room_callbacks(app)
    backend.enter(room="standup", member=["ann", "bob"])

    left = backend.leave(room="standup", member="ann", count=1)

    assert left.acknowledged, left.findings
    assert in_room("standup") == {"bob"}


def test_kick_takes_everybody_who_is_listed(room_callbacks):
    backend = room_callbacks(app)
    backend.enter(room="party", member=["ann", "bob", "cat"])

    assert backend.kicked(room="party", member=["ann", "bob"], operator="cat").acknowledged
    assert in_room("party") == {"cat"}


def test_somebody_elses_callback_changes_nothing(room_callbacks):
    backend = room_callbacks(app)
    backend.enter(room="ours", member="ann")

    foreign = backend.expired(room="ours", member="ann", sdkappid=1400009999)

    assert not foreign.acknowledged
    assert in_room("ours") == {"ann"}
