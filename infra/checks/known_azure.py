"""Which API versions and roles may the templates use?

Each version was seen in the public type definitions of Bicep, and each role in Azure's list of
built-in roles; a new one is looked up there before it is added here.
"""

# By resource type, or by the start of it: the longest that fits counts.
API_VERSIONS = {
    "Microsoft.App/": "2025-07-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.Consumption/budgets": "2024-08-01",
    "Microsoft.ContainerRegistry/registries": "2025-04-01",
    "Microsoft.ContainerService/managedClusters": "2025-10-01",
    "Microsoft.EventGrid/systemTopics": "2025-02-15",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",  # there is no other
    "Microsoft.Insights/metricAlerts": "2018-03-01",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.Insights/workbooks": "2023-06-01",
    "Microsoft.KeyVault/vaults": "2024-11-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2025-05-01",
    "Microsoft.Network/virtualNetworks": "2025-05-01",
    "Microsoft.OperationalInsights/workspaces": "2025-07-01",
    "Microsoft.Resources/resourceGroups": "2024-11-01",
    "Microsoft.Storage/storageAccounts": "2025-06-01",
    "Microsoft.Web/serverfarms": "2024-11-01",
    "Microsoft.Web/sites": "2024-11-01",
}

ROLE_IDS = {
    "acrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "aksRbacClusterAdmin": "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
    "blobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "blobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "fileDataPrivilegedReader": "b8eda974-7b85-4f76-af95-65846b26df6d",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "networkContributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
    "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "queueDataMessageSender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "queueDataReader": "19e7f393-937e-4f77-808e-94535e297925",
    "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "tableDataReader": "76199698-9eea-4c19-bc75-cec21354c6b6",
}

# Functions of Bicep that the templates call.
FUNCTIONS = frozenset(
    {
        "cidrSubnet",
        "concat",
        "deployer",
        "empty",
        "environment",
        "guid",
        "loadJsonContent",
        "loadTextContent",
        "padLeft",
        "replace",
        "resourceGroup",
        "string",
        "subscription",
        "subscriptionResourceId",
        "tenant",
        "toLower",
        "union",
        "uniqueString",
        "utcNow",
    }
)

DECORATORS = frozenset(
    {
        "allowed",
        "batchSize",
        "description",
        "maxLength",
        "maxValue",
        "metadata",
        "minLength",
        "minValue",
        "secure",
    }
)


def api_version(resource_type: str) -> str | None:
    """Return the version that a resource type is used in; None if there is none yet."""
    fitting = [start for start in API_VERSIONS if resource_type.startswith(start)]
    return API_VERSIONS[max(fitting, key=len)] if fitting else None
