"""AsyncAPI, Postman and Bruno as ``roomhook schema`` writes them, each read or run by the public tool for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from node_tools import read_by_node

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.schemas import loader
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.api.rest import APIS
from roomhook.simulator.room_backend.documents.requests import CALLBACKS, REST, VARIABLES, requests

pytestmark = pytest.mark.long

TOKEN = "xxxxyyyy"


def printed(capsys: pytest.CaptureFixture[str], option: str) -> str:
    assert main(["schema", option]) == 0
    return capsys.readouterr().out


@pytest.mark.exhaustive
def test_the_asyncapi_document_is_valid_and_names_the_whole_family(capsys: pytest.CaptureFixture[str]) -> None:
    found = read_by_node(
        """
        const {Parser} = require("@asyncapi/parser");
        const {document, diagnostics} = await new Parser().parse(given);
        return {
          errors: diagnostics.filter(one => one.severity < 2).map(one => one.message),
          operations: document.operations().all()
            .map(one => [one.title(), one.action(), one.reply().messages().length]),
          payloads: document.messages().all().map(one => Object.keys(one.payload().json().properties).length > 2),
        }
        """,
        printed(capsys, "--asyncapi"),
    )
    assert found["errors"] == []
    assert found["operations"] == [[command, "receive", 1] for command in COMMANDS]
    assert all(found["payloads"])


@pytest.mark.exhaustive
def test_the_postman_collection_runs_against_an_app_backend_that_verifies_signatures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    collection = json.loads(printed(capsys, "--postman"))
    with BackendServer(token=TOKEN) as backend:
        for variable in collection["variable"]:
            variable["value"] = {"appBackend": backend.url(), "token": TOKEN}.get(variable["key"], variable["value"])
        found = read_by_node(RUN_BY_NEWMAN % json.dumps(CALLBACKS), json.dumps(collection))
    assert found["failures"] == []
    assert (found["requests"], found["assertions"]) == (9, 45)


RUN_BY_NEWMAN = """
    const newman = require("newman");
    return new Promise((done, failed) => newman.run(
      {collection: JSON.parse(given), folder: %s},
      (error, summary) => error ? failed(error) : done({
        failures: summary.run.failures.map(one => one.source.name + ": " + one.error.message),
        requests: summary.run.stats.requests.total,
        assertions: summary.run.stats.assertions.total,
      })
    ))
"""


def test_the_postman_collection_says_no_more_than_its_format_knows(capsys: pytest.CaptureFixture[str]) -> None:
    """What Postman's own library reads and writes again is what was written."""
    collection = json.loads(printed(capsys, "--postman"))
    read = read_by_node(
        """
        const inside = {paths: [require.resolve("newman")]};
        const {Collection} = require(require.resolve("postman-collection", inside));
        return new Collection(JSON.parse(given)).toJSON()
        """,
        json.dumps(collection),
    )
    folders = {folder["name"]: folder["item"] for folder in read["item"]}
    assert [one["name"] for one in folders[REST]] == [api.summary for api in APIS.values()]
    kick = next(one for one in folders[REST] if one["name"] == "Kick up to 20 members")
    codes = [json.loads(one["body"])["ErrorCode"] for one in kick["response"]]
    assert codes == [int(code) for code in APIS["v4/room_engine_http_srv/kick_user_out"].codes if code]


def test_every_file_of_the_bruno_collection_is_read_by_brunos_parser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "collection"
    assert main(["schema", "--bruno", str(folder)]) == 0
    texts = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.bru")}
    read: dict[str, Any] = read_by_node(
        """
        const lang = require("@usebruno/lang");
        const {bruToJsonV2, bruToEnvJsonV2, collectionBruToJson} = lang;
        const parser = name => name.startsWith("environments/") ? bruToEnvJsonV2
          : name === "collection.bru" ? collectionBruToJson : bruToJsonV2;
        return Object.fromEntries(Object.entries(JSON.parse(given)).map(([name, text]) => [name, parser(name)(text)]))
        """,
        json.dumps(texts),
    )
    assert json.loads((folder / "bruno.json").read_text())["type"] == "collection"
    variables = {one["name"]: one["value"] for one in read.pop("environments/local.bru")["variables"]}
    assert variables == VARIABLES
    assert "crypto.SHA256(token + now)" in read.pop("collection.bru")["script"]["req"]
    wanted = list(requests())
    assert [one["meta"]["name"] for one in sorted(read.values(), key=lambda one: int(one["meta"]["seq"]))] == [
        one.name.replace(",", "") for one in wanted
    ]
    kicked = read[f"{CALLBACKS}/A member is kicked out.bru"]
    assert kicked["body"]["json"] == wanted[1].body
    assert [one["name"] for one in kicked["params"]] == [name for name, _ in wanted[1].query]
    capsys.readouterr()


def test_every_callback_of_the_collections_is_as_documented() -> None:
    for one in requests():
        if one.folder == CALLBACKS:
            text = (
                one.body.replace("{{eventTime}}", "1670574414123").replace("{{room}}", "r").replace("{{member}}", "m")
            )
            name = {"MemberLeave": "leave", "MemberEnter": "enter"}.get(one.description.rpartition("After")[2])
            packet = json.loads(text)
            assert packet["CallbackCommand"] == one.description in COMMANDS
            assert name is None or loader.problems(name, packet) == []


def test_a_collection_never_overwrites_and_a_document_stands_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["schema", "--bruno", str(tmp_path)]) == 2
    assert "holds files already; name a new folder" in capsys.readouterr().err
    assert main(["schema", "leave", "--postman"]) == 2
    assert "--postman gives one document and takes nothing else" in capsys.readouterr().err
