metadata description = 'Where workers run: the Container Apps environment, its hardware and the frame share.'

var names = loadJsonContent('../names.json')

@description('A kind of hardware beside the Consumption one that every environment has.')
type workloadProfile = {
  @description('Name that workers ask for it by.')
  name: string

  @description('Name that Azure calls it by, like D16 or Consumption-GPU-NC8as-T4.')
  workloadProfileType: string

  @description('Machines kept ready; only for dedicated hardware.')
  minimumCount: int?

  @description('The most machines; only for dedicated hardware.')
  maximumCount: int?
}

@description('Region of the environment.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the environment.')
@minLength(2)
@maxLength(60)
param environmentName string

@description('Hardware beside the Consumption profile.')
param extraProfiles workloadProfile[]

@description('Resource id of the identity that reads the share\'s key.')
param platformIdentityId string

@description('Name of the files account.')
param filesStorageName string

@description('Where the vault keeps the key of the files account.')
param frameShareKeyUri string

@description('Resource id of the subnet that workers live in; empty: a network of Azure\'s own.')
param subnetId string

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

var consumptionProfile = {
  name: 'Consumption'
  workloadProfileType: 'Consumption'
}

resource workerEnvironment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: environmentName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${platformIdentityId}': {}
    }
  }
  properties: {
    // By diagnostic settings, so that no workspace key is handed over.
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    vnetConfiguration: empty(subnetId)
      ? null
      : {
          infrastructureSubnetId: subnetId
        }
    workloadProfiles: concat(
      [
        consumptionProfile
      ],
      extraProfiles
    )
    zoneRedundant: false
  }

  resource frames 'storages' = {
    name: names.frameShare
    properties: {
      azureFile: {
        accessMode: 'ReadWrite'
        accountKeyVaultProperties: {
          identity: platformIdentityId
          keyVaultUrl: frameShareKeyUri
        }
        accountName: filesStorageName
        shareName: names.frameShare
      }
    }
  }
}

resource environmentDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workerEnvironment
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'ContainerAppConsoleLogs'
        enabled: true
      }
      {
        category: 'ContainerAppSystemLogs'
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

output id string = workerEnvironment.id
output storageName string = workerEnvironment::frames.name
