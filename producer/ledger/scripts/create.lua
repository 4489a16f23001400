#!lua
-- Makes the record of a narration, with its plan waiting. Nothing changes if there is a record already.
--
-- KEYS  the narration's keys (prelude.lua), then the index of all narrations, then (if it has one) its batch
-- ARGV  id, creation token, content hash, milliseconds until a batch is forgotten, then field, value, ...
-- Returns {'created' | 'exists' | 'conflict', sent_ms}; `created` again if the same call is repeated.

local NARRATIONS, BATCH = KEYS[NUM_KEYS + 1], KEYS[NUM_KEYS + 2]
local id, creation_token, content_hash, batch_ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if state then
  local known = redis.call('HMGET', RECORD, 'content_hash', 'creation_token', 'created_ms')
  if known[2] == creation_token then return {'created', tonumber(known[3])} end
  return {known[1] == content_hash and 'exists' or 'conflict', 0}
end

redis.call('HSET', RECORD, 'id', id, 'state', 'queued', 'created_ms', NOW, 'content_hash', content_hash,
           'creation_token', creation_token, unpack(ARGV, 5))
local queue_timeout_ms = redis.call('HGET', RECORD, 'queue_timeout_ms')
if queue_timeout_ms then redis.call('HSET', RECORD, 'deadline_ms', NOW + queue_timeout_ms) end
redis.call('ZADD', WAITING, NOW, PLAN)
redis.call('ZADD', ACTIVE, NOW, id)
redis.call('ZADD', NARRATIONS, NOW, id)
if BATCH then
  redis.call('ZADD', BATCH, redis.call('ZCARD', BATCH), id)
  redis.call('PEXPIRE', BATCH, batch_ttl_ms)
end
return {'created', NOW}
