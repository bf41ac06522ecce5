// Judges recorded questions by @cloud-copilot/iam-simulate, and compares its verdicts with ours: one JSON object a line on standard
// input, as `infra/emulators` records them. Prints each that differs, and how many were judged; exits with 1 where one differs.

import { runSimulation } from '@cloud-copilot/iam-simulate'
import { createInterface } from 'node:readline'

// It passes over the one kind of key that ends in a name of the caller's and is no tag. So it is asked of a tag in its place.
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
