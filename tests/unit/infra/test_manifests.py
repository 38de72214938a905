"""The Kubernetes manifests are valid, agree with the rest, and keep workers confined."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.checks import bicep_folder, code_agreement, kubernetes_rendering, manifests
from infra.checks.finding import Finding

WORKERS = "infra/kubernetes/overlays/{}/workers.yaml"
MONITOR = "infra/kubernetes/components/pod-monitor/pod-monitor.yaml"
SHARE = "infra/kubernetes/base/frame-share.yaml"
POLICIES = "infra/kubernetes/base/network-policies.yaml"
FAULTS = [
    pytest.param(
        (WORKERS.format("job"), "parallelism: 1", "paralelism: 1", "invalid-manifest"),
        id="unknown-field-of-a-job",
    ),
    pytest.param(
        (WORKERS.format("job"), "strategy: gradual", "strategy: slow", "invalid-manifest"),
        id="value-that-keda-does-not-know",
    ),
    pytest.param(
        (WORKERS.format("app"), "  cooldownPeriod: 300", "  cooldown: 300", "invalid-manifest"),
        id="unknown-field-of-keda",
    ),
    pytest.param(
        (WORKERS.format("app"), "runAsNonRoot: true", "runAsNonRoot: maybe", "invalid-manifest"),
        id="wrong-type",
    ),
    pytest.param(
        ("infra/kubernetes/base/network-policies.yaml", "endpointSelector", "podSelector",
         "invalid-manifest"),
        id="unknown-field-of-cilium",
    ),
    pytest.param(
        (WORKERS.format("app"), "queueName: render-batches", "queueName: batches", "other-name"),
        id="wrong-queue-name",
    ),
    pytest.param(
        (WORKERS.format("job"), "queueLengthStrategy: all", "queueLengthStrategy: visibleonly",
         "other-name"),
        id="strategy-that-forgets-busy-workers",
    ),
    pytest.param(
        (WORKERS.format("app"), "name: BLENDROP_SCRATCH", "name: BLENDROP_SCRACH", "other-name"),
        id="variable-that-nothing-reads",
    ),
    pytest.param(
        ("infra/kubernetes/base/frame-share.yaml", "shareName: frames", "shareName: pictures",
         "other-name"),
        id="another-share",
    ),
    pytest.param(
        (WORKERS.format("app"), "memory: 24Gi", "memory: 23Gi", "other-worker"),
        id="workers-that-differ",
    ),
    pytest.param(
        (WORKERS.format("app"), "containerPort: 8080", "containerPort: 8081", "other-name"),
        id="another-status-port",
    ),
    pytest.param(
        (WORKERS.format("job"), "path: /readyz", "path: /status", "other-name"),
        id="readiness-that-a-busy-worker-lacks",
    ),
    pytest.param(
        ("infra/kubernetes/base/kustomization.yaml", "data.PLATFORM_CLIENT_ID",
         "data.BLENDROP_STORAGE__clientId", "other-name"),
        id="scaler-that-acts-as-a-worker",
    ),
    pytest.param(
        ("infra/kubernetes/base/frame-share.yaml", "uid=10001", "uid=1000", "other-name"),
        id="share-that-the-image's-user-may-not-write-to",
    ),
    pytest.param(
        (WORKERS.format("job"), "name: queue-length", "name: queue-depth", "loose-end"),
        id="scaler-with-no-identity",
    ),
    pytest.param(
        (WORKERS.format("app"), "scaleTargetRef:\n    name: blendrop-worker",
         "scaleTargetRef:\n    name: workers", "loose-end"),
        id="scaler-of-nothing",
    ),
    pytest.param(
        (WORKERS.format("app"), "claimName: frames", "claimName: frame", "loose-end"),
        id="claim-that-is-nowhere",
    ),
    pytest.param(
        (WORKERS.format("app"), "key: BLENDROP_STORAGE__table", "key: BLENDROP_STORAGE__tables",
         "loose-end"),
        id="value-that-is-nowhere",
    ),
    pytest.param(
        ("infra/kubernetes/base/discovery.yaml", "name: blendrop-worker\n", "name: workers\n",
         "loose-end"),
        id="service-of-nobody",
    ),
    pytest.param(
        (POLICIES, "name: blendrop-worker", "name: workers", "loose-end"),
        id="network-policy-of-nobody",
    ),
    pytest.param((POLICIES, "port: status", "port: http", "loose-end"), id="port-let-through"),
    pytest.param(
        (SHARE, "    name: frames\n  csi", "    name: frame\n  csi", "loose-end"),
        id="volume-for-another-claim",
    ),
    pytest.param(
        (SHARE, "volumeName: blendrop-frames", "volumeName: frames", "loose-end"),
        id="claim-of-another-volume",
    ),
    pytest.param(
        (MONITOR, "port: status", "port: metrics", "loose-end"),
        id="port-that-prometheus-does-not-find",
    ),
    pytest.param(
        (MONITOR, "blendrop-worker\n  podMetrics", "blendrop-workers\n  podMetrics", "loose-end"),
        id="workers-that-prometheus-does-not-find",
    ),
    pytest.param(
        ("infra/kubernetes/base/kustomization.yaml", "- discovery.yaml", "- discover.yaml",
         "unrenderable"),
        id="file-that-is-nowhere",
    ),
]  # fmt: skip


def _broken(root: Path) -> list[Finding]:
    templates = bicep_folder.BicepFolder(root / "infra/bicep")
    user = code_agreement.image_user(root)
    return list(manifests.broken(root / "infra/kubernetes", templates, user=user))


@pytest.fixture(
    params=itertools.product(("app", "job"), ((), manifests.COMPONENTS)),
    ids=lambda chosen: "-".join((chosen[0], *chosen[1])),
)
def rendered(repository: Path, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Each overlay, plain and with every component."""
    overlay, components = request.param
    return kubernetes_rendering.render(repository / "infra/kubernetes", overlay, components)


def test_the_manifests_break_no_rule(repository: Path) -> None:
    """Every overlay renders, keeps to its schemas, and uses the names that the code uses."""
    assert _broken(repository) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_manifest_fault_is_found(
    copied: Path,
    plant: Callable[[str, str, str], None],
    fault: tuple[str, str, str, str],
) -> None:
    """A fault of each kind is found in what kustomize makes of it."""
    file, old, new, rule = fault
    plant(file, old, new)

    assert rule in {finding.rule for finding in _broken(copied)}


def test_the_farm_fills_every_gap(rendered: list[dict[str, Any]]) -> None:
    """What stands in the files for a value of the farm stands nowhere after rendering."""
    text = yaml.safe_dump_all(rendered)

    assert "from-farm-env" not in text
    assert "account.queue" not in text
    assert kubernetes_rendering.FARM["WORKER_IMAGE"] in text


def test_a_worker_keeps_to_the_restricted_level(rendered: list[dict[str, Any]]) -> None:
    """Pods meet Kubernetes' Pod Security Standard "restricted", which the namespace enforces."""
    pod = kubernetes_rendering.worker_pod(rendered)
    (container,) = pod["containers"]
    (namespace,) = (one for one in rendered if one["kind"] == "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all("hostPort" not in port for port in container["ports"])
    allowed = {"persistentVolumeClaim", "emptyDir", "configMap", "secret", "projected"}
    assert all(volume.keys() - {"name"} <= allowed for volume in pod["volumes"])


def test_a_worker_holds_no_secret(rendered: list[dict[str, Any]]) -> None:
    """The share's key stays with the node: no pod mounts or reads a Secret."""
    assert "secretKeyRef" not in yaml.safe_dump(kubernetes_rendering.worker_pod(rendered))
    assert not [one for one in rendered if one["kind"] == "Secret"]


def test_network_policies_let_a_worker_reach_storage_alone(
    rendered: list[dict[str, Any]],
) -> None:
    """All is denied, and then names are looked up and the storage services and tokens reached.

    And the collector, where there is one, on its port.
    """
    by_name = {one["metadata"]["name"]: one["spec"] for one in rendered if "Policy" in one["kind"]}
    names = [
        name["matchName"]
        for rule in by_name["worker-storage"]["egress"]
        for name in rule.get("toFQDNs", [])
    ]

    assert by_name["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    telemetry = by_name.get("worker-telemetry", {}).get("egress", [])
    assert {one for one in by_name if "egress" in by_name[one]} - {"worker-telemetry"} == {
        "worker-storage"
    }
    assert [one["port"] for rule in telemetry for one in rule["ports"]] in ([], [4318])
    assert names == [
        "stdatafarm.blob.core.windows.net",
        "stdatafarm.queue.core.windows.net",
        "stdatafarm.table.core.windows.net",
        "login.microsoftonline.com",
    ]


def test_the_cluster_trusts_the_accounts_that_the_manifests_use(repository: Path) -> None:
    """Nodes are labelled and tainted as the pods ask for, on spot machines too."""
    pod = kubernetes_rendering.worker_pod(
        kubernetes_rendering.render(repository / "infra/kubernetes", "job", ("spot",))
    )
    cluster = (repository / "infra/bicep/modules/aks.bicep").read_text()
    taints = set(re.findall(r"'([\w./]+)=(\w+):NoSchedule'", cluster)) - {
        ("CriticalAddonsOnly", "true")
    }

    assert {(one["key"], one["value"]) for one in pod["tolerations"]} == taints
    assert "'blendrop.dev/workers': 'true'" in cluster
    assert pod["nodeSelector"]["blendrop.dev/workers"] == "true"
