"""The register of requirements, and the commands and the page that are made from it."""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from roomhook.cli.main import main
from roomhook.contract_tests.model.register import (
    Level,
    Requirement,
    load_glossary,
    load_groups,
    load_options,
    load_register,
    load_sources,
    select,
)
from roomhook.contract_tests.model.requirements_page import anchor, requirements_page
from roomhook.errors import ConfigurationError
from roomhook.schemas import errata

# Ids are final: a line may be added here, and never changed.
FINAL = {
    Level.MUST: """
ack.status ack.complete ack.json ack.action-status ack.error-code ack.error-info ack.ok ack.deadline
type.leave type.kicked type.expired members.one members.two count.zero count.one count.large
reason.empty reason.unicode reason.escapes id.user-max id.room-max operator.other time.now
url.platform.restapi url.platform.web url.platform.android url.platform.ios url.platform.windows url.platform.ipad
url.platform.unknown url.contenttype.json url.client-ip.v4
app-id.wrong app-id.missing app-id.empty app-id.near app-id.recovers http.reuse http.parallel command.alive bad.alive
sign.valid sign.missing sign.wrong sign.other-token sign.time-swapped tls.chain tls.hostname tls.expiry
effect.leave effect.kicked effect.expired effect.all-members effect.app-id effect.second-leave effect.parallel-leaves
effect.accounts-apart effect.rooms-apart effect.applied fuzz.valid
effect.sign
""",
    Level.SHOULD: """
ack.consistent ack.content-type ack.bom ack.coding ack.margin ack.steady type.unknown members.twenty
members.crowd count.huge
reason.long reason.absent reason.nul
id.system id.unicode id.punctuation id.numeric operator.empty time.old time.ahead
url.platform.mac url.platform.macos url.platform.new url.platform.absent url.contenttype.upper url.contenttype.absent
url.client-ip.zero url.client-ip.v6 url.order url.extra url.encoded app-id.elsewhere
http.parallel.deadline http.burst http.no-content-type http.content-type.charset http.method
http.half-request command.unknown command.sibling
bad.empty bad.text bad.truncated bad.null bad.array bad.scalar bad.utf8 bad.nan bad.large
bad.field-missing.callback-command bad.field-missing.operator-account bad.field-missing.room-id
bad.field-missing.member-count bad.field-missing.type bad.field-missing.member-list-account
bad.field-missing.event-time
bad.field-type.callback-command bad.field-type.operator-account bad.field-type.room-id bad.field-type.member-count
bad.field-type.type bad.field-type.member-list-account bad.field-type.reason bad.field-type.event-time
bad.no-leak bad.no-echo packet.extra-field packet.key-order packet.whitespace packet.longest packet.large
duplicate.ack duplicate.parallel
sign.stale sign.ahead sign.not-a-number sign.empty sign.duplicate tls.version
effect.bad-input effect.duplicate effect.duplicate-parallel effect.other-room effect.punctuation effect.rejoin
effect.late-enter effect.same-second effect.same-time effect.reconnect effect.repeated-account effect.unknown-account
effect.command effect.combined
effect.kick-twenty effect.count effect.two-rooms effect.parallel-enter effect.burst effect.accounts-apart.signs
effect.accounts-apart.folded effect.rooms-apart.signs effect.rooms-apart.folded effect.applied.variants
fuzz.near-miss
""",
    Level.INFO: """
ack.cold-start ack.extra ack.family app-id.packet http.chunked http.expect http.slow-body http.split-head http.idle
url.https bad.duplicate-key sign.upper app-id.padded app-id.duplicate http.content-type.text command.mismatch bad.deep
bad.lenient
""",
}
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def ids(*only: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [one.id for one in select(only, exclude)]


class TestContents:
    def test_holds_every_id_at_its_level(self) -> None:
        by_level = {level: {one.id for one in load_register().values() if one.level is level} for level in Level}
        assert by_level == {level: set(listed.split()) for level, listed in FINAL.items()}

    def test_keeps_groups_in_the_order_in_which_the_suite_runs_them(self) -> None:
        order = list(dict.fromkeys(one.group for one in load_register().values()))
        assert order == list(load_groups())
        assert list(load_register())[:2] == ["ack.status", "ack.complete"]
        assert list(load_register())[-1] == "fuzz.near-miss"

    def test_knows_what_must_be_given_before_a_requirement_can_be_judged(self) -> None:
        needs = {"sign": "token", "tls": "https", "effect": "probe", "fuzz": "fuzz"}
        assert {one.id: one.needs for one in load_register().values()} == {
            one.id: needs.get(one.group, "") for one in load_register().values()
        }
        assert all(bool(one.condition) == bool(one.needs) for one in load_register().values())

    @pytest.mark.parametrize("one", load_register().values(), ids=list(load_register()))
    def test_says_all_that_a_reader_needs_in_whole_sentences(self, one: Requirement) -> None:
        assert re.match(r"The App backend('s)? ", one.text)
        assert len(one.text) <= 110
        for text in (one.text, one.why, one.case, one.fix):
            assert re.search(r"[.)]$", text)
            assert "  " not in text
            assert text.count("`") % 2 == 0
        assert {Level.INFO: "Reported: "}.get(one.level, "Passes: ") in one.case
        assert len(one.why) <= 300
        assert len(one.fix) <= 350
        assert one.source

    def test_resolves_sources_and_options_and_has_none_to_spare(self) -> None:
        register = load_register().values()
        assert {key for one in register for key in one.source} == set(load_sources())
        assert {option for one in register for option in one.options} == set(load_options())
        for one in register:
            assert [source.key for source in one.sources] == list(one.source)

    def test_cites_addresses_or_says_what_kind_of_reasoning_it_is(self) -> None:
        reasoning = {"practice", "inference", "drift", "CODE-PHP-CHAT", "CODE-PHP-LIVE"}
        for source in load_sources().values():
            assert source.title
            assert bool(source.addresses) == (source.key not in reasoning)
            assert all(address.startswith("https://") or address == "docs/protocol.md" for address in source.addresses)
            assert not any(address.startswith("http") and not source.date for address in source.addresses) or (
                source.key == "CODE-DOBYTE"
            )

    def test_bases_no_must_on_practice_or_inference_alone(self) -> None:
        for one in select():
            if one.level is Level.MUST:
                assert set(one.source) - {"practice", "inference", "drift"}, one.id

    def test_names_the_silent_refusal_wherever_a_refusal_is_judged(self) -> None:
        silent = {one.id for one in select() if "--refusal silent" in one.options}
        judged = set(ids("app-id", "sign", exclude=("app-id.recovers,app-id.packet,sign.valid,sign.upper",)))
        assert silent == judged

    def test_points_only_to_requirements_that_exist(self) -> None:
        for one in select():
            for name in re.findall(r"`([a-z-]+\.[a-z.-]+)`", f"{one.why} {one.case} {one.fix}"):
                assert name in load_register(), (one.id, name)

    def test_knows_every_requirement_that_an_erratum_touches(self) -> None:
        for erratum in errata.load().errata:
            for name in erratum.touches.requirements:
                assert fnmatch.filter(load_register(), name), (erratum.id, name)

    def test_is_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            load_register()["ack.ok"].level = Level.INFO  # type: ignore[misc]


class TestSelection:
    def test_takes_all_without_a_wish(self) -> None:
        assert ids() == list(load_register())

    def test_takes_an_id_for_itself_even_where_it_begins_another(self) -> None:
        assert ids("http.parallel") == ["http.parallel"]
        assert ids("http.parallel*") == ["http.parallel", "http.parallel.deadline"]

    def test_takes_a_group_or_the_beginning_of_ids_for_all_below(self) -> None:
        assert ids("duplicate") == ids("duplicate.*") == ["duplicate.ack", "duplicate.parallel"]
        assert ids("url.contenttype") == [
            "url.contenttype.json",
            "url.contenttype.upper",
            "url.contenttype.absent",
        ]
        assert ids("id")[0] == "id.user-max"

    def test_takes_globs_and_commas_and_keeps_the_order_of_the_register(self) -> None:
        assert ids("time.old, ack.ok", "*.two") == ["ack.ok", "members.two", "time.old"]

    def test_excludes_last(self) -> None:
        assert ids("count", exclude=("count.huge,count.zero",)) == ["count.one", "count.large"]
        assert len(ids(exclude=("bad",))) == len(load_register()) - len(ids("bad"))

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("ack.ststus", "did you mean ack.status"),
            ("APP-ID", "did you mean app-id"),
            ("xyzzy", "'roomhook requirements' lists them"),
            ("sign.*.old", "no requirement is named 'sign.*.old'"),
            ("ack.ok,ack.nope", "no requirement is named 'ack.nope'"),
            (" , ", "an empty list of requirements"),
        ],
    )
    def test_refuses_what_matches_nothing_in_one_line_with_a_remedy(self, entry: str, message: str) -> None:
        for arguments in ((entry,), ()), ((), (entry,)):
            with pytest.raises(ConfigurationError) as caught:
                select(*arguments)
            assert message in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_refuses_to_select_nothing(self) -> None:
        with pytest.raises(ConfigurationError, match="no requirement is left once count is excluded"):
            select(["count.zero"], ["count"])


EXPLAINED = """\
app-id.missing  MUST
The App backend refuses a callback without SdkAppid.

Why       A missing id is not your own. A check that runs only when the parameter is there is
          switched off by leaving it out; a public receiver has this very hole.
Check     The baseline callback without SdkAppid in the URL, and with XSdkAppid in its place.
          Passes: both refused.
Fix       Refuse unless the parameter is there and equal: `args.get("SdkAppid") != OWN_ID`, not `if
          sdkappid and sdkappid != OWN_ID`.
Options   --refusal silent: your backend drops a foreign callback and still answers OK, which the
          documents allow since the code of an after-callback is ignored. Refusals are then judged
          through the probe, and without one reported as not judged.
Source    page: After a Room Is Left: the page of Room.CallbackAfterMemberLeave itself (2024-06-12)
            https://www.tencentcloud.com/document/product/647/60734
            https://trtc.io/ko/document/60734
          CODE-TIMBOT: a public receiver: a missing SdkAppid matches every account (2026-03-05)
            https://github.com/wbxl2000/timbot
Errata    sdkappid-spelling: SdkAppid is spelt in three ways
          refusing-a-foreign-callback: A foreign SDKAppID must be noticed, but every refusal counts
          as something else
          console-check-without-app-id: Whether a check of a callback URL from the vendor's console
          sends SdkAppid
Run       roomhook check URL --sdkappid N --only app-id.missing

MUST: stated by the documents, or the acknowledgement of a valid callback, or opted into by you. A
  breach fails the run.
baseline callback: a valid leave that avoids everything disputed: Content-Type application/json,
  contenttype=json, OptPlatform=iOS, a public IPv4 ClientIP, short ASCII ids, one member, Type
  Leave, a short ASCII Reason, EventTime now, a correct Sign when a token is given, on a fresh
  connection. Each case departs from it in one point.
refused: anything but HTTP 200 with ActionStatus OK: another status, FAIL, a non-zero ErrorCode, an
  empty or foreign body, a closed connection. The documents do not say how to refuse, so every form
  passes.
"""


class TestExplain:
    def test_tells_everything_about_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "app-id.missing"]) == 0
        assert capsys.readouterr().out == EXPLAINED

    def test_explains_a_group_and_each_level_and_term_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "time"]) == 0
        out = capsys.readouterr().out
        assert re.findall(r"^time\.\w+  \w+$", out, re.MULTILINE) == [
            "time.now  MUST",
            "time.old  SHOULD",
            "time.ahead  SHOULD",
        ]
        assert out.count("\nSHOULD: ") == out.count("\nbaseline callback: ") == 1

    def test_says_what_is_needed_and_the_command_that_checks_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "sign.stale"]) == 0
        out = capsys.readouterr().out
        assert "Needs     the callback token (ROOMHOOK_TOKEN)" in out
        assert "roomhook check URL --sdkappid N --only sign.stale" in out

    def test_gives_the_same_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "app-id.near", "app-id.packet", "--format", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [one["id"] for one in document["requirements"]] == ["app-id.near", "app-id.packet"]
        near = document["requirements"][0]
        assert near["level"] == "MUST"
        assert near["group"] == "app-id"
        assert near["sources"][0]["key"] == "page"
        assert near["sources"][0]["addresses"][0] == "https://www.tencentcloud.com/document/product/647/60734"
        assert near["command"] == "roomhook check URL --sdkappid N --only app-id.near"
        assert set(near["options"]) == {"--refusal silent"}
        assert {"text", "why", "case", "fix", "needs"} <= set(near)
        assert "refusing-a-foreign-callback" in near["errata"]
        assert set(document["levels"]) == {"MUST", "INFO"}
        assert document["terms"]["refused"] == load_glossary()["refused"]

    def test_fills_the_columns_it_has(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        assert main(["explain", "ack.json"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line) for line in lines if "://" not in line and "ActionStatus" not in line) <= 60

    def test_refuses_an_unknown_id_in_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "ack.margn"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert (
            captured.err
            == "roomhook: no requirement is named 'ack.margn'; did you mean ack.margin, packet.large or ack.bom?\n"
        )


class TestRequirements:
    def test_lists_all_by_group_one_a_line_when_no_terminal_reads(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["requirements"]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        listed = re.findall(r"^  (\S+) +(MUST|SHOULD|INFO) +The App backend.*[.]$", out, re.MULTILINE)
        assert sorted(listed) == sorted((one.id, one.level.value) for one in select())
        assert re.findall(r"^([a-z-]+) · .+$", out, re.MULTILINE) == list(load_groups())
        assert out.endswith("\n183 requirements: 61 MUST, 104 SHOULD, 18 INFO\n")

    def test_shows_a_selection_in_columns(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert main(["requirements", "--only", "app-id,time", "--exclude", "app-id.[dpr]*", "--level", "must"]) == 0
        assert capsys.readouterr().out == (
            "time · when it happened: EventTime\n"
            "  time.now  MUST    The App backend acknowledges EventTime as it is now:\n"
            "                    milliseconds, 13 digits, beyond 32 bits.\n"
            "\n"
            "app-id · whose callback it is: SdkAppid\n"
            "  app-id.wrong    MUST    The App backend refuses a callback with another app's\n"
            "                          SdkAppid.\n"
            "  app-id.missing  MUST    The App backend refuses a callback without SdkAppid.\n"
            "  app-id.empty    MUST    The App backend refuses a callback with an empty\n"
            "                          SdkAppid.\n"
            "  app-id.near     MUST    The App backend refuses ids that extend, shorten or\n"
            "                          contain its own, or differ from it in one digit.\n"
            "\n"
            "5 requirements: 5 MUST\n"
        )

    def test_puts_the_text_below_the_id_on_a_narrow_screen(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "50")
        assert main(["requirements", "--only", "bad.field-type.room-id"]) == 0
        assert capsys.readouterr().out.splitlines()[1:4] == [
            "  bad.field-type.room-id  SHOULD",
            "    The App backend does not crash when RoomId is",
            "    not a string.",
        ]

    def test_gives_the_same_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["requirements", "--level", "INFO", "--level", "MUST", "--only", "app-id", "--format", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["counts"] == {"MUST": 5, "SHOULD": 0, "INFO": 3}
        expected = [one.to_dict() for one in select(["app-id"]) if one.level is not Level.SHOULD]
        assert document["requirements"] == json.loads(json.dumps(expected))

    def test_refuses_to_list_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["requirements", "--only", "time.now", "--level", "INFO"]) == 2
        assert capsys.readouterr().err == "roomhook: none of these requirements is INFO; drop --level\n"


class TestReferencePage:
    def test_is_current(self) -> None:
        page = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
        assert page == requirements_page(), (
            "run: python -m roomhook.contract_tests.model.requirements_page > docs/requirements.md"
        )

    def test_has_a_heading_of_its_own_for_every_requirement(self) -> None:
        page = requirements_page()
        assert re.findall(r"^### (.+)$", page, re.MULTILINE) == [
            one.id for group in load_groups() for one in select([group])
        ]
        assert len({anchor(one) for one in load_register()}) == len(load_register())

    def test_shows_markup_characters_as_they_are(self) -> None:
        assert r"(\*.example.com is not a.b.example.com)" in requirements_page()
