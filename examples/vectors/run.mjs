// Hold code of your own against the test vectors: node run.mjs FOLDER. Uses nothing but Node.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const read = name => JSON.parse(readFileSync(`${process.argv[2]}/${name}.json`, 'utf8'))
const signed = (token, requestTime) => createHash('sha256').update(token + requestTime).digest('hex')

for (const one of read('sign')) assert.equal(signed(one.token, one.request_time), one.sign, one.name)

for (const one of read('requests')) {
  const [head, body] = one.request.split('\r\n\r\n')
  const query = new URL(head.split(' ')[1], 'http://localhost').searchParams
  const genuine = !one.token || signed(one.token, query.get('RequestTime') ?? '') === query.get('Sign')
  assert.equal(genuine, one.genuine, one.name)
  assert.equal(JSON.parse(body).CallbackCommand, query.get('CallbackCommand'), one.name)
}

for (const one of read('answers')) {
  let packet
  try {
    packet = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(one.body_hex, 'hex')))
  } catch {}
  const delivered = one.status === 200 && one.elapsed_ms <= 2000 && packet !== undefined
  const typed = Number.isInteger(packet?.ErrorCode) && typeof packet?.ErrorInfo === 'string'
  assert.deepEqual([delivered, delivered && typed && packet.ActionStatus === 'OK'], one.verdict, one.name)
}
