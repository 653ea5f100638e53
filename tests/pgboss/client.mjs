// pg-boss at the other end of a pipe: one JSON request a line in, one JSON answer a line out.
// {"call": "send", "args": [...]} calls that method of PgBoss; a few names below are made of several calls.
// Started as: node client.mjs <socket folder> <database> <role> [<options of PgBoss in JSON>]

import { createInterface } from 'node:readline'
import { PgBoss } from 'pg-boss'

const [host, database, user, options = '{}'] = process.argv.slice(2)
const boss = new PgBoss({
  host, database, user, max: 4, cronMonitorIntervalSeconds: 1, cronWorkerIntervalSeconds: 1, ...JSON.parse(options)
})
const errors = []
boss.on('error', error => errors.push(error.message))

const made = {
  // What start() says with migrations allowed, and whether the schema is as pg-boss would have made it.
  async check() {
    await boss.start()
    return { version: await boss.schemaVersion(), drift: await boss.detectSchemaDrift(), errors }
  },
  // Works on a queue; each job is completed with what it got.
  async workEcho(queue) {
    await boss.work(queue, { pollingIntervalSeconds: 0.5 }, async ([job]) => ({ echoed: job.data.payload }))
  },
  // Works on a queue; each job fails.
  async workFail(queue) {
    await boss.work(queue, { pollingIntervalSeconds: 0.5 }, async () => { throw new Error('node says no') })
  },
  // Several senders put n jobs in, in batches; then measures how long handlers take for all of them. With a dead letter
  // queue, as each queue of the hub has.
  async bench(queue, n, batch, workers, insert = 1000, senders = 1) {
    await boss.createQueue(`${queue}-dead`)
    await boss.createQueue(queue, { deadLetter: `${queue}-dead` })
    const began = performance.now()
    await Promise.all(Array.from({ length: senders }, async (_, sender) => {
      for (let i = sender * insert; i < n; i += senders * insert) {
        await boss.insert(queue, Array.from({ length: Math.min(insert, n - i) }, (_, k) => ({ data: { n: i + k } })))
      }
    }))
    const queued = performance.now()
    let done = 0
    await new Promise(resolve => {
      const options = { batchSize: batch, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true, localConcurrency: workers }
      boss.work(queue, options, async jobs => {
        done += jobs.length
        if (done >= n) resolve()
      })
    })
    for (;;) {
      const left = await boss.getDb().executeSql(`select count(*)::int n from pgboss.job where name = '${queue}' and state <> 'completed'`)
      if (left.rows[0].n === 0) break
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    const ended = performance.now()
    await boss.offWork(queue)
    return { enqueue: Math.round(n / (queued - began) * 1000), run: Math.round(n / (ended - queued) * 1000), all: Math.round(n / (ended - began) * 1000) }
  },
  async stop() {
    await boss.stop({ graceful: false })
    setImmediate(() => process.exit(0))
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { call, args = [] } = JSON.parse(line)
  let answer
  try {
    let value = made[call] ? await made[call](...args) : await boss[call](...args)
    if (value instanceof PgBoss) value = null
    answer = { ok: value ?? null }
  } catch (error) {
    answer = { error: error.message }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
