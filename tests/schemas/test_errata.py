"""The register of contradictions and unknowns, as data and as ``roomhook errata``."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
import typer

from roomhook.cli.main import COMMANDS, main
from roomhook.contract_tests.model.register import load_register
from roomhook.schemas import loader
from roomhook.schemas.errata import Erratum, load

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
ERRATA = load().errata


@pytest.fixture(autouse=True)
def _no_terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def by_id(one: Erratum) -> str:
    return one.id


def test_the_register_matches_its_schema_and_its_ids_are_unique() -> None:
    assert loader.problems("errata", json.loads((loader.FOLDER / "errata.json").read_bytes())) == []
    assert len({one.id for one in ERRATA}) == len(ERRATA)


def test_the_areas_of_the_register_are_those_of_its_schema_and_all_in_use() -> None:
    areas = loader.schema("errata")["properties"]["errata"]["items"]["properties"]["area"]["enum"]
    assert list(load().areas) == areas
    assert [area for area in areas if not any(one.area == area for one in ERRATA)] == []
    assert [one.area for one in ERRATA] == sorted((one.area for one in ERRATA), key=areas.index)


def test_every_open_point_of_the_protocol_has_its_entry() -> None:
    open_points = section("6").count("\n| ") - 1  # the first row is the heading
    unknowns = re.findall(r"^(\d+)\. ", section("7"), re.MULTILINE)
    wanted = {f"6.{row}" for row in range(1, open_points + 1)} | {f"7.{number}" for number in unknowns}
    wanted |= {"1.1", "1.2", "1.3", "1.4", "1.5", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8"}
    assert open_points == 15
    assert len(unknowns) == 12
    assert wanted - {place for one in ERRATA for place in one.protocol} == set()


def section(number: str) -> str:
    return PROTOCOL.read_text().partition(f"\n## {number}. ")[2].partition("\n## ")[0]


@pytest.mark.parametrize("one", ERRATA, ids=by_id)
def test_an_entry_refers_to_places_requirements_and_options_that_exist(one: Erratum) -> None:
    headings = set(re.findall(r"^##+ (\d(?:\.\d+)?)\.? ", PROTOCOL.read_text(), re.MULTILINE))
    assert [place for place in one.protocol if place[0] not in "67" and place not in headings] == []
    known = set(load_register())
    for wanted in one.touches.requirements:
        assert wanted in known or any(name.startswith(wanted.removesuffix("*")) for name in known), wanted
    for option in one.touches.options:
        _, command, name = option.split()
        assert name in options_of(command), option


def options_of(command: str) -> set[str]:
    module = importlib.import_module(COMMANDS[command][0])
    parsed = typer.main.get_command(module.app)
    return {name for parameter in getattr(parsed, "params", []) for name in parameter.opts}


@pytest.mark.parametrize("one", ERRATA, ids=by_id)
def test_texts_are_sentences_and_titles_are_none(one: Erratum) -> None:
    assert one.chosen.endswith(".")
    assert one.why.endswith(".")
    assert not one.title.endswith(".")


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_shows_every_entry_once_under_its_area(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata"]) == 0
    out = capsys.readouterr().out
    rows = re.findall(r"^  (\S+)  +(contradiction|unknown|slip)  +(.+)$", out, re.MULTILINE)
    assert rows == [(one.id, one.kind, one.title) for one in ERRATA]
    assert [line for line in out.splitlines() if line in load().areas.values()] == list(load().areas.values())
    assert f"{len(ERRATA)} entries: " in out


def test_an_entry_is_explained_with_pages_choice_reason_and_what_it_touches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata", "platform-mac"]) == 0
    assert (
        capsys.readouterr().out
        == """\
platform-mac  contradiction
OptPlatform is Mac on some pages and macOS on others

Pages     macOS
            https://trtc.io/document/34354
          Mac, in the Chinese original of that page
            https://cloud.tencent.com/document/api/269/1522
          Mac
            https://www.tencentcloud.com/document/product/647/64412
          MacOS, in the older RoomKit family
            https://cloud.tencent.com/document/product/1690/92699
Chosen    Mac is sent, Mac and macOS count as documented, and a receiver must accept any spelling.
Why       The Chinese pages are the originals; macOS looks like a translator's normalisation.
Touches   url.platform.mac, url.platform.macos
Options   roomhook fire --platform
Source    protocol.md 1.2, 6.1
"""
    )


def test_several_entries_are_explained_in_the_order_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata", "retries", "heartbeat"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^(\S+)  (?:unknown|slip)$", out, re.MULTILINE) == ["retries", "heartbeat"]


@pytest.mark.parametrize("ids", [[], ["platform-mac"], ["retries", "heartbeat"]])
def test_json_is_the_register_or_the_part_asked_for(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata", *ids, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert loader.problems("errata", document) == []
    assert [one["id"] for one in document["errata"]] == (ids or [one.id for one in ERRATA])
    assert list(document["areas"]) == list(dict.fromkeys(one["area"] for one in sorted_by_area(document["errata"])))


def sorted_by_area(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(entries, key=lambda one: list(load().areas).index(one["area"]))


def test_an_unknown_id_is_one_line_with_what_may_have_been_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata", "platform-macos"]) == 2
    assert capsys.readouterr().err == (
        "roomhook: there is no erratum 'platform-macos'; "
        "did you mean platform-mac, platform-ios-case or platform-rest-api?\n"
    )
    assert main(["errata", "zzz"]) == 2
    assert capsys.readouterr().err == "roomhook: there is no erratum 'zzz'; 'roomhook errata' lists them all\n"
