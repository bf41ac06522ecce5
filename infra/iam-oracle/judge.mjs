// Evaluates recorded IAM questions with @cloud-copilot/iam-simulate, and compares its verdicts with ours. Standard input has one
// JSON object a line, as `infra/emulators` records them. Prints each difference and the counts; exits with 1 if there is a difference.

import { runSimulation } from '@cloud-copilot/iam-simulate'
import { createInterface } from 'node:readline'

// The simulator ignores `kms:EncryptionContext:<name>`, so a principal tag replaces that key.
const known = (value) => JSON.parse(JSON.stringify(value).replaceAll(/kms:encryptioncontext:/gi, 'aws:PrincipalTag/encryption-context.'))

let judged = 0
let differing = 0

for await (const line of createInterface({ input: process.stdin })) {
  if (line === '') continue
  const asked = known(JSON.parse(line))
  const context = Object.entries(asked.context).map(([key, values]) => [key, values.length === 1 ? values[0] : values])
  const answer = await runSimulation(
    {
      request: {
        principal: asked.principal,
        action: asked.action,
        resource: { resource: asked.resource, accountId: asked.principal.split(':')[4] },
        contextVariables: Object.fromEntries(context),
      },
      identityPolicies: [{ name: asked.role, policy: asked.identity }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: asked.resource_policy ?? undefined,
    },
    {},
  )
  judged += 1
  const theirs = answer.resultType === 'error' ? JSON.stringify(answer.errors) : answer.overallResult
  if ((theirs === 'Allowed') !== asked.allowed) {
    differing += 1
    const ours = asked.allowed ? 'Allowed' : 'denied'
    console.log(`${asked.role}: ${asked.action} on ${asked.resource}: ${ours} here, ${theirs} there`)
    console.log(`    ${JSON.stringify(asked.context)}`)
  }
}

console.log(`${judged} judged, ${differing} differing`)
process.exitCode = differing === 0 && judged > 0 ? 0 : 1
