metadata description = 'One page to look at: frames, queue, troubles and what the platform says.'

var names = loadJsonContent('../names.json')

@description('Region of the workbook.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the Log Analytics workspace that the workbook shows.')
param workspaceId string

var page = replace(
  replace(
    replace(
      replace(
        replace(loadTextContent('../workbook.json'), '{batchesQueue}', names.batchesQueue),
        '{highQueue}',
        names.highQueue
      ),
      '{uploadsPoisonQueue}',
      names.uploadsPoisonQueue
    ),
    '{dueJobsPoisonQueue}',
    names.dueJobsPoisonQueue
  ),
  '{poisonQueue}',
  names.poisonQueue
)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'blendrop')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: 'Blendrop'
    serializedData: page
    sourceId: toLower(workspaceId)
  }
}
