"""Runs `roomhook check --strict` with a probe against each App backend in this folder: python check.py [--write] [NAME …].

Installs what a stack needs into its own folder first, and says why it skips one. Options that a stack needs are in its
check.args. Prints the rows of the table in docs/stacks.md; --write also replaces those rows there.
Exit code: 0 if every stack that could be run passes, else 1.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "stacks.md"
SKIP = 75
"""What an install.sh exits with when this machine lacks the stack's runtime."""


def main():
    write = "--write" in sys.argv
    names = [one for one in sys.argv[1:] if one != "--write"] or sorted(each.parent.name for each in HERE.glob("*/install.sh"))
    print("| stack | result | warnings | notes | seconds |\n|---|---|---|---|---|", flush=True)
    failed = False
    for name in names:
        row, passed = judged(name)
        line = f"| [{name}](../examples/stacks/{name}) | {row} |"
        print(line, flush=True)
        failed |= not passed
        if write and not row.startswith("skipped"):
            PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), name, line), encoding="utf-8")
    return int(failed)


def with_row(page, name, line):
    """*page* with *line* as the row on the stack *name*, in the order of names."""
    rows = {one: row for row, one in re.findall(r"^(\| \[([\w-]+)\]\(\.\./examples/stacks/.*\|)\n", page, re.MULTILINE)}
    rows[name] = line
    table = "".join(f"{rows[one]}\n" for one in sorted(rows))
    return re.sub(r"(?:^\| \[[\w-]+\]\(\.\./examples/stacks/.*\|\n)+", lambda _: table, page, count=1, flags=re.MULTILINE)


def judged(name):
    """The row on one stack, and whether it is no reason to fail."""
    install = subprocess.run(["sh", HERE / name / "install.sh"], capture_output=True, text=True)
    said = (install.stdout + install.stderr).strip().splitlines()
    if install.returncode == SKIP:
        return f"skipped: {said[-1] if said else 'its runtime is missing'} | | | ", True
    if install.returncode:
        return f"skipped, cannot be installed: {said[-1] if said else install.returncode} | | | ", True
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(["sh", HERE / name / "run.sh", str(port)], stdout=log, stderr=log, start_new_session=True)
        try:
            if is_up(server, port):
                return checked(name, port)
            log.seek(0)
            last = (log.read().strip().splitlines() or ["it says nothing"])[-1]
            return f"does not start: {last} | | | ", False
        finally:
            end(server)


def checked(name, port):
    tool = shutil.which("roomhook", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    url, more = f"http://127.0.0.1:{port}", HERE / name / "check.args"
    command = [tool, "check", f"{url}/callback", "--strict", "--probe", f"{url}/members?room={{RoomId}}", "--format", "json"]
    run = subprocess.run([*command, *shlex.split(more.read_text() if more.exists() else "")], capture_output=True, text=True)
    if not run.stdout:
        return f"not judged: {run.stderr.strip()} | | | ", False
    report = json.loads(run.stdout)
    ids = {"fail": [], "info": []}
    for one in report["requirements"]:
        if one["id"] != "url.https":  # every target on loopback shows it
            ids.setdefault(one["verdict"], []).append(one["id"])
    warnings, notes = ", ".join(ids["fail"]) or "none", ", ".join(ids["info"]) or "none"
    return f"{report['verdict']} | {warnings} | {notes} | {report['duration_s']:.1f}", run.returncode == 0


def is_up(server, port):
    for _ in range(300):
        if server.poll() is not None:
            return False
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/members?room=x", timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def end(server):
    """End the stack with all that it has started; it has five seconds to clean up."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5)


if __name__ == "__main__":
    sys.exit(main())
