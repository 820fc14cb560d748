"""The files that ``roomhook init`` writes: ``roomhook.toml`` and the recipe for a pipeline."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

from roomhook.cli.project.stacks import Stack
from roomhook.simulator.util.defaults import SDKAPPID

__all__ = ["RECIPES", "Pipeline", "configuration", "recipe"]


class Pipeline(StrEnum):
    """A CI service."""

    GITHUB = "github"
    GITLAB = "gitlab"
    JENKINS = "jenkins"


RECIPES: Final = {
    Pipeline.GITHUB: ".github/workflows/callbacks.yml",
    Pipeline.GITLAB: ".gitlab-ci.yml",
    Pipeline.JENKINS: "Jenkinsfile",
}
"""Where each pipeline looks for its recipe."""

_SOURCE: Final = "git+https://git.example.com/your-team/roomhook.git"

_GITHUB: Final = """\
# Replace the address of roomhook by the one you install it from.
name: callbacks
on: [push, pull_request]
jobs:
  contract:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install '{source}'
{install}      - run: roomhook check --report junit,html
        env:
          ROOMHOOK_TOKEN: ${{{{ secrets.ROOMHOOK_TOKEN }}}}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: roomhook-report
          path: roomhook-report
"""

_GITLAB: Final = """\
# Replace the address of roomhook by the one you install it from. ROOMHOOK_TOKEN is a masked CI/CD variable.
callbacks:
  image: python:3.12
  script:
    - pip install '{source}'
{install}    - roomhook check --report junit,html
  artifacts:
    when: always
    paths:
      - roomhook-report
    reports:
      junit: roomhook-report/roomhook-junit.xml
"""

_JENKINS: Final = """\
// Replace the address of roomhook by the one you install it from.
pipeline {{
    agent any
    environment {{
        ROOMHOOK_TOKEN = credentials('roomhook-token')
    }}
    stages {{
        stage('Callbacks') {{
            steps {{
                sh '''
                    python3 -m venv .venv
                    . .venv/bin/activate
                    pip install "{source}"
{install}                    roomhook check --report junit,html
                '''
            }}
        }}
    }}
    post {{
        always {{
            junit 'roomhook-report/roomhook-junit.xml'
        }}
    }}
}}
"""

_TEMPLATES: Final = {
    Pipeline.GITHUB: (_GITHUB, "      - run: "),
    Pipeline.GITLAB: (_GITLAB, "    - "),
    Pipeline.JENKINS: (_JENKINS, " " * 20),
}


def recipe(pipeline: Pipeline, stack: Stack | None) -> str:
    """The recipe of *pipeline* for an app of the kind *stack*."""
    template, indent = _TEMPLATES[pipeline]
    install = f"{indent}{stack.install}\n" if stack and stack.install else ""
    return template.format(source=_SOURCE, install=install)


def configuration(stack: Stack | None) -> str:
    """The text of ``roomhook.toml`` for an app of the kind *stack*."""
    given = stack or Stack("", "python app.py {port}", "")
    start = f"exec = {_quoted(given.start)}"
    listing = given.rooms or "/rooms/{RoomId}"
    probe = f"probe = {_quoted('http://127.0.0.1:{port}' + listing)}"
    return "\n".join(
        [
            "# Options for Roomhook. Each key is an option without its dashes; 'roomhook check --help' lists them.",
            "# Put the token in the environment variable ROOMHOOK_TOKEN, not here.",
            "",
            "# Your app's SDKAppID, as the console shows it.",
            f"sdkappid = {given.sdkappid or SDKAPPID}",
            "",
            "[check]",
            "# How to start your app. {port} is a free port; the app also finds it in PORT.",
            start if stack else f"# {start}",
            "",
            "# Where your app receives callbacks. Without exec, write the port: http://127.0.0.1:8000/callback",
            f"url = {_quoted(('http://127.0.0.1:{port}' if stack else 'http://127.0.0.1:8000') + given.path)}",
            "",
            "# The strongest checks need a probe: a URL that returns the members of a room as a JSON list.",
            probe if stack and stack.rooms else f"# {probe if stack else probe.replace('{port}', '8000')}",
            "",
        ]
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
