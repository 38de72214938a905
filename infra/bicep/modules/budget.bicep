metadata description = 'How much the farm may cost in a month before somebody is told.'

@description('Amount a month, in the subscription\'s currency.')
@minValue(1)
param monthlyAmount int

@description('First day of the month that the budget starts in, like 2026-12-01; give the same one again at every deployment.')
param startDate string

@description('Who gets a mail; empty: the owners of the resource group.')
param emails string[]

var receivers = empty(emails)
  ? {
      contactEmails: []
      contactRoles: [
        'Owner'
      ]
    }
  : {
      contactEmails: emails
      contactRoles: []
    }

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: 'blendrop'
  properties: {
    category: 'Cost'
    amount: monthlyAmount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: '${startDate}T00:00:00Z'
    }
    notifications: {
      spent80: union(receivers, {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
      })
      spent100: union(receivers, {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Actual'
      })
      expected100: union(receivers, {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
      })
    }
  }
}
