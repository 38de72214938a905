"""Does each rendered manifest find the other that it names, and the workers that it selects?

Kubernetes takes a name that leads nowhere without a word: nothing is scaled, mounted or let in.
"""

from collections.abc import Iterator

from infra.checks import kubernetes_rendering
from infra.checks.kubernetes_rendering import Manifest

# Where a manifest says which pods it is about.
_SELECTORS = {
    "CiliumNetworkPolicy": "endpointSelector",
    "NetworkPolicy": "podSelector",
    "PodDisruptionBudget": "selector",
    "PodMonitor": "selector",
}


def broken(manifests: list[Manifest]) -> Iterator[str]:
    """Yield every name that leads nowhere."""
    by_kind: dict[str, dict[str, Manifest]] = {}
    for manifest in manifests:
        by_kind.setdefault(manifest["kind"], {})[manifest["metadata"]["name"]] = manifest
    pod = kubernetes_rendering.worker_pod(manifests)
    labels = kubernetes_rendering.worker_labels(manifests)
    (container,) = pod["containers"]
    ports = {one["name"] for one in container["ports"]}
    for where, kind, name in (*_named_by_pod(pod, container), *_named_by_scaler(by_kind)):
        if name not in by_kind.get(kind, {}):
            yield f"{where} names the {kind} {name}, and there is none"
    yield from _unknown_keys(container, by_kind["ConfigMap"])
    yield from _volume(by_kind)
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        for selected in _selectors(manifest["kind"], manifest.get("spec", {})):
            if not selected.items() <= labels.items():
                yield f"{name} selects {selected}, and workers are {labels}"
        for port in _ports(manifest["kind"], manifest.get("spec", {})):
            if port not in ports:
                yield f"{name} is about the port {port}, and workers have {sorted(ports)}"


def _named_by_pod(pod: Manifest, container: Manifest) -> Iterator[tuple[str, str, str]]:
    yield "the worker", "ServiceAccount", pod["serviceAccountName"]
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            name = volume["persistentVolumeClaim"]["claimName"]
            yield "the worker", "PersistentVolumeClaim", name
    for variable in container["env"]:
        if reference := variable.get("valueFrom", {}).get("configMapKeyRef"):
            yield variable["name"], "ConfigMap", reference["name"]


def _named_by_scaler(by_kind: dict[str, dict[str, Manifest]]) -> Iterator[tuple[str, str, str]]:
    for kind in ("ScaledJob", "ScaledObject"):
        for name, scaler in by_kind.get(kind, {}).items():
            for trigger in scaler["spec"]["triggers"]:
                yield name, "TriggerAuthentication", trigger["authenticationRef"]["name"]
            if "scaleTargetRef" in scaler["spec"]:
                yield name, "Deployment", scaler["spec"]["scaleTargetRef"]["name"]


def _unknown_keys(container: Manifest, maps: dict[str, Manifest]) -> Iterator[str]:
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("configMapKeyRef")
        if reference and reference["key"] not in maps.get(reference["name"], {}).get("data", {}):
            yield f"{variable['name']} reads {reference['key']}, which farm.env has not"


def _volume(by_kind: dict[str, dict[str, Manifest]]) -> Iterator[str]:
    """Yield where the share's volume and the claim to it name others than each other."""
    ((name, volume),) = by_kind["PersistentVolume"].items()
    ((claim, asks),) = by_kind["PersistentVolumeClaim"].items()
    held_for = (volume["spec"]["claimRef"]["namespace"], volume["spec"]["claimRef"]["name"])
    if held_for != (asks["metadata"]["namespace"], claim):
        yield f"the volume {name} is held for {'/'.join(held_for)}, and the claim is {claim}"
    if asks["spec"]["volumeName"] != name:
        yield f"the claim {claim} asks for {asks['spec']['volumeName']}, and the volume is {name}"


def _selectors(kind: str, spec: Manifest) -> Iterator[dict[str, str]]:
    """Yield which pods a manifest is about, where it is about some and not all."""
    if kind == "Service":
        yield spec["selector"]
    elif kind in _SELECTORS:
        selected = spec.get(_SELECTORS[kind], {}).get("matchLabels")
        if selected:
            yield selected


def _ports(kind: str, spec: Manifest) -> Iterator[str]:
    if kind == "Service":
        yield from (str(port["targetPort"]) for port in spec["ports"])
    if kind == "NetworkPolicy":
        for rule in spec.get("ingress", []):
            yield from (str(port["port"]) for port in rule["ports"])
    if kind == "PodMonitor":
        yield from (str(endpoint["port"]) for endpoint in spec["podMetricsEndpoints"])
