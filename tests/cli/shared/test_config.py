"""Where options come from: command line, environment, roomhook.toml or [tool.roomhook], default."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from roomhook.cli.main import main

URL = "http://127.0.0.1:9/callback"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fired(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The request that a dry run of ``fire`` would send."""
    code = main(["fire", "leave", URL, "--dry-run", "--print", "json", "--format", "json", *arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    request: dict[str, Any] = json.loads(out)
    return request


def sdkappid(request: dict[str, Any]) -> str:
    return dict(parse_qsl(urlsplit(str(request["url"])).query))["SdkAppid"]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which a run ends that is refused."""
    assert main(list(arguments) or ["fire", "leave", URL, "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    return err


def test_a_byte_order_mark_before_the_options_is_skipped(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").write_text("sdkappid = 1400000002\r\n", encoding="utf-8-sig")
    assert sdkappid(fired(capsys)) == "1400000002"


def test_the_command_line_wins_over_environment_file_and_default(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sdkappid(fired(capsys)) == "1400000001"
    (folder / "roomhook.toml").write_text("sdkappid = 1400000002")
    assert sdkappid(fired(capsys)) == "1400000002"
    monkeypatch.setenv("ROOMHOOK_SDKAPPID", "1400000003")
    assert sdkappid(fired(capsys)) == "1400000003"
    assert sdkappid(fired(capsys, "--sdkappid", "1400000004")) == "1400000004"


def test_a_commands_own_table_wins_over_the_top_level(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").write_text("sdkappid = 1\n[fire]\nsdkappid = 2\n[check]\nsdkappid = 3")
    assert sdkappid(fired(capsys)) == "2"


def test_the_table_in_pyproject_does_as_well(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.roomhook]\nsdkappid = 7\n[tool.roomhook.fire]\nevent-time = 5")
    request = fired(capsys)
    assert sdkappid(request) == "7"
    assert json.loads(request["body"])["EventTime"] == 5


def test_roomhook_toml_hides_the_table_in_pyproject(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.roomhook]\nsdkappid = 7")
    (folder / "roomhook.toml").write_text("")
    assert sdkappid(fired(capsys)) == "1400000001"


@pytest.mark.parametrize("key", ["event-time", "event_time"])
def test_keys_are_written_like_options_or_with_underscores(
    capsys: pytest.CaptureFixture[str], folder: Path, key: str
) -> None:
    (folder / "roomhook.toml").write_text(f"[fire]\n{key} = 12")
    assert json.loads(fired(capsys)["body"])["EventTime"] == 12


@pytest.mark.parametrize("value", ['"user1"', '["user1"]'])
def test_a_repeatable_option_is_a_list_or_a_single_value(
    capsys: pytest.CaptureFixture[str], folder: Path, value: str
) -> None:
    (folder / "roomhook.toml").write_text(f"[fire]\nmember = {value}")
    assert json.loads(fired(capsys)["body"])["MemberList_Account"] == ["user1"]


def test_a_number_will_do_for_a_text(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").write_text("[fire]\nroom = 12345\nmember = [1, 2]\nreason = 'x'")
    body = json.loads(fired(capsys)["body"])
    assert (body["RoomId"], body["MemberList_Account"]) == ("12345", ["1", "2"])


def test_a_repeatable_option_stands_one_a_line_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMHOOK_HEADER", "X-First: one and two\nX-Second: 2\n")
    assert [pair for pair in fired(capsys)["headers"] if pair[0].startswith("X-")] == [
        ["X-First", "***"],
        ["X-Second", "***"],
    ]


def test_an_empty_variable_is_as_good_as_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMHOOK_SDKAPPID", "")
    assert sdkappid(fired(capsys)) == "1400000001"


@pytest.mark.parametrize("text", ["[fire]\ndeadline = 3", "[fire]\ntimeout = 3", "timeout = 3", "deadline = 3"])
def test_both_names_of_an_option_are_keys(capsys: pytest.CaptureFixture[str], folder: Path, text: str) -> None:
    (folder / "roomhook.toml").write_text(text)
    fired(capsys)
    (folder / "roomhook.toml").write_text(text.replace("3", "0"))
    assert "--deadline" in complaint(capsys)


@pytest.mark.parametrize("name", ["ROOMHOOK_FORMAT", "ROOMHOOK_PRINT"])
def test_variables_are_named_after_the_option_and_not_after_the_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "json")
    assert main(["fire", "leave", URL, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "POST"


def test_the_options_of_check_can_stand_in_the_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").write_text("format = 'json'\n[check]\nexec = 'false'\nlist = true\nonly = 'ack'\n")
    assert main(["check"]) == 0
    assert "ack.ok" in capsys.readouterr().out


def test_a_shared_format_leaves_callbacks_on_stdout_as_they_are(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "roomhook.toml").write_text("format = 'json'")
    assert main(["traffic", "--events", "1", "--seed", "7"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_reports_are_listed_with_commas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--report", "junit,html"], []):
        assert main(["check", "http://127.0.0.1:9/", *arguments]) == 3
        assert {"roomhook-junit.xml", "roomhook.html"} == {one.name for one in Path("roomhook-report").iterdir()}
        shutil.rmtree("roomhook-report")
        monkeypatch.setenv("ROOMHOOK_REPORT", "junit,html")
    assert main(["check", "http://127.0.0.1:9/", "--report", "junit,pdf"]) == 2
    assert "'pdf' is not one of json, junit, " in capsys.readouterr().err


def test_flags_can_be_set_everywhere(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "roomhook.toml").write_text("[fire]\ndry-run = true")
    assert main(["fire", "leave", URL]) == 0
    (folder / "roomhook.toml").write_text("")
    monkeypatch.setenv("ROOMHOOK_DRY_RUN", "1")
    assert main(["fire", "leave", URL]) == 0
    assert "POST /callback" in capsys.readouterr().out


def test_a_shared_key_is_no_matter_to_a_command_without_such_an_option(folder: Path) -> None:
    (folder / "roomhook.toml").write_text("token = 'x'\nsdkappid = 1")
    assert main(["errata"]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sdkapid = 1", "unknown key 'sdkapid'; did you mean sdkappid?"),
        ("[chekc]\nseed = 1", "unknown key 'chekc'; did you mean check?"),
        ("[sdkappid]\nx = 1", "unknown key 'sdkappid'"),
        ("[fire]\nrooms = 'x'", "[fire] has no option 'rooms'; did you mean room"),
        ("[fire]\nzzz = 1", "[fire] has no option 'zzz'; it may hold kind, url, sdkappid, "),
        ("zzz = 1", "unknown key 'zzz'; it may hold sdkappid, "),
        ("exec = 'python app.py'", "unknown key 'exec'; it belongs in [check]"),
        ("[fire]\nhelp = true", "[fire] has no option 'help'"),
        ("[fire.more]\nx = 1", "[fire] has no option 'more'"),
        ("fire = 1", "unknown key 'fire'"),
        ("sdkappid = ", "roomhook.toml is not TOML"),
        ("sdkappid = 'x'", "(from roomhook.toml)"),
        ("[fire]\ncount = [1]", "(from roomhook.toml)"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, text: str, said: str
) -> None:
    (folder / "roomhook.toml").write_text(text)
    line = complaint(capsys)
    assert "roomhook.toml" in line
    assert said in line


def test_a_mistake_in_pyproject_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.roomhook]\nsdkapid = 1")
    assert "pyproject.toml: unknown key 'sdkapid'" in complaint(capsys)
    (folder / "pyproject.toml").write_text("[tool]\nroomhook = 1")
    assert "[tool.roomhook]" in complaint(capsys)


def test_a_bad_value_in_the_environment_is_traced_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOMHOOK_TIMEOUT", "soon")
    assert "(from ROOMHOOK_TIMEOUT in the environment)" in complaint(capsys)


def test_a_file_that_cannot_be_read_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "roomhook.toml").mkdir()
    assert "roomhook.toml can't be read" in complaint(capsys)
    (folder / "roomhook.toml").rmdir()
    (folder / "roomhook.toml").write_bytes(b"token = '\xff'")
    assert "roomhook.toml can't be read" in complaint(capsys)


@pytest.mark.parametrize(
    "text", ["not toml at all {", "[project]\nname = 'x'", "[tool.ruff]\nline-length = 3", "tool = 3"]
)
def test_somebody_elses_pyproject_is_their_own_affair(
    capsys: pytest.CaptureFixture[str], folder: Path, text: str
) -> None:
    (folder / "pyproject.toml").write_text(text)
    assert sdkappid(fired(capsys)) == "1400000001"
