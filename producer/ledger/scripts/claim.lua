#!lua
-- Gives an item to a worker for a while, and counts the attempt before the work starts: only so does an item that
-- kills every process it meets come to an end.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  item, token, worker, lease_ms, max_attempts, window, retention, engine identity ('' if it does not matter),
--       max_ends, 1 if the worker's process holds nothing else and will not while it works on this
-- Returns {outcome, attempt, dispatch ...} (outcomes: ClaimOutcome; dispatch: prelude.lua). A repeated call with the
-- token that holds the lease is granted again and counts nothing.

local item, token, worker = ARGV[1], ARGV[2], ARGV[3]
local lease_ms, max_attempts, window, retention = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local engine_identity, max_ends, is_alone = ARGV[8], tonumber(ARGV[9]), ARGV[10] == '1'

local OTHER_ENGINE_MS = 10000 -- until the reconciler offers it again

local function answer(outcome, attempt)
  local reply = dispatch(true, {}, window)
  table.insert(reply, 1, outcome)
  table.insert(reply, 2, attempt or 0)
  return reply
end

-- Nothing is left to do for the item, or nothing is to be done yet.
local function is_over()
  if item == PLAN then return state ~= 'queued' end
  if item == ASSEMBLE then return not all_ended() end
  return tonumber(item) >= cursor or redis.call('GETBIT', DONE, item) == 1 or redis.call('HEXISTS', FAILURES, item) == 1
         or redis.call('ZSCORE', REOPENED, item)
end

if end_if_late(retention) or not is_open() then return answer('ended') end
if is_over() then return answer('done') end

local num_attempts = tonumber(redis.call('HGET', ATTEMPTS, item) or 0)
if is_leased(item) then
  if holds(item, token) then return answer('granted', num_attempts) end
  return answer('busy')
end
local due_ms = redis.call('ZSCORE', DELAYED, item)
if due_ms and tonumber(due_ms) > NOW then return answer('busy') end

local is_pinning = is_segment(item) and engine_identity ~= ''
if is_pinning then
  local pinned = redis.call('HGET', RECORD, 'engine_identity')
  if pinned and pinned ~= engine_identity then
    set_reason('engine_unavailable', 'its first segment was spoken by ' .. pinned .. '; it waits for a worker with that')
    -- Its message is used up, and what waits in a queue for nobody would keep others from being sent.
    if not redis.call('ZSCORE', LEASES, item) then delay(item, OTHER_ENGINE_MS) end
    return answer('other_engine')
  end
end

if redis.call('ZSCORE', LEASES, item) then
  expire(item)
  wait(item)
end
local num_ends = ends_of(item)

local function give_up_on(code, reason)
  log('exhausted', item, {attempt = num_attempts, worker = worker, code = code})
  give_up(item, code, reason, retention, '')
  return answer('exhausted', num_attempts)
end
if num_ends >= max_ends then
  return give_up_on('poisoned', string.format('%d processes ended, or hung, while they worked on it', num_ends))
end
if num_attempts >= max_attempts then
  return give_up_on('attempts_exhausted', string.format('none of %d attempts came to an end', num_attempts))
end
if num_ends > 0 and not is_alone then return answer('suspect') end

take_out(item)
redis.call('ZADD', LEASES, NOW + lease_ms, item)
if is_segment(item) then redis.call('ZADD', OUT, HELD, ID .. ':' .. item) end
redis.call('HSET', TOKENS, item, token)
redis.call('HINCRBY', ATTEMPTS, item, 1)
if is_segment(item) then redis.call('HINCRBY', RECORD, 'num_attempts', 1) end
if is_pinning then redis.call('HSETNX', RECORD, 'engine_identity', engine_identity) end
if item == PLAN then redis.call('HSETNX', RECORD, 'started_ms', NOW) end
if is_segment(item) and redis.call('HSETNX', RECORD, 'begun_ms', NOW) == 1 then
  local run_timeout_ms = redis.call('HGET', RECORD, 'run_timeout_ms')
  if run_timeout_ms then
    redis.call('HSET', RECORD, 'deadline_ms', NOW + run_timeout_ms)
  else
    redis.call('HDEL', RECORD, 'deadline_ms')
  end
end
if item == ASSEMBLE then set_state('finalizing') end
set_reason('', '')
log('claimed', item, {attempt = num_attempts + 1, worker = worker, token = token})
return answer('granted', num_attempts + 1)
