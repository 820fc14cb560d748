"""Runs `roomhook check --strict` with a probe against each App backend in this folder: python check.py [NAME …].

Installs what a stack needs into its own folder first, and says why it skips one. Prints the rows of docs/stacks.md.
Exit code: 0 if every stack that could be run passes, else 1.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
SKIP = 75
"""What an install.sh exits with when this machine lacks the stack's runtime."""


def main():
    names = sys.argv[1:] or sorted(script.parent.name for script in HERE.glob("*/install.sh"))
    print("| stack | result | warnings | notes | seconds |\n|---|---|---|---|---|", flush=True)
    failed = False
    for name in names:
        row, passed = judged(name)
        print(f"| [{name}](../examples/stacks/{name}) | {row} |", flush=True)
        failed |= not passed
    return int(failed)


def judged(name):
    """The row on one stack, and whether it is no reason to fail."""
    install = subprocess.run(["sh", HERE / name / "install.sh"], capture_output=True, text=True)
    said = (install.stdout + install.stderr).strip().splitlines()
    if install.returncode == SKIP:
        return f"skipped: {said[-1] if said else 'its runtime is missing'} | | | ", True
    if install.returncode:
        return f"cannot be installed: {said[-1] if said else install.returncode} | | | ", True
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(["sh", HERE / name / "run.sh", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        return checked(port) if is_up(server, port) else ("does not start | | | ", False)
    finally:
        end(server)


def checked(port):
    tool = shutil.which("roomhook", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    url = f"http://127.0.0.1:{port}"
    run = subprocess.run([tool, "check", f"{url}/callback", "--strict", "--probe", f"{url}/members?room={{RoomId}}",
                          "--format", "json"], capture_output=True, text=True)
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
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            break
        time.sleep(0.5)
    server.wait()


if __name__ == "__main__":
    sys.exit(main())
