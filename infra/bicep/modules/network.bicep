metadata description = 'The optional virtual network: a subnet each for functions, workers, private endpoints and AKS nodes.'

@description('Region of the network.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the virtual network.')
param networkName string

@description('Address range of the network; /20 or larger.')
param addressPrefix string

// Container Apps environments and Flex Consumption apps want a subnet of their own each, delegated
// to the same service.
var appsDelegation = [
  {
    name: 'apps'
    properties: {
      serviceName: 'Microsoft.App/environments'
    }
  }
]

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
    subnets: [
      {
        name: 'functions'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          defaultOutboundAccess: true
          delegations: appsDelegation
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
      {
        name: 'workers'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 23, 1)
          defaultOutboundAccess: true
          delegations: appsDelegation
        }
      }
      {
        name: 'nodes'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 22, 1)
          defaultOutboundAccess: true
        }
      }
    ]
  }

  resource functionsSubnet 'subnets' existing = {
    name: 'functions'
  }

  resource endpointsSubnet 'subnets' existing = {
    name: 'endpoints'
  }

  resource workersSubnet 'subnets' existing = {
    name: 'workers'
  }

  resource nodesSubnet 'subnets' existing = {
    name: 'nodes'
  }
}

output id string = network.id
output name string = network.name
output functionsSubnetId string = network::functionsSubnet.id
output endpointsSubnetId string = network::endpointsSubnet.id
output workersSubnetId string = network::workersSubnet.id
output nodesSubnetName string = network::nodesSubnet.name
