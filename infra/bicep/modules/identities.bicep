metadata description = 'Who acts in the farm: one identity for the functions, one for the workers, one for the platform that starts workers.'

@description('Region of the identities.')
param location string

@description('Tags of every resource.')
param tags object

@description('Start of each name; the identity\'s part follows.')
param namePrefix string

@description('End of each name, unique to the farm.')
param resourceToken string

resource functionsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${namePrefix}functions-${resourceToken}'
  location: location
  tags: tags
}

resource workerIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${namePrefix}worker-${resourceToken}'
  location: location
  tags: tags
}

// Pulls the image, looks at the queue's length and mounts the share. No container can act as it, so
// that a worker, whose neighbour process runs untrusted scenes, never holds these rights.
resource platformIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${namePrefix}platform-${resourceToken}'
  location: location
  tags: tags
}

output functionsId string = functionsIdentity.id
output functionsPrincipalId string = functionsIdentity.properties.principalId
output functionsClientId string = functionsIdentity.properties.clientId
output workerId string = workerIdentity.id
output workerName string = workerIdentity.name
output workerPrincipalId string = workerIdentity.properties.principalId
output workerClientId string = workerIdentity.properties.clientId
output platformId string = platformIdentity.id
output platformName string = platformIdentity.name
output platformPrincipalId string = platformIdentity.properties.principalId
output platformClientId string = platformIdentity.properties.clientId
