metadata description = 'When somebody is told, and of what.'

var names = loadJsonContent('../names.json')

@description('Region of the rules.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the action group.')
param actionGroupName string

@description('Who gets a mail.')
@minLength(1)
param emails string[]

@description('Resource id of the Log Analytics workspace that the rules look at.')
param workspaceId string

@description('Name of the container app or job that the workers are.')
param workerName string

@description('Resource id of the container app; empty: workers are no container app.')
param workerAppId string

var spokenLines = 'union isfuzzy=true (AppTraces | project TimeGenerated, Line = Message), (ContainerAppConsoleLogs | project TimeGenerated, Line = tostring(Log)) | extend Said = parse_json(Line)'

// Each has its section in docs/operate.md; those of Prometheus are in infra/prometheus/rules.yaml.
var logRules = [
  {
    name: 'poison-messages'
    title: 'Messages were parked'
    text: 'A message could not be read or handled and lies on a poison queue. docs/operate.md#poison-messages'
    severity: 1
    window: 'PT15M'
    query: 'StorageQueueLogs | where OperationName == "PutMessage" and StatusText == "Success" | where Uri contains "/${names.poisonQueue}/" or Uri contains "/${names.uploadsPoisonQueue}/" or Uri contains "/${names.dueJobsPoisonQueue}/"'
  }
  {
    name: 'failed-jobs'
    title: 'A job failed'
    text: 'A job ended with frames that could not be rendered; the job names each with its reason. docs/operate.md#failed-jobs'
    severity: 2
    window: 'PT15M'
    query: '${spokenLines} | where tostring(Said.event) == "job_failed"'
  }
  {
    name: 'batches-stuck'
    title: 'Batches wait and no worker takes them'
    text: 'Messages lie on the queue, and for half an hour none was taken, renewed or finished. docs/operate.md#batches-stuck'
    severity: 1
    window: 'P2D'
    query: 'StorageQueueLogs | where (Uri contains "/${names.batchesQueue}/" or Uri contains "/${names.highQueue}/") and StatusText == "Success" | summarize Put = countif(OperationName == "PutMessage"), Gone = countif(OperationName == "DeleteMessage"), LastMoved = max(TimeGenerated) | where Put > Gone and LastMoved < ago(30m)'
  }
  {
    name: 'workers-waiting'
    title: 'Workers wait for the storage or the share'
    text: 'Workers say again and again that the storage is away, or the share full or read-only. docs/operate.md#workers-waiting'
    severity: 1
    window: 'PT30M'
    query: '${spokenLines} | where tostring(Said.event) in ("waiting", "storage_unavailable") | summarize Lines = count() | where Lines > 20'
  }
  {
    name: 'workers-unfit'
    title: 'Workers leave because they cannot go on'
    text: 'Workers ended with a failure of their own and are started again. docs/operate.md#workers-unfit'
    severity: 1
    window: 'PT1H'
    query: '${spokenLines} | where tostring(Said.event) == "worker_failed" | summarize Times = count() | where Times > 2'
  }
  {
    name: 'worker-trouble'
    title: 'Workers fail to start or to stay'
    text: 'The platform warns again and again: the image cannot be pulled, the scaler fails, containers end by themselves. docs/operate.md#workers-unfit'
    severity: 2
    window: 'PT30M'
    query: 'ContainerAppSystemLogs | where Type == "Warning" | where ContainerAppName == "${workerName}" or JobName == "${workerName}" | summarize Warnings = count() by Reason | where Warnings > 10'
  }
  {
    name: 'leases-lost'
    title: 'Workers lose their batches to others'
    text: 'Leases ran out while their workers rendered; the work was done twice. docs/operate.md#leases-lost'
    severity: 2
    window: 'PT30M'
    query: '${spokenLines} | where tostring(Said.event) == "lease_lost" | summarize Times = count() | where Times > 3'
  }
  {
    name: 'farm-silent'
    title: 'The function app does nothing'
    text: 'The sweeper, which runs every minute, has not said so for half an hour. docs/operate.md#farm-silent'
    severity: 1
    window: 'PT30M'
    query: '${spokenLines} | where tostring(Said.event) == "swept" | summarize Times = count() | where Times == 0'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'blendrop'
    emailReceivers: [
      for (email, index) in emails: {
        name: 'mail-${index}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in logRules: {
    name: 'blendrop-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: rule.text
      enabled: true
      severity: rule.severity
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT15M'
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      // The tables come to be with the first line that they hold.
      skipQueryValidation: true
      actions: {
        actionGroups: [
          people.id
        ]
      }
    }
  }
]

resource restarts 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(workerAppId)) {
  name: 'blendrop-worker-restarts'
  location: 'global'
  tags: tags
  properties: {
    description: 'Workers end and are started again: out of memory, or a fault of their own. docs/operate.md#workers-unfit'
    enabled: true
    severity: 2
    scopes: [
      workerAppId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'restarts'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'RestartCount'
          operator: 'GreaterThan'
          threshold: 3
          timeAggregation: 'Maximum'
        }
      ]
    }
    autoMitigate: true
    actions: [
      {
        actionGroupId: people.id
      }
    ]
  }
}
