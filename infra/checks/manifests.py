"""Are the Kubernetes manifests valid, and do they agree with the templates and the code?

They are rendered by `kubectl kustomize` and held against the schemas of Kubernetes. What KEDA,
Cilium and the Prometheus operator define is held against reduced schemas of our own (`schemas/`):
no package carries theirs. A ScaledJob's job is held against Kubernetes' own schema as well.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]

from blendrop import settings
from infra.checks import bicep_folder, code_agreement, kubernetes_rendering, manifest_links
from infra.checks.finding import Finding
from infra.checks.kubernetes_rendering import Manifest

KUBERNETES = "1.34"
COMPONENTS = ("collector", "pod-monitor", "spot")

_SCHEMAS = Path(__file__).parent / "schemas"
_REDUCED = {
    "keda.sh/v1alpha1": "keda.json",
    "cilium.io/v2": "cilium.json",
    "monitoring.coreos.com/v1": "prometheus.json",
}


def broken(folder: Path, bicep: bicep_folder.BicepFolder, *, user: str) -> Iterator[Finding]:
    """Yield what is wrong with any overlay; `user` is the number that the image runs as."""
    pods: dict[str, Manifest] = {}
    for overlay in sorted(path.name for path in (folder / "overlays").iterdir()):
        for components in ((), COMPONENTS):
            path = folder / "overlays" / overlay
            try:
                manifests = kubernetes_rendering.render(folder, overlay, components)
            except ValueError as failed:
                yield Finding(path, 1, "unrenderable", str(failed))
                continue
            for rule, texts in (
                ("invalid-manifest", _invalid(manifests)),
                ("other-name", _disagreements(manifests, bicep)),
                ("other-name", _identities(manifests, user)),
                ("loose-end", manifest_links.broken(manifests)),
            ):
                yield from (Finding(path, 1, rule, text) for text in texts)
            if not components:
                pods[overlay] = kubernetes_rendering.worker_pod(manifests)
    if len(pods) > 1:
        for text in _worker_differences(pods):
            yield Finding(folder, 1, "other-worker", text)


def _invalid(manifests: list[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for problem in invalid(manifest):
            yield f"{manifest['kind']} {manifest['metadata']['name']}: {problem}"


def invalid(manifest: Manifest) -> Iterator[str]:
    """Yield why a manifest does not keep to its schema."""
    if manifest["apiVersion"] in _REDUCED:
        yield from _by_reduced_schema(manifest)
    else:
        yield from _by_kubernetes(manifest)
    job = manifest.get("spec", {}).get("jobTargetRef")
    if job is not None:
        metadata = manifest["metadata"]
        made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}
        yield from _by_kubernetes(made)


def _by_kubernetes(manifest: Manifest) -> Iterator[str]:
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as wrong:
        yield str(wrong.message)
    except kubernetes_validate.SchemaNotFoundError as unknown:
        yield str(unknown.message)


def _by_reduced_schema(manifest: Manifest) -> Iterator[str]:
    schema = _schema(_REDUCED[manifest["apiVersion"]])
    if manifest["kind"] not in schema["kinds"]:
        yield f"{manifest['kind']} is not in infra/checks/schemas"
        return
    whole = {"$defs": schema.get("$defs", {}), **schema["kinds"][manifest["kind"]]}
    for wrong in jsonschema.Draft202012Validator(whole).iter_errors(manifest["spec"]):
        yield f"{wrong.json_path.replace('$', 'spec', 1)}: {wrong.message}"


@functools.cache
def _schema(file: str) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((_SCHEMAS / file).read_text())
    return held


def _worker_differences(pods: dict[str, Manifest]) -> Iterator[str]:
    """Yield what tells the overlays' workers apart, beside how they end."""
    comparable = []
    for pod in pods.values():
        (container,) = pod["containers"]
        env = [one for one in container["env"] if one["name"] != "BLENDROP_IDLE_SECONDS"]
        comparable.append({**pod, **container, "env": env, "restartPolicy": "", "containers": ""})
    left, right = comparable
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            yield f"the workers of {' and '.join(pods)} differ in {key}"


def _disagreements(manifests: list[Manifest], bicep: bicep_folder.BicepFolder) -> Iterator[str]:
    names = bicep.data("names")
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    container = kubernetes_rendering.worker_pod(manifests)["containers"][0]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    scaled = by_kind.get("ScaledJob") or by_kind["ScaledObject"]
    triggers = [one["metadata"] for one in scaled["spec"]["triggers"]]
    said = {
        "the namespace": (by_kind["Namespace"]["metadata"]["name"], names["kubernetesNamespace"]),
        "the service account": (
            by_kind["ServiceAccount"]["metadata"]["name"],
            names["kubernetesServiceAccount"],
        ),
        "the scaled queues": (
            [one["queueName"] for one in triggers],
            [names["batchesQueue"], names["highQueue"]],
        ),
        "the scaler's strategies": ({one["queueLengthStrategy"] for one in triggers}, {"all"}),
        "the share": (
            by_kind["PersistentVolume"]["spec"]["csi"]["volumeAttributes"]["shareName"],
            names["frameShare"],
        ),
        "the share's path": (mounts["frames"], names["frameSharePath"]),
        "the scratch's path": (mounts["scratch"], names["scratchPath"]),
        "the secret": (
            by_kind["PersistentVolume"]["spec"]["csi"]["nodeStageSecretRef"]["name"],
            names["frameShareKeySecret"],
        ),
    }
    for what, (here, there) in said.items():
        if here != there:
            yield f"{what} is {here!r}, elsewhere {there!r}"
    yield from _status_disagreements(by_kind["Service"], container, bicep)
    for endpoint in by_kind.get("PodMonitor", {}).get("spec", {}).get("podMetricsEndpoints", []):
        if endpoint["path"] != "/metrics":
            yield f"the PodMonitor asks for {endpoint['path']}, elsewhere /metrics"
    given = {one["name"] for one in container["env"]} | {"BLENDROP_BLENDERS"}
    yield from code_agreement.disagreements(given, settings.WorkerSettings)


def _identities(manifests: list[Manifest], user: str) -> Iterator[str]:
    """Yield where somebody else would act, or own the frames."""
    farm = kubernetes_rendering.FARM
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    pod = kubernetes_rendering.worker_pod(manifests)
    account = by_kind["ServiceAccount"]["metadata"]
    options = by_kind["PersistentVolume"]["spec"]["mountOptions"]
    said = {
        "the scaler's identity": (
            by_kind["TriggerAuthentication"]["spec"]["podIdentity"]["identityId"],
            farm["PLATFORM_CLIENT_ID"],
        ),
        "the workers' identity": (
            account["annotations"]["azure.workload.identity/client-id"],
            farm[f"{settings.STORAGE_CONNECTION}__clientId"],
        ),
        "the user of the pod": (str(pod["securityContext"]["runAsUser"]), user),
        "the owners of frames": (options[:2], [f"uid={user}", f"gid={user}"]),
    }
    for what, (here, there) in said.items():
        if here != there:
            yield f"{what} is {here!r}, elsewhere {there!r}"


def _status_disagreements(
    service: Manifest, container: Manifest, bicep: bicep_folder.BicepFolder
) -> Iterator[str]:
    """Yield where the worker's own HTTP port is asked otherwise than the templates do."""
    port = code_agreement.status_port(bicep)
    opened = [one["containerPort"] for one in container["ports"] if one["name"] == "status"]
    listed = [one["port"] for one in service["spec"]["ports"]]
    for what, found in (("the status port", opened), ("the port of discovery", listed)):
        if list(map(str, found)) != [port]:
            yield f"{what} is {found}, elsewhere {port}"
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = container.get(probe, {}).get("httpGet")
        if asked != {"path": path, "port": "status"}:
            yield f"the {probe} asks {asked}, elsewhere {path}"
