"""A room keeps its rules whatever happens in it, in whatever order; and its packets tell the truth."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomhook.simulator.protocol.packets import CheckOutMethod, EnterPacket, LeavePacket
from roomhook.simulator.rooms.behaviour import BackendBehaviour, BulkKick, CountMoment, Dissolution, ExpiredOperator
from roomhook.simulator.rooms.room import Member, Refusal, RefusedError, Room

PEOPLE = [f"user{number}" for number in range(24)]
REGULARS = PEOPLE[:8]
MINUTE = 60_000


def member(account: str) -> Member:
    return Member(account, "14.0.0.1", "iOS")


def filled(*accounts: str, behaviour: BackendBehaviour | None = None, capacity: int = 300) -> Room[Member]:
    room = Room[Member]("rid-1", accounts[0], capacity, behaviour or BackendBehaviour())
    for account in accounts:
        room.enter(member(account), 1000)
    return room


def refusal_of(error: pytest.ExceptionInfo[RefusedError]) -> Refusal:
    return error.value.refusal


def test_a_leave_tells_who_and_how_many_are_left() -> None:
    room = filled("anna", "bert", "carl")
    packet = room.leave("bert", "gone home", 2000)
    assert packet == LeavePacket(
        operator_account="bert",
        room_id="rid-1",
        member_count=2,
        type="Leave",
        member_list_account=("bert",),
        reason="gone home",
        event_time=2000,
    )


def test_member_count_before_the_leave_counts_those_who_go() -> None:
    room = filled("anna", "bert", "carl", "dora", behaviour=BackendBehaviour(member_count=CountMoment.BEFORE))
    assert room.leave("bert", "", 2000).member_count == 4
    assert [packet.member_count for packet in room.kick(("carl", "dora"), "anna", "spam", 3000)] == [3]


def test_an_enter_tells_how_many_are_there_now() -> None:
    room = filled("anna", "bert")
    packet = room.enter(member("carl"), 2000)
    assert (packet.operator_account, packet.member_list_account, packet.member_count) == ("carl", ("carl",), 3)


@pytest.mark.parametrize(
    ("habit", "operator"),
    [(ExpiredOperator.MEMBER, "bert"), (ExpiredOperator.EMPTY, ""), (ExpiredOperator.SYSTEM, "@TIM#SYSTEM")],
)
def test_who_is_named_as_the_operator_of_an_expiry(habit: ExpiredOperator, operator: str) -> None:
    room = filled("anna", "bert", behaviour=BackendBehaviour(expired_operator=habit))
    room.lose("bert", 2000)
    packet = room.expire("bert", "heartbeat", 92_000)
    assert (packet.type, packet.operator_account) == ("Expired", operator)


def test_a_heartbeat_expires_after_90_s_at_the_soonest_and_never_if_it_is_back() -> None:
    room = filled("anna", "bert")
    with pytest.raises(RefusedError) as never_lost:
        room.expire("bert", "", 500_000)
    room.lose("bert", 2000)
    with pytest.raises(RefusedError) as too_soon:
        room.expire("bert", "", 91_999)
    room.recover("bert", 92_000)
    with pytest.raises(RefusedError) as recovered:
        room.expire("bert", "", 500_000)
    assert refusal_of(never_lost) == refusal_of(too_soon) == refusal_of(recovered) == Refusal.NOT_LOST
    assert "bert" in room.members


def test_a_kick_of_several_is_one_packet_or_one_for_each() -> None:
    (one,) = filled("anna", "bert", "carl", "dora").kick(("bert", "carl"), "anna", "spam", 2000)
    assert (one.member_list_account, one.member_count) == (("bert", "carl"), 2)
    each = filled("anna", "bert", "carl", "dora", behaviour=BackendBehaviour(bulk_kick=BulkKick.EACH)).kick(
        ("bert", "carl"), "anna", "spam", 2000
    )
    assert [(packet.member_list_account, packet.member_count) for packet in each] == [(("bert",), 3), (("carl",), 2)]


def test_who_may_kick_whom() -> None:
    room = filled("anna", "bert", "carl", "dora")
    room.promote("bert")
    room.kick(("dora",), "bert", "spam", 2000)
    for operator, victim in (("bert", "anna"), ("carl", "bert"), ("eve", "carl"), ("anna", "anna")):
        with pytest.raises(RefusedError) as error:
            room.kick((victim,), operator, "spam", 3000)
        assert refusal_of(error) == Refusal.NO_PERMISSION
    room.kick(("anna",), "administrator", "spam", 4000)
    assert list(room.members) == ["bert", "carl"]


@pytest.mark.parametrize("reason", ["", "x" * 1001, "字" * 334])
def test_a_kick_has_a_reason_of_1_to_1000_bytes(reason: str) -> None:
    with pytest.raises(RefusedError) as error:
        filled("anna", "bert").kick(("bert",), "anna", reason, 2000)
    assert refusal_of(error) == Refusal.BAD_KICK


def test_a_kick_of_21_or_of_one_twice_or_of_a_stranger_changes_nothing() -> None:
    room = filled("anna", *PEOPLE)
    for accounts in (tuple(PEOPLE[:21]), ("user1", "user1"), ("user1", "eve"), ()):
        with pytest.raises(RefusedError):
            room.kick(accounts, "anna", "spam", 2000)
    assert len(room.members) == 1 + len(PEOPLE)


@pytest.mark.parametrize(
    ("habit", "sent"),
    [
        (Dissolution.LEAVE, [("Leave", "anna"), ("Leave", "bert")]),
        (Dissolution.KICKED, [("Kicked", "administrator"), ("Kicked", "administrator")]),
        (Dissolution.NONE, []),
    ],
)
def test_what_a_dissolved_room_sends(habit: Dissolution, sent: list[tuple[str, str]]) -> None:
    room = filled("anna", "bert", behaviour=BackendBehaviour(dissolution=habit))
    packets = room.dissolve("administrator", "over", 2000)
    assert [(packet.type, packet.operator_account) for packet in packets] == sent
    assert not room.members
    with pytest.raises(RefusedError) as error:
        room.enter(member("carl"), 3000)
    assert refusal_of(error) == Refusal.GONE


def test_a_full_room_and_a_second_enter_are_refused_with_their_reason() -> None:
    room = filled("anna", "bert", capacity=2)
    with pytest.raises(RefusedError, match="the room is full"):
        room.enter(member("carl"), 2000)
    with pytest.raises(RefusedError, match="anna is in the room already"):
        room.enter(member("anna"), 2000)


class LifeOfARoom(RuleBasedStateMachine):
    """Everything that can happen to a room, allowed or not, beside a model of nothing but sets and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.admins: set[str] = set()
        self.silent_since: dict[str, int] = {}
        self.closing = False
        self.now = 1_700_000_000_000
        self.last_event = 0

    @initialize(
        capacity=st.sampled_from([1, 6, 22]),
        count=st.sampled_from(CountMoment),
        bulk=st.sampled_from(BulkKick),
        ends=st.sampled_from(Dissolution),
        present=st.lists(st.sampled_from(PEOPLE), min_size=3, unique=True),
    )
    def create(self, capacity: int, count: CountMoment, bulk: BulkKick, ends: Dissolution, present: list[str]) -> None:
        self.behaviour = BackendBehaviour(member_count=count, bulk_kick=bulk, dissolution=ends)
        self.room = Room[Member]("rid-1", "user0", capacity, self.behaviour)
        self.owner = "user0"
        self.capacity = capacity
        for account in present:
            self.enter(account)

    @rule(passed=st.integers(-5000, 130_000))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(account=st.sampled_from(REGULARS))
    def enter(self, account: str) -> None:
        allowed = not self.closing and account not in self.inside and len(self.inside) < self.capacity
        packets: list[EnterPacket] = []
        if self.attempt(lambda: packets.append(self.room.enter(member(account), self.now)), allowed=allowed):
            self.inside.append(account)
            assert packets[0].member_count == len(self.inside)
            self.moved_on(packets[0].event_time)

    @rule(account=st.sampled_from(REGULARS), reason=st.text(max_size=20))
    def leave(self, account: str, reason: str) -> None:
        packets: list[LeavePacket] = []
        if self.attempt(
            lambda: packets.append(self.room.leave(account, reason, self.now)), allowed=account in self.inside
        ):
            self.gone(packets, "Leave", [account])
            assert (packets[0].operator_account, packets[0].reason) == (account, reason)

    @rule(
        accounts=st.lists(st.sampled_from(PEOPLE), max_size=22), operator=st.sampled_from([*REGULARS, "administrator"])
    )
    def kick(self, accounts: list[str], operator: str) -> None:
        self.try_to_kick(accounts, operator)

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def kick_people_who_are_there(self, data: st.DataObject) -> None:
        accounts = data.draw(st.lists(st.sampled_from(self.inside), min_size=1, unique=True))
        self.try_to_kick(accounts, data.draw(st.sampled_from([*self.inside, "administrator"])))

    def try_to_kick(self, accounts: list[str], operator: str) -> None:
        is_admin = operator in self.inside and operator in self.admins and self.owner not in accounts
        is_owner = operator in self.inside and operator == self.owner
        allowed = (
            1 <= len(accounts) <= 20
            and len(set(accounts)) == len(accounts)
            and set(accounts) <= set(self.inside)
            and (operator == "administrator" or ((is_owner or is_admin) and operator not in accounts))
        )
        packets: list[LeavePacket] = []
        if self.attempt(lambda: packets.extend(self.room.kick(accounts, operator, "spam", self.now)), allowed=allowed):
            assert len(packets) == (1 if self.behaviour.bulk_kick is BulkKick.ONE else len(accounts))
            self.gone(packets, "Kicked", accounts)
            assert {packet.operator_account for packet in packets} == {operator}

    @rule(account=st.sampled_from(REGULARS))
    def lose(self, account: str) -> None:
        if self.attempt(lambda: self.room.lose(account, self.now), allowed=account in self.inside):
            self.moved_on(self.room.clock)
            self.silent_since.setdefault(account, self.room.clock)

    @rule(account=st.sampled_from(REGULARS))
    def recover(self, account: str) -> None:
        if self.attempt(lambda: self.room.recover(account, self.now), allowed=account in self.inside):
            self.silent_since.pop(account, None)

    @precondition(lambda self: self.silent_since)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        account = data.draw(st.sampled_from(sorted(self.silent_since)))
        packets: list[LeavePacket] = []
        allowed = self.now - self.silent_since[account] >= 90_000
        if self.attempt(lambda: packets.append(self.room.expire(account, "", self.now)), allowed=allowed):
            self.gone(packets, "Expired", [account])

    @rule(account=st.sampled_from(REGULARS))
    def promote(self, account: str) -> None:
        if self.attempt(lambda: self.room.promote(account), allowed=account in self.inside):
            self.admins.add(account)

    @rule(account=st.sampled_from(REGULARS))
    def hand_over(self, account: str) -> None:
        if self.attempt(lambda: self.room.hand_over(account), allowed=account in self.inside):
            self.owner = account

    @rule(often=st.integers(0, 9))
    def dissolve(self, often: int) -> None:
        if often:
            return  # one time in ten, or the room would be gone before much has happened in it
        inside = list(self.inside)
        packets = self.room.dissolve("administrator", "over", self.now)
        self.closing = True
        assert len(packets) == (0 if self.behaviour.dissolution is Dissolution.NONE else len(inside))
        method: CheckOutMethod = "Kicked" if self.behaviour.dissolution is Dissolution.KICKED else "Leave"
        self.gone(list(packets), method, inside)

    @invariant()
    def everybody_is_in_once_and_no_more_than_fit(self) -> None:
        if hasattr(self, "room"):
            assert list(self.room.members) == self.inside
            assert len(self.inside) <= self.capacity
            assert self.room.lost == self.silent_since
            assert self.room.admins == self.admins

    def attempt(self, change: object, *, allowed: bool) -> bool:
        assert callable(change)
        try:
            change()
        except RefusedError:
            assert not allowed
            return False
        assert allowed
        return True

    def gone(self, packets: list[LeavePacket], method: CheckOutMethod, accounts: list[str]) -> None:
        """The packets name exactly those who are gone, and count the others right."""
        told = [account for packet in packets for account in packet.member_list_account]
        assert told == (accounts if packets else [])
        for packet in packets:
            for account in packet.member_list_account:
                self.inside.remove(account)
            counted = len(packet.member_list_account) if self.behaviour.member_count is CountMoment.BEFORE else 0
            assert packet.member_count == len(self.inside) + counted >= 0
            assert packet.type == method
            self.moved_on(packet.event_time)
        for account in accounts:
            if account in self.inside:
                self.inside.remove(account)
            self.admins.discard(account)
            self.silent_since.pop(account, None)

    def moved_on(self, event_time: int) -> None:
        assert event_time >= self.last_event
        assert event_time >= self.now
        self.last_event = event_time


TestLifeOfARoom = LifeOfARoom.TestCase
TestLifeOfARoom = pytest.mark.long(TestLifeOfARoom)
TestLifeOfARoom.settings = settings(max_examples=150, stateful_step_count=50)
