"""Are workers scaled by their queues, asked on their port, and given the folders they look at?"""

from collections.abc import Iterator

from infra.checks import bicep_file, bicep_folder, bicep_places, code_agreement, role_tables
from infra.checks.finding import Finding


def broken(folder: bicep_folder.BicepFolder, tables: role_tables.RoleTables) -> Iterator[Finding]:
    """Yield where they are not."""
    yield from _scaling(folder, tables)
    yield from _probes(folder.module("worker"))
    yield from _mounts(folder)


def _scaling(folder: bicep_folder.BicepFolder, tables: role_tables.RoleTables) -> Iterator[Finding]:
    """Yield where workers are not scaled by the very queues that they receive from."""
    file = folder.module("worker")
    queues = {
        one.symbol: bicep_places.written(one.body.get("name"))
        for one in folder.module("access").resources
    }
    wanted = {queues[on] for _, on in tables.calls["BatchQueue.receive"]}
    for symbol, place, below in (
        ("workerApp", "template.scale.rules", "custom."),
        ("workerJob", "configuration.eventTriggerConfig.scale.rules", ""),
    ):
        (worker,) = (one for one in file.resources if one.symbol == symbol)
        properties = worker.body.get("properties")
        rules = range(len(wanted))
        said = {
            what: {
                bicep_places.at(file, properties, f"{place}.{rule}.{below}{what}") for rule in rules
            }
            for what in (
                *("type", "identity"),
                *("metadata.queueName", "metadata.queueLengthStrategy", "metadata.accountName"),
            )
        }
        for what, must in {
            "type": {"azure-queue"},
            "identity": {"platformIdentityId"},
            "metadata.queueName": wanted,
            "metadata.queueLengthStrategy": {"all"},
            "metadata.accountName": {"dataStorageName"},
        }.items():
            if said[what] != must:
                text = f"{symbol} is scaled by {what} {sorted(said[what])}, not {sorted(must)}"
                yield Finding(file.path, worker.line, "other-wire", text)


def _probes(file: bicep_file.BicepFile) -> Iterator[Finding]:
    probes = file.variables["probes"]
    listed = probes.value if isinstance(probes.value, list) else []
    for place in range(len(listed)):
        port = bicep_places.at(file, listed, f"{place}.httpGet.port")
        if port != "statusPort":
            text = f"a probe asks port {port}, and workers answer on statusPort"
            yield Finding(file.path, probes.line, "other-port", text)


def _mounts(folder: bicep_folder.BicepFolder) -> Iterator[Finding]:
    """Yield the folders that a program is told of and finds nothing mounted at."""
    app, worker = folder.module("function-app"), folder.module("worker")
    functions, env = (
        code_agreement.function_variables(folder),
        code_agreement.worker_variables(folder),
    )
    (mounts,) = (one for one in app.resources if one.symbol == "mounts")
    containers = worker.variables["containers"].value
    volumes = {
        bicep_places.at(worker, containers, f"0.volumeMounts.{place}.volumeName"): bicep_places.at(
            worker, containers, f"0.volumeMounts.{place}.mountPath"
        )
        for place in range(2)
    }
    for file, told, mounted in (
        (
            app,
            functions.get("BLENDROP_FRAME_SHARE"),
            bicep_places.at(app, mounts.body.get("properties"), "frames.mountPath"),
        ),
        (worker, env.get("BLENDROP_FRAME_SHARE"), volumes.get("frames", "")),
        (worker, env.get("BLENDROP_SCRATCH"), volumes.get("scratch", "")),
    ):
        if bicep_places.written(told) != mounted:
            text = (
                f"a program looks at {bicep_places.written(told)}, and the folder is at {mounted}"
            )
            yield Finding(file.path, 1, "other-wire", text)
