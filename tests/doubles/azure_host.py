"""What does Microsoft's Python worker make of an app? A host for it, one JSON object a line.

Run by an interpreter that holds just what the app requires and `azure-functions-runtime`, the part
of Microsoft's worker that indexes, loads and calls functions. Azure's host speaks to it in protobuf
messages over gRPC, by a part of the worker that comes in no package; these are objects of the same
shape, and log lines find their call as they do there.

    python -P azure_host.py <folder of the app>

Asked `{"index": true}` or `{"invoke": <name>, "id": …, "input": {…}, …}`, it answers with what the
worker would tell the host, and with the lines that the app logged meanwhile.
"""

import asyncio
import json
import logging
import sys
import types
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import azure_functions_runtime as worker

_ID = "invocation_id"


class Message(types.SimpleNamespace):
    """A message whose fields are those that it was made with."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 protobuf's own name
        """Return the field that is set, of those that exclude each other."""
        return next((name for name in vars(self) if name != "name"), None)

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON can say them."""
        return {name: _plain(value) for name, value in vars(self).items()}


class Protocol:
    """The kinds of messages, made as the worker asks for them."""

    class StatusResult(Message):
        """How something ended."""

        Failure, Success = "failure", "success"

    class BindingInfo(Message):
        """What a function is bound to."""

        undefined = 0
        out, inout = 1, 2

    def __getattr__(self, kind: str) -> type[Message]:
        """Return any other kind; nothing is known of it but its fields."""
        return type(kind, (Message,), {})


class Lines(logging.Handler):
    """Keeps what is logged as the worker hands it on: the text, and the call that it belongs to.

    The call is known by the running task, and by those that it starts; by nothing else, so that a
    line from a thread belongs to no call, and Azure's host drops it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        line = {"message": self.format(record), "level": record.levelname, "logger": record.name}
        self.kept.append({**line, _ID: _current_invocation()})


def _current_invocation() -> str | None:
    try:
        return getattr(asyncio.current_task(), _ID, None)
    except RuntimeError:  # no loop runs in this thread
        return None


class Task(asyncio.Task[Any]):
    """A task that belongs to the call that started it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        super().__init__(coroutine, **options)
        self.invocation_id = _current_invocation()


def _plain(value: object) -> Any:
    if isinstance(value, Message):
        return value.plain()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _typed(value: dict[str, Any]) -> Message:
    """Return the argument of a trigger from `{"string": …}`, `{"http": {…}}` and the like."""
    ((kind, content),) = value.items()
    if kind == "http":
        body = content.pop("body", "")
        content = Message(
            **{"headers": {}, "params": {}, "query": {}, **content},
            body=Message(bytes=body.encode()) if body else Message(),
        )
    elif kind == "model_binding_data":
        content = Message(**{**content, "content": json.dumps(content["content"]).encode()})
    return Message(**{kind: content})


class Host:
    """One worker, and the app in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: dict[str, str] = {}

    async def index(self) -> dict[str, Any]:
        """Start the worker; return what functions it found."""
        asked = Message(capabilities={}, function_app_directory=str(self._folder))
        properties = {"host": "127.0.0.1", "protos": Protocol()}
        started = await worker.worker_init_request(
            Message(request=Message(worker_init_request=asked), properties=properties)
        )
        found = await worker.functions_metadata_request(None)
        functions = found.function_metadata_results or []
        self._ids = {one.name: one.function_id for one in functions}
        for one in functions:
            loading = Message(function_id=one.function_id)
            await worker.function_load_request(
                Message(request=Message(function_load_request=loading))
            )
        return {"result": _plain(started.result), "functions": _plain(functions)}

    async def invoke(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Call a function; return how it ended."""
        call = Message(
            invocation_id=asked["id"],
            function_id=self._ids[asked["invoke"]],
            input_data=[
                Message(name=name, data=_typed(value)) for name, value in asked["input"].items()
            ],
            trigger_metadata={
                name: _typed(value) for name, value in asked.get("metadata", {}).items()
            },
            trace_context=Message(
                trace_parent=asked.get("trace", ""), trace_state="", attributes={}
            ),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        task = asyncio.current_task()
        assert isinstance(task, Task)
        task.invocation_id = asked["id"]
        ended = await worker.invocation_request(
            Message(request=Message(invocation_request=call), properties={})
        )
        told: dict[str, Any] = ended.plain()
        return told


async def main(folder: Path) -> None:
    """Answer until there are no more questions."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda _, coroutine, **given: Task(coroutine, loop=loop, **given))
    answers, sys.stdout = sys.stdout, sys.stderr  # what the app prints is no answer
    lines = Lines()
    logging.getLogger().addHandler(lines)
    logging.getLogger().setLevel(logging.INFO)
    # Where the worker's own dependencies are kept apart, as on Flex, the app comes last.
    sys.path.append(str(folder))
    worker.start_threadpool_executor()
    host = Host(folder)
    while text := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(text)
        doing = host.index() if "index" in asked else host.invoke(asked)
        answer = await loop.create_task(doing)
        answers.write(json.dumps({**answer, "lines": lines.kept}, default=str) + "\n")
        answers.flush()
        lines.kept = []


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
