metadata description = 'Who may do what: every role assignment of the farm, each on the narrowest resource.'

var names = loadJsonContent('../names.json')
var roles = loadJsonContent('../roles.json')

@description('Name of the data account.')
param dataStorageName string

@description('Name of the files account.')
param filesStorageName string

@description('Name of the key vault.')
param vaultName string

@description('Name of the registry.')
param registryName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Principal of the functions.')
param functionsPrincipalId string

@description('Principal of the workers.')
param workerPrincipalId string

@description('Principal that pulls images, looks at the queue and mounts the share.')
param platformPrincipalId string

@description('Principal of the data account\'s system topic.')
param topicPrincipalId string

@description('Let the functions read the secret that calls of webhooks are signed with.')
param webhooks bool

@description('The person or group that uploads scenes and looks after the farm; empty: nobody.')
param operatorPrincipalId string

@description('What kind of principal the operator is.')
@allowed([
  'Group'
  'ServicePrincipal'
  'User'
])
param operatorPrincipalType string

resource dataStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: dataStorageName

  resource blobService 'blobServices' existing = {
    name: 'default'

    resource scenes 'containers' existing = {
      name: names.scenesContainer
    }

    resource deadLetters 'containers' existing = {
      name: names.deadLettersContainer
    }
  }

  resource queueService 'queueServices' existing = {
    name: 'default'

    resource uploads 'queues' existing = {
      name: names.uploadsQueue
    }

    resource uploadsPoison 'queues' existing = {
      name: names.uploadsPoisonQueue
    }

    resource batches 'queues' existing = {
      name: names.batchesQueue
    }

    resource high 'queues' existing = {
      name: names.highQueue
    }

    resource poison 'queues' existing = {
      name: names.poisonQueue
    }

    resource dueJobs 'queues' existing = {
      name: names.dueJobsQueue
    }

    resource dueJobsPoison 'queues' existing = {
      name: names.dueJobsPoisonQueue
    }
  }

  resource tableService 'tableServices' existing = {
    name: 'default'

    resource jobs 'tables' existing = {
      name: names.jobsTable
    }

    resource rateLimits 'tables' existing = {
      name: names.rateLimitsTable
    }

    resource workers 'tables' existing = {
      name: names.workersTable
    }
  }
}

resource filesStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: filesStorageName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName

  resource frameShareKey 'secrets' existing = {
    name: names.frameShareKeySecret
  }

  resource webhooksSecret 'secrets' existing = {
    name: names.webhooksSecret
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: registryName
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// The host keeps locks, keys and packages in containers that it makes itself.
resource functionsBlobData 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage
  name: guid(dataStorage.id, functionsPrincipalId, roles.blobDataOwner)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataOwner)
  }
}

resource functionsUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::uploads
  name: guid(dataStorage::queueService::uploads.id, functionsPrincipalId, roles.queueDataContributor)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
  }
}

resource functionsDueJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::dueJobs
  name: guid(dataStorage::queueService::dueJobs.id, functionsPrincipalId, roles.queueDataContributor)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
  }
}

// The host parks here what it could not hand over.
resource functionsUploadsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::uploadsPoison
  name: guid(dataStorage::queueService::uploadsPoison.id, functionsPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource functionsDueJobsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::dueJobsPoison
  name: guid(dataStorage::queueService::dueJobsPoison.id, functionsPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource functionsBatchesSend 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::batches
  name: guid(dataStorage::queueService::batches.id, functionsPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource functionsHighSend 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::high
  name: guid(dataStorage::queueService::high.id, functionsPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource functionsBatchesLength 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::batches
  name: guid(dataStorage::queueService::batches.id, functionsPrincipalId, roles.queueDataReader)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource functionsHighLength 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::high
  name: guid(dataStorage::queueService::high.id, functionsPrincipalId, roles.queueDataReader)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource functionsJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::tableService::jobs
  name: guid(dataStorage::tableService::jobs.id, functionsPrincipalId, roles.tableDataContributor)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource functionsRateLimits 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::tableService::rateLimits
  name: guid(dataStorage::tableService::rateLimits.id, functionsPrincipalId, roles.tableDataContributor)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource functionsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::poison
  name: guid(dataStorage::queueService::poison.id, functionsPrincipalId, roles.queueDataReader)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

// How much lies where the host parks.
resource functionsUploadsPoisonLength 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::uploadsPoison
  name: guid(dataStorage::queueService::uploadsPoison.id, functionsPrincipalId, roles.queueDataReader)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource functionsDueJobsPoisonLength 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::dueJobsPoison
  name: guid(dataStorage::queueService::dueJobsPoison.id, functionsPrincipalId, roles.queueDataReader)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource functionsWorkers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::tableService::workers
  name: guid(dataStorage::tableService::workers.id, functionsPrincipalId, roles.tableDataContributor)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource functionsFrameShareKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault::frameShareKey
  name: guid(vault::frameShareKey.id, functionsPrincipalId, roles.keyVaultSecretsUser)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource functionsWebhooksSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (webhooks) {
  scope: vault::webhooksSecret
  name: guid(vault::webhooksSecret.id, functionsPrincipalId, roles.keyVaultSecretsUser)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource functionsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, functionsPrincipalId, roles.monitoringMetricsPublisher)
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
  }
}

resource workerTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: applicationInsights
  name: guid(applicationInsights.id, workerPrincipalId, roles.monitoringMetricsPublisher)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
  }
}

resource workerScenes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobService::scenes
  name: guid(dataStorage::blobService::scenes.id, workerPrincipalId, roles.blobDataReader)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataReader)
  }
}

// Renewing a lease updates the message, which the Message Processor role cannot.
resource workerBatches 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::batches
  name: guid(dataStorage::queueService::batches.id, workerPrincipalId, roles.queueDataContributor)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
  }
}

resource workerHigh 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::high
  name: guid(dataStorage::queueService::high.id, workerPrincipalId, roles.queueDataContributor)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataContributor)
  }
}

resource workerPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::poison
  name: guid(dataStorage::queueService::poison.id, workerPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource workerDueJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::dueJobs
  name: guid(dataStorage::queueService::dueJobs.id, workerPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource workerJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::tableService::jobs
  name: guid(dataStorage::tableService::jobs.id, workerPrincipalId, roles.tableDataContributor)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource workerWorkers 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::tableService::workers
  name: guid(dataStorage::tableService::workers.id, workerPrincipalId, roles.tableDataContributor)
  properties: {
    principalId: workerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataContributor)
  }
}

resource platformImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, platformPrincipalId, roles.acrPull)
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
  }
}

// KEDA asks for the queue's length.
resource platformBatches 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::batches
  name: guid(dataStorage::queueService::batches.id, platformPrincipalId, roles.queueDataReader)
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource platformHigh 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::high
  name: guid(dataStorage::queueService::high.id, platformPrincipalId, roles.queueDataReader)
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource platformFrameShareKey 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault::frameShareKey
  name: guid(vault::frameShareKey.id, platformPrincipalId, roles.keyVaultSecretsUser)
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource topicUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::queueService::uploads
  name: guid(dataStorage::queueService::uploads.id, topicPrincipalId, roles.queueDataMessageSender)
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataMessageSender)
  }
}

resource topicDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: dataStorage::blobService::deadLetters
  name: guid(dataStorage::blobService::deadLetters.id, topicPrincipalId, roles.blobDataContributor)
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

resource operatorScenes 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataStorage::blobService::scenes
  name: guid(dataStorage::blobService::scenes.id, operatorPrincipalId, roles.blobDataContributor)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
  }
}

// What Event Grid could not deliver, and why.
resource operatorDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataStorage::blobService::deadLetters
  name: guid(dataStorage::blobService::deadLetters.id, operatorPrincipalId, roles.blobDataReader)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataReader)
  }
}

resource operatorQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataStorage
  name: guid(dataStorage.id, operatorPrincipalId, roles.queueDataReader)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueDataReader)
  }
}

resource operatorTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: dataStorage
  name: guid(dataStorage.id, operatorPrincipalId, roles.tableDataReader)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableDataReader)
  }
}

resource operatorFrames 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  scope: filesStorage
  name: guid(filesStorage.id, operatorPrincipalId, roles.fileDataPrivilegedReader)
  properties: {
    principalId: operatorPrincipalId
    principalType: operatorPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.fileDataPrivilegedReader)
  }
}
