metadata description = 'Private endpoints of the storage accounts and the vault, and the names that lead to them.'

@description('Region of the endpoints.')
param location string

@description('Tags of every resource.')
param tags object

@description('Start of each endpoint\'s name.')
param namePrefix string

@description('Resource id of the virtual network that resolves the names.')
param networkId string

@description('Resource id of the subnet that holds the endpoints.')
param subnetId string

@description('Resource id of the data account.')
param dataStorageId string

@description('Resource id of the files account.')
param filesStorageId string

@description('Resource id of the key vault.')
param vaultId string

var endpointsToMake = [
  {
    name: 'blob'
    targetId: dataStorageId
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    name: 'queue'
    targetId: dataStorageId
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    name: 'table'
    targetId: dataStorageId
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    name: 'file'
    targetId: filesStorageId
    zone: 'privatelink.file.${environment().suffixes.storage}'
  }
  {
    name: 'vault'
    targetId: vaultId
    zone: 'privatelink.vaultcore.azure.net'
  }
]

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in endpointsToMake: {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, index) in endpointsToMake: {
    parent: zones[index]
    name: 'farm'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
]

// One at a time: an account takes one change of its endpoints at a time.
@batchSize(1)
resource endpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpointsToMake: {
    name: '${namePrefix}${endpoint.name}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            groupIds: [
              endpoint.name
            ]
            privateLinkServiceId: endpoint.targetId
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, index) in endpointsToMake: {
    parent: endpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.name
          properties: {
            privateDnsZoneId: zones[index].id
          }
        }
      ]
    }
  }
]
