metadata description = 'The workers: a container app scaled by the queue\'s length, or a job started by it.'

var names = loadJsonContent('../names.json')

@description('The hardware that one worker gets.')
type workerSize = {
  @description('Name of the workload profile that holds it.')
  profile: string

  @description('vCPUs.')
  cpu: int

  @description('Memory in GiB.')
  memoryGib: int

  @description('How much of its disk it keeps scenes in, in GiB.')
  sceneCacheGib: int

  @description('What Cycles renders on: CPU, or the graphics card by CUDA.')
  cyclesDevice: 'CPU' | 'CUDA'

  @description('What one costs in an hour, in US dollars; empty: it is billed by what it consists of.')
  hourPrice: string
}

@description('Region of the workers.')
param location string

@description('Tags of every resource.')
param tags object

@description('app: replicas that come and go with the queue. job: executions that Azure never ends while they render.')
@allowed([
  'app'
  'job'
])
param mode string

@description('Name of the app or job.')
@minLength(2)
@maxLength(32)
param workerName string

@description('The image to run.')
param image string

@description('Address of the registry that holds the image.')
param registryServer string

@description('The hardware that one worker gets.')
param size workerSize

@description('The farm\'s own prices, a JSON object as docs/cost.md says; empty: the listed ones.')
param prices string

@description('The share of traces that is kept, like 0.25.')
param traceShare string

@description('The most workers at a time.')
@minValue(1)
@maxValue(1000)
param maxWorkers int

@description('Resource id of the environment that workers run in.')
param environmentId string

@description('Name by which the environment knows the frame share.')
param frameStorageName string

@description('Resource id of the identity that workers act as.')
param workerIdentityId string

@description('Client id of the identity that workers act as.')
param workerIdentityClientId string

@description('Resource id of the identity that pulls the image and looks at the queue.')
param platformIdentityId string

@description('Name of the data account.')
param dataStorageName string

@description('Address of the data account\'s blob service.')
param blobEndpoint string

@description('Address of the data account\'s queue service.')
param queueEndpoint string

@description('Address of the data account\'s table service.')
param tableEndpoint string

@description('Name of the Application Insights component that spans and metrics go to.')
param applicationInsightsName string

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

var isJob = mode == 'job'

// What the worker itself needs beside Blender.
var ownMemoryMib = 768

var identity = {
  type: 'UserAssigned'
  userAssignedIdentities: {
    '${platformIdentityId}': {}
    '${workerIdentityId}': {}
  }
}

var identitySettings = [
  {
    identity: workerIdentityId
    lifecycle: 'Main'
  }
  {
    identity: platformIdentityId
    lifecycle: 'None'
  }
]

var registries = [
  {
    server: registryServer
    identity: platformIdentityId
  }
]

// `all` counts messages that a worker holds, so that work in progress keeps its worker.
var queueMetadata = {
  accountName: dataStorageName
  queueLength: '1'
  queueLengthStrategy: 'all'
  queueName: names.batchesQueue
}

var highQueueMetadata = union(queueMetadata, {
  queueName: names.highQueue
})

// The worker's own HTTP port, as its image says.
var statusPort = 8080

// Rendering takes every processor: a worker that answers late is given five minutes.
var probes = [
  {
    type: 'Liveness'
    httpGet: {
      path: '/healthz'
      port: statusPort
    }
    periodSeconds: 30
    timeoutSeconds: 10
    failureThreshold: 10
  }
  {
    type: 'Readiness'
    httpGet: {
      path: '/readyz'
      port: statusPort
    }
    periodSeconds: 10
    timeoutSeconds: 10
    failureThreshold: 3
  }
]

var containers = [
  {
    name: 'worker'
    image: image
    env: [
      {
        name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
        value: 'ClientId=${workerIdentityClientId};Authorization=AAD'
      }
      {
        name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
        value: applicationInsights.properties.ConnectionString
      }
      {
        name: 'BLENDROP_BLENDER_MEMORY_MIB'
        value: string(size.memoryGib * 1024 - ownMemoryMib)
      }
      {
        name: 'BLENDROP_CYCLES_DEVICE'
        value: size.cyclesDevice
      }
      {
        name: 'BLENDROP_FRAME_SHARE'
        value: names.frameSharePath
      }
      {
        // An app's idle replica is taken away from outside; a job's execution ends by itself.
        name: 'BLENDROP_IDLE_SECONDS'
        value: isJob ? '60' : '0'
      }
      {
        name: 'BLENDROP_LOG_FORMAT'
        value: 'json'
      }
      {
        name: 'BLENDROP_PRICES'
        value: prices
      }
      {
        name: 'BLENDROP_SCENE_CACHE_BYTES'
        value: string(size.sceneCacheGib * 1073741824)
      }
      {
        name: 'BLENDROP_SCRATCH'
        value: names.scratchPath
      }
      {
        name: 'BLENDROP_STOP_GRACE_SECONDS'
        value: '12'
      }
      {
        name: 'BLENDROP_STORAGE__blobServiceUri'
        value: blobEndpoint
      }
      {
        name: 'BLENDROP_STORAGE__clientId'
        value: workerIdentityClientId
      }
      {
        name: 'BLENDROP_STORAGE__queueServiceUri'
        value: queueEndpoint
      }
      {
        name: 'BLENDROP_STORAGE__tableServiceUri'
        value: tableEndpoint
      }
      {
        name: 'BLENDROP_TRACE_SHARE'
        value: traceShare
      }
    ]
    // An execution of a job ends by itself, and nobody sends it requests.
    probes: isJob ? [] : probes
    resources: {
      cpu: size.cpu
      memory: '${size.memoryGib}Gi'
    }
    volumeMounts: [
      {
        volumeName: 'frames'
        mountPath: names.frameSharePath
      }
      {
        volumeName: 'scratch'
        mountPath: names.scratchPath
      }
    ]
  }
]

var volumes = [
  {
    name: 'frames'
    storageType: 'AzureFile'
    storageName: frameStorageName
    // The image's user owns what it writes; a second is as long as another client's view may lag.
    mountOptions: 'uid=10001,gid=10001,dir_mode=0755,file_mode=0644,actimeo=1,nosharesock'
  }
  {
    name: 'scratch'
    storageType: 'EmptyDir'
  }
]

resource workerApp 'Microsoft.App/containerApps@2025-07-01' = if (!isJob) {
  name: workerName
  location: location
  tags: tags
  identity: identity
  properties: {
    environmentId: environmentId
    workloadProfileName: size.profile
    configuration: {
      activeRevisionsMode: 'Single'
      identitySettings: identitySettings
      registries: registries
    }
    template: {
      containers: containers
      volumes: volumes
      scale: {
        minReplicas: 0
        maxReplicas: maxWorkers
        pollingInterval: 15
        cooldownPeriod: 300
        rules: [
          {
            name: 'batches'
            custom: {
              type: 'azure-queue'
              identity: platformIdentityId
              metadata: queueMetadata
            }
          }
          {
            name: 'high-batches'
            custom: {
              type: 'azure-queue'
              identity: platformIdentityId
              metadata: highQueueMetadata
            }
          }
        ]
      }
      terminationGracePeriodSeconds: 60
    }
  }
}

resource workerJob 'Microsoft.App/jobs@2025-07-01' = if (isJob) {
  name: workerName
  location: location
  tags: tags
  identity: identity
  properties: {
    environmentId: environmentId
    workloadProfileName: size.profile
    configuration: {
      triggerType: 'Event'
      // A day of work; then the worker gives its batch back and another goes on.
      replicaTimeout: 86400
      replicaRetryLimit: 0
      eventTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
        scale: {
          minExecutions: 0
          maxExecutions: maxWorkers
          pollingInterval: 15
          rules: [
            {
              name: 'batches'
              type: 'azure-queue'
              identity: platformIdentityId
              metadata: queueMetadata
            }
            {
              name: 'high-batches'
              type: 'azure-queue'
              identity: platformIdentityId
              metadata: highQueueMetadata
            }
          ]
        }
      }
      identitySettings: identitySettings
      registries: registries
    }
    template: {
      containers: containers
      volumes: volumes
    }
  }
}

output appId string = isJob ? '' : workerApp.id
