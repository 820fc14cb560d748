"""``roomhook schema``: the list, a schema by itself, and documents held against it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import Draft202012Validator

from roomhook.cli.main import main
from roomhook.schemas import loader

VALID = loader.FOLDER / "examples" / "valid"
OK = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}\n'
BAD = '{"ActionStatus":"ok","ErrorInfo":"","ErrorCode":"0"}\n'
BAD_LINE = '$.ErrorCode: must be an integer, not a string (value "0", rule type: integer)'

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``roomhook schema`` with *stdin*; gives the exit code, the lines of stdout, and stderr."""

    def run_schema(*arguments: str | Path, stdin: str | bytes = "") -> tuple[int, list[str], str]:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = main(["schema", *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out.splitlines(), shown.err

    return run_schema


def test_without_a_name_every_schema_is_listed_with_a_line(run: Run) -> None:
    code, lines, _ = run()
    assert code == 0
    assert [line.split()[0] for line in lines] == sorted([*loader.names(), "config"])
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", loader.names())
def test_a_printed_schema_needs_nothing_else_to_validate(name: str, run: Run) -> None:
    code, lines, _ = run(name)
    assert code == 0
    printed = json.loads("\n".join(lines))
    assert "$ref" not in json.dumps(printed)
    alone = Draft202012Validator(printed)
    for path in (VALID / name).glob("*.json"):
        alone.validate(json.loads(path.read_bytes()))


def test_a_document_that_matches_exits_0(run: Run) -> None:
    sample = VALID / "leave" / "page-sample.json"
    assert run("leave", "--validate", sample) == (0, [f"{sample}: matches leave"], "")


def test_a_document_that_does_not_match_exits_1_with_the_best_problem(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "packet.json"
    file.write_text('{\n"CallbackCommand": "Room.CallbackAfterMemberEnter",\n"Type": "Leave"}')
    command = (
        '$.CallbackCommand: must be "Room.CallbackAfterMemberLeave" (value "Room.CallbackAfterMemberEnter", rule const)'
    )
    assert run("leave", "--validate", file) == (1, [f"{file}: {command}; 6 more with --all"], "")
    code, lines, _ = run("leave", "--all", "--validate", file)
    assert code == 1
    assert lines[0] == f"{file}: {command}"
    assert len(lines) == 7


def test_several_files_are_judged_and_one_bad_one_decides(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(OK)
    bad.write_text(BAD)
    code, lines, _ = run("response", "--validate", bad, good)
    assert code == 1
    assert lines == [f"{bad}: {BAD_LINE}; 1 more with --all", f"{good}: matches response"]
    assert run("response", "--validate", good, good)[0] == 0


@pytest.mark.parametrize("blank", ["", "\n \n"])
def test_lines_that_are_documents_of_their_own_are_judged_line_by_line(run: Run, blank: str) -> None:
    code, lines, _ = run("response", "--validate", "-", stdin=f"{blank}{OK}{blank}{BAD}{{")
    number = blank.count("\n")
    assert code == 1
    assert lines == [
        f"stdin:{2 + 2 * number}: {BAD_LINE}; 1 more with --all",
        f"stdin:{3 + 2 * number}: is not JSON: Expecting property name enclosed in double quotes (column 2)",
        "stdin: 1 of 3 lines match response",
    ]
    assert run("response", "--validate", "-", stdin=OK * 3) == (0, ["stdin: 3 of 3 lines match response"], "")


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl"])
def test_the_name_of_a_file_of_lines_decides_even_for_a_broken_first_line(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"answers.{suffix}"
    file.write_text("oops\n" + OK)
    code, lines, _ = run("response", "--validate", file)
    assert code == 1
    assert lines == [f"{file}:1: is not JSON: Expecting value (column 1)", f"{file}: 1 of 2 lines match response"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"oops", "is not JSON: Expecting value (column 1)"),
        (b'{"a": 1\n"b": 2}', "is not JSON: Expecting ',' delimiter (line 2, column 1)"),
        (b"NaN", "is not JSON: NaN is not JSON"),
        (b"\xff\xfe{", "is not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b"", "holds no document"),
        (b" \n\n", "holds no document"),
    ],
)
def test_what_is_no_json_exits_1_and_says_where(run: Run, text: bytes, complaint: str) -> None:
    assert run("response", "--validate", "-", stdin=text) == (1, [f"stdin: {complaint}"], "")


def test_a_byte_order_mark_is_no_fault(run: Run) -> None:
    assert run("response", "--validate", "-", stdin=b"\xef\xbb\xbf" + OK.encode())[0] == 0


def test_a_stream_is_judged_as_it_comes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown_by_then: list[str] = []

    def lines() -> Iterator[bytes]:
        yield from (OK.encode(), BAD.encode(), BAD.encode())
        shown_by_then.extend(capsys.readouterr().out.splitlines())
        yield OK.encode()

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=lines()))
    assert main(["schema", "response", "--validate", "-"]) == 1
    assert [line.partition(": ")[0] for line in shown_by_then] == ["stdin:2", "stdin:3"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["leav"], "there is no schema 'leav'; did you mean leave"),
        (["zzz"], "there is no schema 'zzz'; there are create, create.accepted"),
        (["leav", "--validate", "nowhere.json"], "there is no schema 'leav'"),
        (["leave", "--validate", "nowhere.json"], "nowhere.json can't be read: No such file or directory"),
        (["leave", "--validate", "."], ". can't be read: Is a directory"),
        (["--validate", "packet.json"], "name the schema too, as in 'roomhook schema leave --validate packet.json'"),
        (["leave", "packet.json"], "to validate files write 'roomhook schema leave --validate packet.json'"),
        (["leave", "--all"], "to validate files write"),
    ],
)
def test_a_bad_request_is_one_line_and_exit_2(arguments: list[str], error: str, run: Run) -> None:
    code, lines, err = run(*arguments)
    assert code == 2
    assert lines == []
    assert err.startswith(f"roomhook: {error}")
    assert err.count("\n") == 1
