metadata description = 'The cluster that runs the same workers: KEDA, workload identity, and nodes from none.'

var names = loadJsonContent('../names.json')
var roles = loadJsonContent('../roles.json')

@description('Region of the cluster.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the cluster.')
@minLength(1)
@maxLength(63)
param clusterName string

@description('Name of the identity that the cluster itself acts as.')
param clusterIdentityName string

@description('Kubernetes version, like 1.34; empty: what Azure holds for the default.')
param kubernetesVersion string

@description('Machines that workers run on.')
param nodeSize string

@description('The most machines that workers run on.')
@minValue(1)
@maxValue(1000)
param maxNodes int

@description('Run workers on spare machines that Azure may take back at any time, for far less.')
param useSpot bool

@description('Name of the virtual network that nodes live in; empty: a network of the cluster\'s own.')
param networkName string

@description('Name of the subnet that nodes live in.')
param subnetName string

@description('Name of the identity that workers act as.')
param workerIdentityName string

@description('Name of the identity that looks at the queue.')
param platformIdentityName string

@description('Name of the registry that holds the image.')
param registryName string

@description('The person or group that runs kubectl; empty: nobody.')
param operatorPrincipalId string

@description('What kind of principal the operator is.')
@allowed([
  'Group'
  'ServicePrincipal'
  'User'
])
param operatorPrincipalType string

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

var hasNetwork = !empty(networkName)

var spot = {
  scaleSetPriority: 'Spot'
  scaleSetEvictionPolicy: 'Delete'
  // Never evicted for its price, only for its place.
  spotMaxPrice: -1
  nodeTaints: [
    'kubernetes.azure.com/scalesetpriority=spot:NoSchedule'
    'blendrop.dev/workers=true:NoSchedule'
  ]
}

var regular = {
  scaleSetPriority: 'Regular'
  nodeTaints: [
    'blendrop.dev/workers=true:NoSchedule'
  ]
}

var subnetProperties = hasNetwork
  ? {
      vnetSubnetID: network::nodes.id
    }
  : {}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' existing = if (hasNetwork) {
  name: hasNetwork ? networkName : 'none'

  resource nodes 'subnets' existing = {
    name: hasNetwork ? subnetName : 'none'
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
}

resource workerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: workerIdentityName
}

resource platformIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: platformIdentityName
}

resource clusterIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: clusterIdentityName
  location: location
  tags: tags
}

// The cluster joins its machines to the subnet.
resource clusterNetwork 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasNetwork) {
  scope: network::nodes
  name: guid(network::nodes.id, clusterIdentity.id, roles.networkContributor)
  properties: {
    principalId: clusterIdentity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.networkContributor)
  }
}

resource cluster 'Microsoft.ContainerService/managedClusters@2025-10-01' = {
  name: clusterName
  location: location
  tags: tags
  sku: {
    name: 'Base'
    tier: 'Standard'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${clusterIdentity.id}': {}
    }
  }
  properties: {
    dnsPrefix: clusterName
    kubernetesVersion: empty(kubernetesVersion) ? null : kubernetesVersion
    enableRBAC: true
    disableLocalAccounts: true
    aadProfile: {
      managed: true
      enableAzureRBAC: true
    }
    agentPoolProfiles: [
      union(
        {
          name: 'system'
          mode: 'System'
          osType: 'Linux'
          osSKU: 'AzureLinux'
          vmSize: 'Standard_D2s_v5'
          enableAutoScaling: true
          count: 1
          minCount: 1
          maxCount: 3
          nodeTaints: [
            'CriticalAddonsOnly=true:NoSchedule'
          ]
        },
        subnetProperties
      )
      union(
        {
          name: 'workers'
          mode: 'User'
          osType: 'Linux'
          osSKU: 'AzureLinux'
          vmSize: nodeSize
          enableAutoScaling: true
          count: 0
          minCount: 0
          maxCount: maxNodes
          nodeLabels: {
            'blendrop.dev/workers': 'true'
          }
        },
        subnetProperties,
        useSpot ? spot : regular
      )
    ]
    autoScalerProfile: {
      'scale-down-unneeded-time': '5m'
      'skip-nodes-with-local-storage': 'false'
    }
    autoUpgradeProfile: {
      nodeOSUpgradeChannel: 'NodeImage'
      upgradeChannel: 'patch'
    }
    networkProfile: {
      networkDataplane: 'cilium'
      networkPlugin: 'azure'
      networkPluginMode: 'overlay'
      networkPolicy: 'cilium'
      loadBalancerSku: 'standard'
      outboundType: 'loadBalancer'
      // Policies by host name: workers reach the storage services and nothing else.
      advancedNetworking: {
        enabled: true
        observability: {
          enabled: false
        }
        security: {
          enabled: true
          advancedNetworkPolicies: 'FQDN'
        }
      }
    }
    oidcIssuerProfile: {
      enabled: true
    }
    securityProfile: {
      workloadIdentity: {
        enabled: true
      }
    }
    storageProfile: {
      fileCSIDriver: {
        enabled: true
      }
    }
    workloadAutoScalerProfile: {
      keda: {
        enabled: true
      }
    }
  }
  dependsOn: [
    clusterNetwork
  ]
}

resource workerFederation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: workerIdentity
  name: 'kubernetes-worker'
  properties: {
    audiences: [
      'api://AzureADTokenExchange'
    ]
    issuer: cluster.properties.oidcIssuerProfile.issuerURL
    subject: 'system:serviceaccount:${names.kubernetesNamespace}:${names.kubernetesServiceAccount}'
  }
}

resource scalerFederation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: platformIdentity
  name: 'kubernetes-keda'
  properties: {
    audiences: [
      'api://AzureADTokenExchange'
    ]
    issuer: cluster.properties.oidcIssuerProfile.issuerURL
    subject: 'system:serviceaccount:kube-system:keda-operator'
  }
}

resource nodesImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, cluster.id, roles.acrPull)
  properties: {
    principalId: cluster.properties.identityProfile.kubeletidentity.objectId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
  }
}

resource operatorCluster 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: cluster
  name: guid(cluster.id, operatorPrincipalId, roles.aksRbacClusterAdmin)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.aksRbacClusterAdmin)
  }
}

resource clusterDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: cluster
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'cluster-autoscaler'
        enabled: true
      }
      {
        category: 'kube-audit-admin'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output clusterName string = cluster.name
