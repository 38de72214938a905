metadata description = 'The files account, with nothing but the frame share, and the vault that keeps its key and what webhooks are signed with.'

var names = loadJsonContent('../names.json')

@description('Region of the account.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param accountName string

@description('Name of the key vault.')
@minLength(3)
@maxLength(24)
param vaultName string

@description('Redundancy of the account.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param skuName string

@description('The most that the frame share may hold, in GiB.')
@minValue(1)
@maxValue(102400)
param frameShareGib int

@description('Access tier of the frame share.')
@allowed([
  'TransactionOptimized'
  'Hot'
  'Cool'
])
param frameShareTier string

@description('The secret that calls of webhooks are signed with; empty: the one in the vault stays.')
@secure()
param webhookSecret string

@description('Shut out every network but private endpoints, the allowed addresses and trusted Azure services.')
param restrictNetwork bool

@description('Public IPv4 addresses or ranges (no smaller than /30) that may reach a restricted account.')
param allowedIpRanges string[]

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

// Mounting over SMB needs an account key: these accounts are two so that it opens nothing but frames.
resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: accountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: true
    defaultToOAuthAuthentication: true
    largeFileSharesState: 'Enabled'
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: restrictNetwork ? 'Deny' : 'Allow'
      ipRules: [
        for addresses in allowedIpRanges: {
          action: 'Allow'
          value: addresses
        }
      ]
    }
  }
}

resource fileService 'Microsoft.Storage/storageAccounts/fileServices@2025-06-01' = {
  parent: storage
  name: 'default'
  properties: {
    shareDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource frames 'Microsoft.Storage/storageAccounts/fileServices/shares@2025-06-01' = {
  parent: fileService
  name: names.frameShare
  properties: {
    accessTier: frameShareTier
    enabledProtocols: 'SMB'
    shareQuota: frameShareGib
  }
}

resource fileDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: fileService
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: vaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: restrictNetwork ? 'Deny' : 'Allow'
      ipRules: [
        for addresses in allowedIpRanges: {
          value: addresses
        }
      ]
    }
  }
}

resource frameShareKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: names.frameShareKeySecret
  properties: {
    contentType: 'Access key of ${storage.name}'
    value: storage.listKeys().keys[0].value
  }
}

resource webhooksSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (!empty(webhookSecret)) {
  parent: vault
  name: names.webhooksSecret
  properties: {
    contentType: 'Signs what webhooks are told'
    value: webhookSecret
  }
}

resource vaultDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
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

output id string = storage.id
output name string = storage.name
output shareName string = frames.name
output vaultId string = vault.id
output vaultName string = vault.name
// Without a version: whoever reads them follows a rotation.
output frameShareKeyUri string = '${vault.properties.vaultUri}secrets/${frameShareKey.name}'
output webhookSecretUri string = '${vault.properties.vaultUri}secrets/${names.webhooksSecret}'
