metadata description = 'The data account\'s system topic: made, or taken if the account has one already.'

@description('Region of the topic: that of the account.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the topic to make.')
@minLength(3)
@maxLength(128)
param topicName string

@description('Name of the topic to take instead; empty: make one. It needs a system-assigned identity.')
param existingTopicName string

@description('Name of the data account.')
param storageAccountName string

@description('Resource id of the Log Analytics workspace for diagnostics.')
param workspaceId string

var makeTopic = empty(existingTopicName)

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

// An account has at most one system topic. Only a system-assigned identity passes its firewall.
resource madeTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (makeTopic) {
  name: topicName
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: storage.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource takenTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = if (!makeTopic) {
  name: makeTopic ? topicName : existingTopicName
}

resource topicDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (makeTopic) {
  scope: madeTopic
  name: 'workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeliveryFailures'
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

output name string = makeTopic ? madeTopic.name : takenTopic.name
output principalId string = makeTopic
  ? madeTopic!.identity.principalId
  : takenTopic!.identity.principalId
