metadata description = 'The function app on Flex Consumption, with the frame share as a folder and no secret in its settings.'

var names = loadJsonContent('../names.json')

@description('Region of the app.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param appName string

@description('Name of its plan; a Flex Consumption plan holds one app.')
param planName string

@description('Resource id of the identity that the app acts as.')
param identityId string

@description('Client id of the identity that the app acts as.')
param identityClientId string

@description('Address of the data account\'s blob service, with a slash at its end.')
param blobEndpoint string

@description('Address of the data account\'s queue service.')
param queueEndpoint string

@description('Address of the data account\'s table service.')
param tableEndpoint string

@description('Name of the files account.')
param filesStorageName string

@description('Where the vault keeps the key of the files account.')
param frameShareKeyUri string

@description('Where the vault keeps the secret that calls of webhooks are signed with; empty: jobs may name no webhook.')
param webhookSecretUri string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('The newest Blender that the workers have, like 5.0.')
param newestBlender string

@description('The farm\'s own prices, a JSON object as docs/cost.md says; empty: the listed ones.')
param prices string

@description('The share of traces that is kept, like 0.25.')
param traceShare string

@description('The most frames of a batch, where the job gives no size.')
@minValue(1)
@maxValue(500)
param batchSize int

@description('The most workers at a time: batches are cut for them.')
param maxWorkers int

@description('Which Entra ID access tokens are meant for this farm, separated by commas; empty: callers need a function key.')
param entraAudience string

@description('The most instances that the app may grow to.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int

@description('Memory of one instance, in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMb int

@description('Resource id of the subnet that the app reaches out through; empty: the public network.')
param subnetId string

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: appName
  location: location
  tags: union(tags, {
    'azd-service-name': 'functions'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${names.packagesContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.11'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMb
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
    }
  }

  resource noFtpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }

  resource noScmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsights.properties.ConnectionString
      AzureWebJobsStorage__blobServiceUri: blobEndpoint
      AzureWebJobsStorage__clientId: identityClientId
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__queueServiceUri: queueEndpoint
      AzureWebJobsStorage__tableServiceUri: tableEndpoint
      BLENDROP_AUTH: empty(entraAudience) ? 'function-key' : 'entra'
      BLENDROP_BATCH_SIZE: string(batchSize)
      BLENDROP_ENTRA_AUDIENCE: entraAudience
      BLENDROP_ENTRA_AUTHORITY: environment().authentication.loginEndpoint
      BLENDROP_ENTRA_TENANT: tenant().tenantId
      BLENDROP_FRAME_SHARE: names.frameSharePath
      BLENDROP_LOG_FORMAT: 'json'
      BLENDROP_MOST_WORKERS: string(maxWorkers)
      BLENDROP_NEWEST_BLENDER: newestBlender
      BLENDROP_PRICES: prices
      BLENDROP_STORAGE__blobServiceUri: blobEndpoint
      BLENDROP_STORAGE__clientId: identityClientId
      BLENDROP_STORAGE__credential: 'managedidentity'
      BLENDROP_STORAGE__queueServiceUri: queueEndpoint
      BLENDROP_STORAGE__tableServiceUri: tableEndpoint
      BLENDROP_TRACE_SHARE: traceShare
      BLENDROP_TRUSTED_PROXIES: '1' // Azure's front end
      BLENDROP_UPLOADS_DOOR: 'event-grid'
      BLENDROP_WEBHOOK_SECRET: empty(webhookSecretUri) ? '' : '@Microsoft.KeyVault(SecretUri=${webhookSecretUri})'
      FRAME_SHARE_KEY: '@Microsoft.KeyVault(SecretUri=${frameShareKeyUri})'
    }
  }

  resource mounts 'config' = {
    name: 'azurestorageaccounts'
    properties: {
      frames: {
        type: 'AzureFiles'
        accountName: filesStorageName
        shareName: names.frameShare
        mountPath: names.frameSharePath
        accessKey: '@AppSettingRef(FRAME_SHARE_KEY)'
      }
    }
    dependsOn: [
      settings
    ]
  }
}

resource appDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
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

output name string = app.name
output address string = 'https://${app.properties.defaultHostName}'
