metadata description = 'The registry that holds the worker\'s image and builds it.'

@description('Region of the registry.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the registry: letters and digits.')
@minLength(5)
@maxLength(50)
param registryName string

@description('Tier of the registry.')
@allowed([
  'Basic'
  'Standard'
  'Premium'
])
param skuName string

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: registryName
  location: location
  tags: tags
  sku: {
    name: skuName
  }
  properties: {
    adminUserEnabled: false
    publicNetworkAccess: 'Enabled'
  }
}

resource registryDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: registry
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'ContainerRegistryRepositoryEvents'
        enabled: true
      }
      {
        category: 'ContainerRegistryLoginEvents'
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

output name string = registry.name
output loginServer string = registry.properties.loginServer
