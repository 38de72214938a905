"""What does Microsoft's own analyzer of KQL say against a query?"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local import node

_PACKAGE = Path(__file__).with_name("kusto_package")
_ANALYZER = _PACKAGE / "analyze.js"

# The columns that our queries name, of the tables of a Log Analytics workspace: Microsoft Learn,
# "Azure Monitor Logs reference", the page of each table.
TABLES = {
    "AppExceptions": {
        "Message": "string",
        "OperationName": "string",
        "OuterMessage": "string",
        "SeverityLevel": "int",
        "TimeGenerated": "datetime",
    },
    "AppTraces": {
        "Message": "string",
        "OperationName": "string",
        "SeverityLevel": "int",
        "TimeGenerated": "datetime",
    },
    "ContainerAppConsoleLogs": {"Log": "string", "TimeGenerated": "datetime"},
    "ContainerAppSystemLogs": {
        "ContainerAppName": "string",
        "JobName": "string",
        "Log": "string",
        "Reason": "string",
        "TimeGenerated": "datetime",
        "Type": "string",
    },
    "StorageQueueLogs": {
        "OperationName": "string",
        "StatusCode": "string",
        "StatusText": "string",
        "TimeGenerated": "datetime",
        "Uri": "string",
    },
}


def analyzed(queries: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is said against each query; the analyzer is installed first, if it is not here.

    Raises:
        UnavailableError: it cannot be installed.
        CalledProcessError: it fails.
    """
    node.install(_PACKAGE)
    asked = json.dumps({"tables": TABLES, "queries": dict(queries)})
    answer = subprocess.run(
        [node.program(), _ANALYZER],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said: dict[str, list[str]] = json.loads(answer.stdout)
    return said
