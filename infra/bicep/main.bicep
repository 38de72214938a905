targetScope = 'subscription'

metadata name = 'Blendrop'
metadata description = 'A render farm that runs nothing while nothing renders.'

@description('Name of the environment: it names the resource group and makes every other name unique.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of everything.')
@minLength(1)
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Name of the resource group; empty: made of the environment\'s name.')
@maxLength(90)
param resourceGroupName string = ''

@description('Tags of every resource, beside azd-env-name.')
param extraTags object = {}

@description('What runs the workers: a container app, an event-driven Container Apps job (for frames that take long), or AKS.')
@allowed([
  'containerApp'
  'containerAppsJob'
  'aks'
])
param workerPlatform string = 'containerApp'

@description('The hardware that one worker gets on Container Apps.')
@allowed([
  'cpu-1'
  'cpu-2'
  'cpu-4'
  'cpu-16'
  'gpu-t4'
  'gpu-a100'
])
param workerSize string = 'cpu-4'

@description('The most workers at a time.')
@minValue(1)
@maxValue(1000)
param maxWorkers int = 10

@description('The worker\'s image, like <registry>/blendrop-worker:<tag>; empty: workers stay as they are, and before the first image there are none.')
param workerImage string = ''

@description('The newest Blender in the worker\'s image, like 5.0.')
param newestBlender string = '5.0'

@description('What a worker costs in an hour, in US dollars, for what jobs say that they cost; empty: by its vCPUs, memory and graphics cards, as docs/cost.md says, and on AKS not known.')
param workerHourPriceOverride string = ''

@description('The most frames of a batch, where the job gives no size.')
@minValue(1)
@maxValue(500)
param batchSize int = 25

@description('Which Entra ID access tokens may call the HTTP API: the application\'s client id and identifier URI, separated by commas (docs/access.md); empty: callers need a function key.')
param entraAudience string = ''

@description('Let jobs name a webhook; its calls are signed with the secret in the vault.')
param webhooks bool = false

@description('The secret that calls of webhooks are signed with: any text, or whsec_ and base64; empty: the one in the vault stays.')
@secure()
param webhookSecret string = ''

@description('The most instances of the function app.')
@minValue(40)
@maxValue(1000)
param functionsMaxInstances int = 40

@description('Memory of one instance of the function app, in MB.')
@allowed([
  512
  2048
  4096
])
param functionsMemoryMb int = 2048

@description('public: no network of your own. vnet: functions and workers reach out through your network. private: storage and vault can be reached through it alone.')
@allowed([
  'public'
  'vnet'
  'private'
])
param network string = 'public'

@description('Address range of the network, where there is one.')
param networkAddressPrefix string = '10.40.0.0/16'

@description('Public IPv4 addresses or ranges (no smaller than /30) that may reach storage and vault all the same, where network is private.')
param allowedIpRanges string[] = []

@description('The data account\'s system topic, where it has one already; empty: one is made.')
param existingEventGridTopicName string = ''

@description('Redundancy of both storage accounts.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param storageSku string = 'Standard_LRS'

@description('The most that the frame share may hold, in GiB; what lies there is paid, not this.')
@minValue(1)
@maxValue(102400)
param frameShareGib int = 1024

@description('Access tier of the frame share.')
@allowed([
  'TransactionOptimized'
  'Hot'
  'Cool'
])
param frameShareTier string = 'Hot'

@description('Delete a scene this many days after its last change; 0: never.')
@minValue(0)
param keepScenesDays int = 0

@description('Tier of the registry.')
@allowed([
  'Basic'
  'Standard'
  'Premium'
])
param registrySku string = 'Basic'

@description('How long logs are kept, in days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('The most that a day\'s logs may be, in GB; -1: no limit.')
param dailyLogQuotaGb int = 1

@description('How many of a hundred traces are kept; those in which something fails are kept beyond that.')
@minValue(0)
@maxValue(100)
param tracePercent int = 100

@description('Who gets a mail when something is wrong; empty: no alerts.')
param alertEmails string[] = []

@description('What the farm may cost a month before a mail goes out, in the subscription\'s currency; 0: no budget.')
@minValue(0)
param monthlyBudget int = 0

@description('First day of the month that the budget starts in; give the first deployment\'s again at every later one.')
param budgetStartDate string = utcNow('yyyy-MM-01')

@description('Object id of the person or group that uploads scenes and looks after the farm; empty: nobody.')
param operatorPrincipalId string = deployer().objectId

@description('What kind of principal the operator is.')
@allowed([
  'Group'
  'ServicePrincipal'
  'User'
])
param operatorPrincipalType string = 'User'

@description('Kubernetes version, where workers run on AKS; empty: Azure\'s default.')
param kubernetesVersion string = ''

@description('Machines that workers run on, on AKS.')
param aksNodeSize string = 'Standard_D8s_v5'

@description('Run workers on spot machines, on AKS.')
param aksSpot bool = false

var abbreviations = loadJsonContent('abbreviations.json')
var resourceToken = toLower(uniqueString(subscription().id, environmentName, location))
var tags = union(extraTags, {
  'azd-env-name': environmentName
})
var hasNetwork = network != 'public'
var isPrivate = network == 'private'
var isAks = workerPlatform == 'aks'
var isJob = workerPlatform == 'containerAppsJob'
var workerName = '${isJob ? abbreviations.appJobs : abbreviations.appContainerApps}worker-${resourceToken}'

// Dedicated machines are billed by the hour (the price is that of docs/deploy.md, in US dollars);
// all others by what they consist of.
// A Consumption replica has at most 4 vCPUs and 8 GiB; dedicated and GPU machines hold one worker
// each, and leave a part of themselves to the platform.
var sizes = {
  'cpu-1': {
    profile: 'Consumption'
    cpu: 1
    memoryGib: 2
    sceneCacheGib: 1
    cyclesDevice: 'CPU'
    hourPrice: ''
  }
  'cpu-2': {
    profile: 'Consumption'
    cpu: 2
    memoryGib: 4
    sceneCacheGib: 3
    cyclesDevice: 'CPU'
    hourPrice: ''
  }
  'cpu-4': {
    profile: 'Consumption'
    cpu: 4
    memoryGib: 8
    sceneCacheGib: 4
    cyclesDevice: 'CPU'
    hourPrice: ''
  }
  'cpu-16': {
    profile: 'cpu-16'
    cpu: 15
    memoryGib: 56
    sceneCacheGib: 20
    cyclesDevice: 'CPU'
    hourPrice: '1.25'
  }
  'gpu-t4': {
    profile: 'gpu-t4'
    cpu: 8
    memoryGib: 56
    sceneCacheGib: 20
    cyclesDevice: 'CUDA'
    hourPrice: ''
  }
  'gpu-a100': {
    profile: 'gpu-a100'
    cpu: 24
    memoryGib: 220
    sceneCacheGib: 20
    cyclesDevice: 'CUDA'
    hourPrice: ''
  }
}

// What a machine of a cluster costs, nobody here knows.
var estimatedHourPrice = isAks ? '0' : sizes[workerSize].hourPrice
var workerHourPrice = empty(workerHourPriceOverride) ? estimatedHourPrice : workerHourPriceOverride
var prices = empty(workerHourPrice) ? '' : '{"worker_hour": ${workerHourPrice}}'

// Bicep has no fractions.
var traceShare = tracePercent == 100 ? '1' : '0.${padLeft(tracePercent, 2, '0')}'

var extraProfiles = {
  'cpu-1': []
  'cpu-2': []
  'cpu-4': []
  'cpu-16': [
    {
      name: 'cpu-16'
      workloadProfileType: 'D16'
      minimumCount: 0
      maximumCount: maxWorkers
    }
  ]
  'gpu-t4': [
    {
      name: 'gpu-t4'
      workloadProfileType: 'Consumption-GPU-NC8as-T4'
    }
  ]
  'gpu-a100': [
    {
      name: 'gpu-a100'
      workloadProfileType: 'Consumption-GPU-NC24-A100'
    }
  ]
}

resource farm 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: empty(resourceGroupName)
    ? '${abbreviations.resourcesResourceGroups}${environmentName}'
    : resourceGroupName
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  scope: farm
  name: 'identities'
  params: {
    location: location
    tags: tags
    namePrefix: abbreviations.managedIdentityUserAssignedIdentities
    resourceToken: resourceToken
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: farm
  name: 'monitoring'
  params: {
    location: location
    tags: tags
    workspaceName: '${abbreviations.operationalInsightsWorkspaces}${resourceToken}'
    applicationInsightsName: '${abbreviations.insightsComponents}${resourceToken}'
    logRetentionDays: logRetentionDays
    dailyLogQuotaGb: dailyLogQuotaGb
  }
}

module dataStorage 'modules/data-storage.bicep' = {
  scope: farm
  name: 'data-storage'
  params: {
    location: location
    tags: tags
    accountName: '${abbreviations.storageStorageAccounts}data${resourceToken}'
    skuName: storageSku
    restrictNetwork: isPrivate
    allowedIpRanges: allowedIpRanges
    keepScenesDays: keepScenesDays
    workspaceId: monitoring.outputs.workspaceId
  }
}

module filesStorage 'modules/files-storage.bicep' = {
  scope: farm
  name: 'files-storage'
  params: {
    location: location
    tags: tags
    accountName: '${abbreviations.storageStorageAccounts}files${resourceToken}'
    vaultName: '${abbreviations.keyVaultVaults}${resourceToken}'
    skuName: storageSku
    frameShareGib: frameShareGib
    frameShareTier: frameShareTier
    webhookSecret: webhookSecret
    restrictNetwork: isPrivate
    allowedIpRanges: allowedIpRanges
    workspaceId: monitoring.outputs.workspaceId
  }
}

module registry 'modules/registry.bicep' = {
  scope: farm
  name: 'registry'
  params: {
    location: location
    tags: tags
    registryName: '${abbreviations.containerRegistryRegistries}${resourceToken}'
    skuName: registrySku
    workspaceId: monitoring.outputs.workspaceId
  }
}

module virtualNetwork 'modules/network.bicep' = if (hasNetwork) {
  scope: farm
  name: 'network'
  params: {
    location: location
    tags: tags
    networkName: '${abbreviations.networkVirtualNetworks}${resourceToken}'
    addressPrefix: networkAddressPrefix
  }
}

module privateEndpoints 'modules/private-endpoints.bicep' = if (isPrivate) {
  scope: farm
  name: 'private-endpoints'
  params: {
    location: location
    tags: tags
    namePrefix: '${abbreviations.networkPrivateEndpoints}${resourceToken}-'
    networkId: virtualNetwork!.outputs.id
    subnetId: virtualNetwork!.outputs.endpointsSubnetId
    dataStorageId: dataStorage.outputs.id
    filesStorageId: filesStorage.outputs.id
    vaultId: filesStorage.outputs.vaultId
  }
}

module topic 'modules/event-grid-topic.bicep' = {
  scope: farm
  name: 'event-grid-topic'
  params: {
    location: location
    tags: tags
    topicName: '${abbreviations.eventGridSystemTopics}${resourceToken}'
    existingTopicName: existingEventGridTopicName
    storageAccountName: dataStorage.outputs.name
    workspaceId: monitoring.outputs.workspaceId
  }
}

module access 'modules/access.bicep' = {
  scope: farm
  name: 'access'
  params: {
    dataStorageName: dataStorage.outputs.name
    filesStorageName: filesStorage.outputs.name
    vaultName: filesStorage.outputs.vaultName
    registryName: registry.outputs.name
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    functionsPrincipalId: identities.outputs.functionsPrincipalId
    workerPrincipalId: identities.outputs.workerPrincipalId
    platformPrincipalId: identities.outputs.platformPrincipalId
    topicPrincipalId: topic.outputs.principalId
    webhooks: webhooks
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
  }
}

module uploadEvents 'modules/upload-events.bicep' = {
  scope: farm
  name: 'upload-events'
  params: {
    topicName: topic.outputs.name
    storageAccountName: dataStorage.outputs.name
  }
  dependsOn: [
    access
  ]
}

module functionApp 'modules/function-app.bicep' = {
  scope: farm
  name: 'function-app'
  params: {
    location: location
    tags: tags
    appName: '${abbreviations.webSitesFunctions}${resourceToken}'
    planName: '${abbreviations.webServerFarms}${resourceToken}'
    identityId: identities.outputs.functionsId
    identityClientId: identities.outputs.functionsClientId
    blobEndpoint: dataStorage.outputs.blobEndpoint
    queueEndpoint: dataStorage.outputs.queueEndpoint
    tableEndpoint: dataStorage.outputs.tableEndpoint
    filesStorageName: filesStorage.outputs.name
    frameShareKeyUri: filesStorage.outputs.frameShareKeyUri
    webhookSecretUri: webhooks ? filesStorage.outputs.webhookSecretUri : ''
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    newestBlender: newestBlender
    prices: prices
    traceShare: traceShare
    batchSize: batchSize
    maxWorkers: maxWorkers
    entraAudience: entraAudience
    maximumInstanceCount: functionsMaxInstances
    instanceMemoryMb: functionsMemoryMb
    subnetId: hasNetwork ? virtualNetwork!.outputs.functionsSubnetId : ''
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    access
    privateEndpoints
  ]
}

module workerEnvironment 'modules/worker-environment.bicep' = if (!isAks) {
  scope: farm
  name: 'worker-environment'
  params: {
    location: location
    tags: tags
    environmentName: '${abbreviations.appManagedEnvironments}${resourceToken}'
    extraProfiles: extraProfiles[workerSize]
    platformIdentityId: identities.outputs.platformId
    filesStorageName: filesStorage.outputs.name
    frameShareKeyUri: filesStorage.outputs.frameShareKeyUri
    subnetId: hasNetwork ? virtualNetwork!.outputs.workersSubnetId : ''
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    access
    privateEndpoints
  ]
}

module worker 'modules/worker.bicep' = if (!isAks && !empty(workerImage)) {
  scope: farm
  name: 'worker'
  params: {
    location: location
    tags: tags
    mode: isJob ? 'job' : 'app'
    workerName: workerName
    image: workerImage
    registryServer: registry.outputs.loginServer
    size: sizes[workerSize]
    prices: prices
    traceShare: traceShare
    maxWorkers: maxWorkers
    environmentId: workerEnvironment!.outputs.id
    frameStorageName: workerEnvironment!.outputs.storageName
    workerIdentityId: identities.outputs.workerId
    workerIdentityClientId: identities.outputs.workerClientId
    platformIdentityId: identities.outputs.platformId
    dataStorageName: dataStorage.outputs.name
    blobEndpoint: dataStorage.outputs.blobEndpoint
    queueEndpoint: dataStorage.outputs.queueEndpoint
    tableEndpoint: dataStorage.outputs.tableEndpoint
    applicationInsightsName: monitoring.outputs.applicationInsightsName
  }
}

module cluster 'modules/aks.bicep' = if (isAks) {
  scope: farm
  name: 'aks'
  params: {
    location: location
    tags: tags
    clusterName: '${abbreviations.containerServiceManagedClusters}${resourceToken}'
    clusterIdentityName: '${abbreviations.managedIdentityUserAssignedIdentities}cluster-${resourceToken}'
    kubernetesVersion: kubernetesVersion
    nodeSize: aksNodeSize
    maxNodes: maxWorkers
    useSpot: aksSpot
    networkName: hasNetwork ? virtualNetwork!.outputs.name : ''
    subnetName: hasNetwork ? virtualNetwork!.outputs.nodesSubnetName : ''
    workerIdentityName: identities.outputs.workerName
    platformIdentityName: identities.outputs.platformName
    registryName: registry.outputs.name
    operatorPrincipalId: operatorPrincipalId
    operatorPrincipalType: operatorPrincipalType
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    privateEndpoints
  ]
}

module workbook 'modules/workbook.bicep' = {
  scope: farm
  name: 'workbook'
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertEmails)) {
  scope: farm
  name: 'alerts'
  params: {
    location: location
    tags: tags
    actionGroupName: '${abbreviations.insightsActionGroups}${resourceToken}'
    emails: alertEmails
    workspaceId: monitoring.outputs.workspaceId
    workerName: workerName
    workerAppId: !isAks && !empty(workerImage) ? worker!.outputs.appId : ''
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0) {
  scope: farm
  name: 'budget'
  params: {
    monthlyAmount: monthlyBudget
    startDate: budgetStartDate
    emails: alertEmails
  }
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = farm.name
output AZURE_CONTAINER_REGISTRY_NAME string = registry.outputs.name
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registry.outputs.loginServer
output AZURE_AKS_CLUSTER_NAME string = isAks ? cluster!.outputs.clusterName : ''
output BLENDROP_FUNCTION_APP string = functionApp.outputs.name
output BLENDROP_ADDRESS string = functionApp.outputs.address
output BLENDROP_DATA_ACCOUNT string = dataStorage.outputs.name
output BLENDROP_FILES_ACCOUNT string = filesStorage.outputs.name
output BLENDROP_VAULT string = filesStorage.outputs.vaultName
output BLENDROP_WORKER string = isAks ? '' : workerName
output BLENDROP_WORKER_CLIENT_ID string = identities.outputs.workerClientId
output BLENDROP_PLATFORM_CLIENT_ID string = identities.outputs.platformClientId
