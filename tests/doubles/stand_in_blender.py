"""A program that stands in for Blender where it should fail in ways that it will not on demand.

It speaks the pipe's protocol and does what the scene's file name says, like `die-by-signal.blend`.
"""

import json
import os
import signal
import sys
import time
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
                notes=[],
            )
            continue
        print(f"Fra:{command['frame']} with {fault}", flush=True)
        misbehave(fault)
        say(
            "rendered",
            seconds=0.1,
            display="",
            display_problem="it is a stand-in",
            extra_folder="/nowhere",
            extra_files=[],
        )


def misbehave(fault: str) -> None:
    """Fail as the scene says."""
    if fault == "die-by-signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "die-by-kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "leave":
        sys.exit(11)
    elif fault == "hang":
        time.sleep(600)
    elif fault == "chatter":
        while True:
            print("still at it", flush=True)
            time.sleep(0.5)
    elif fault == "eat-memory":
        eaten = []
        while True:
            eaten.append(bytearray(64 * 2**20))
            time.sleep(0.02)
    elif fault == "garbage":
        os.write(int(sys.argv[sys.argv.index("--pipe") + 2]), b"no json\n")


main()
