"""A program that stands in for Blender where it should fail in ways that it will not on demand.

It speaks the pipe's protocol and does what the scene's file name says, like `die-by-signal.blend`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Serve the pipe until told to quit."""
    at = sys.argv.index("--pipe")
    commands = os.fdopen(int(sys.argv[at + 1]), encoding="utf-8")
    answers = os.fdopen(int(sys.argv[at + 2]), "w", encoding="utf-8")
    print("stand-in", sorted(os.environ), flush=True)

    def say(event: str, **fields: object) -> None:
        answers.write(json.dumps({"event": event, **fields}) + "\n")
        answers.flush()

    say("ready", blender_version="5.0.1")
    fault = ""
    for line in commands:
        command = json.loads(line)
        if command["command"] == "quit":
            return
        if command["command"] == "load":
            fault = Path(command["scene_file"]).stem
            image = {
                "file_format": "PNG",
                "width": 4,
                "height": 2,
                "channels": 3,
                "color_depth": "8",
            }
            say(
                "loaded",
                blender_version="5.0.1",
                image=image,
                frame_pattern="####.png",
                missing_files=[],
                skipped_python=[],
                notes=[],
            )
            continue
        print(f"Fra:{command['frame']} with {fault}", flush=True)
        FAULTS.get(fault, bool)()
        say(
            "rendered",
            seconds=0.1,
            display="",
            display_problem="it is a stand-in",
            extra_folder="/nowhere",
            extra_files=[],
        )


def chatter() -> None:
    """Go on and on."""
    while True:
        print("still at it", flush=True)
        time.sleep(0.5)


def eat_memory() -> None:
    """Take more and more."""
    eaten = []
    while True:
        eaten.append(bytearray(64 * 2**20))
        time.sleep(0.02)


def let_a_child_eat_memory() -> None:
    """Start a process, in a session of its own, that takes more and more."""
    eat = "a = []\nwhile True: a.append(bytearray(2**26)); import time; time.sleep(0.02)"
    subprocess.run([sys.executable, "-c", eat], start_new_session=True, check=False)


def leave_a_daemon() -> None:
    """Start a process that leaves its session and its parent, and hang."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print("daemon", os.getpid(), flush=True)
            time.sleep(600)
        os._exit(0)
    time.sleep(600)


FAULTS: dict[str, Callable[[], object]] = {
    "die-by-signal": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "die-by-kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda: sys.exit(11),
    "hang": lambda: time.sleep(600),
    "chatter": chatter,
    "eat-memory": eat_memory,
    "child-eats-memory": let_a_child_eat_memory,
    "daemon": leave_a_daemon,
    "garbage": lambda: os.write(int(sys.argv[sys.argv.index("--pipe") + 2]), b"no json\n"),
}


main()
