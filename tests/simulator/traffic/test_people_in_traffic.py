"""The people of generated traffic: their devices, their names, and what they say when they leave."""

from __future__ import annotations

from dataclasses import replace

from generated_traffic import packets, told, traffic

from roomhook.simulator.protocol.packets import EnterPacket, LeavePacket
from roomhook.simulator.rooms.people import shipped_locales, stems
from roomhook.simulator.traffic.generator import events


def test_address_and_platform_stay_with_the_account() -> None:
    seen: dict[str, tuple[str, str]] = {}
    stream = events(traffic(limit=5000, reenter=0.9, stay="2m", with_enter=True, members=60, rooms=6))
    returned = 0
    for event, packet in told(stream):
        if packet.operator_account in packet.member_list_account:
            client = seen.setdefault(packet.operator_account, (event.client_ip, event.platform))
            assert client == (event.client_ip, event.platform)
            returned += isinstance(packet, EnterPacket) and packet.operator_account in seen
    assert returned > 1000


def test_reasons_come_in_many_scripts_and_a_kick_always_has_one() -> None:
    told_reasons = [(packet.type, packet.reason) for packet in packets(events(traffic(limit=5000)))]
    assert all(reason for kind, reason in told_reasons if kind == "Kicked")
    letters = "".join(reason for _, reason in told_reasons)
    assert any("一" <= letter <= "鿿" for letter in letters)
    assert any("\u0621" <= letter <= "\u064a" for letter in letters)
    assert any(ord(letter) > 0xFFFF for letter in letters)


def test_each_room_has_one_language_and_its_people_have_names_in_it() -> None:
    spoken: dict[str, set[str]] = {}
    for _, packet in told(events(traffic(members=400, rooms=40, duration="2h"))):
        if isinstance(packet, LeavePacket) and packet.type != "Expired":
            stem = packet.member_list_account[0].rstrip("0123456789")
            spoken.setdefault(packet.room_id, set()).add(stem)
    everyone = set.union(*spoken.values())
    homes = {stem: {locale for locale in shipped_locales() if stem in stems(locale)} for stem in everyone}
    assert len(spoken) > 20
    assert all(set.intersection(*(homes[stem] for stem in room)) for room in spoken.values())
    assert len(set.union(*homes.values())) > 10


def test_languages_can_be_mixed_in_a_room() -> None:
    request = replace(traffic(members=100, rooms=1, duration="2h"), mixed_languages=True)
    found = {packet.member_list_account[0].rstrip("0123456789") for _, packet in told(events(request))}
    assert not any(found <= set(stems(locale)) for locale in shipped_locales())
