#!lua
-- Makes the record of a narration that Redis has lost, from what S3 knows of it. Nothing changes if there is a record.
--
-- KEYS  the narration's keys (prelude.lua), then the index of all narrations, then its batch ('' if it has none)
-- ARGV  id, state, created_ms, place in its batch, milliseconds until the batch is forgotten, milliseconds that the
--       record stays (0: for ever), then field, value, ...
-- Returns {'exists' | 'restored' | 'restoring', sent_ms}. What is `queued` waits for its plan, which the caller sends;
-- what is `running` is not looked at by anybody until `restore_ready`: its segments come in several calls.

local NARRATIONS, BATCH = KEYS[#KEYS - 1], KEYS[#KEYS]
local id, new_state, created_ms, place, batch_ttl_ms, ttl_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

if state then
  if is_open() and redis.call('HEXISTS', RECORD, 'restoring') == 1 then return {'restoring', NOW} end
  return {'exists', NOW}
end

-- Until its segments are there no script may send any, whoever comes with a message of before: none does in this state.
local first_state = new_state == 'running' and 'finalizing' or new_state
redis.call('HSET', RECORD, 'id', id, 'state', first_state, 'created_ms', created_ms, 'restored_ms', NOW, unpack(ARGV, 7))
redis.call('ZADD', NARRATIONS, created_ms, id)
if BATCH ~= '' then
  redis.call('ZADD', BATCH, place, id)
  redis.call('PEXPIRE', BATCH, batch_ttl_ms)
end

-- Deadlines begin anew, for nobody knows when its first segment was begun.
local function set_deadline(field)
  local timeout_ms = redis.call('HGET', RECORD, field)
  if timeout_ms then redis.call('HSET', RECORD, 'deadline_ms', NOW + timeout_ms) end
end

if TERMINAL[new_state] then
  redis.call('PEXPIRE', RECORD, ttl_ms)
  return {'restored', NOW}
end
if new_state == 'queued' then
  redis.call('ZADD', WAITING, NOW, PLAN)
  redis.call('ZADD', ACTIVE, created_ms, id)
  set_deadline('queue_timeout_ms')
  return {'restored', NOW}
end
redis.call('HSET', RECORD, 'restoring', 1, 'begun_ms', NOW)
set_deadline('run_timeout_ms')
return {'restoring', NOW}
