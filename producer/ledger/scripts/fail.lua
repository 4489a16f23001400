#!lua
-- Ends an attempt without a result: the item is tried again, or it has failed for good. For a segment that means a
-- gap in the audio, for the plan or the assembly that the narration failed.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  item, token, code, reason, 1 if it makes no sense to try again, delay_ms, max_attempts, window, retention,
--       max_ends, 1 if the process ends with this attempt
-- Returns a dispatch (prelude.lua). A segment to be tried again at once is among its items; the others, and whatever is
-- to be tried after a pause, are sent by the reconciler.

local item, token, code, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local is_final, delay_ms, max_attempts = ARGV[5] == '1', tonumber(ARGV[6]), tonumber(ARGV[7])
local window, retention = tonumber(ARGV[8]), ARGV[9]
local max_ends, is_end = tonumber(ARGV[10]), ARGV[11] == '1'

if ended_narration(token) then return dispatch(true, {}, window) end
if not is_open() or not holds(item, token) then return reject('fail', item, token) end
if not redis.call('ZSCORE', LEASES, item) then
  -- The token has ended the item before: either by this very call or by another one, which then stands.
  if redis.call('HEXISTS', FAILURES, item) == 1 then return dispatch(true, {}, window) end
  return reject('fail', item, token)
end

local num_attempts = tonumber(redis.call('HGET', ATTEMPTS, item) or 0)
if is_end and count_end(item) >= max_ends then
  code, reason, is_final = 'poisoned', 'each attempt ended its process, the last one so: ' .. reason, true
end
is_final = is_final or num_attempts >= max_attempts
log(is_final and 'failed' or 'retried', item, {attempt = num_attempts, token = token, code = code, reason = reason})
if is_final then
  give_up(item, code, reason, retention, token)
  return dispatch(true, {}, window)
end

redis.call('HDEL', TOKENS, item)
if delay_ms > 0 or not is_segment(item) then
  delay(item, delay_ms)
  return dispatch(true, {}, window)
end
wait(item)
return dispatch(true, {ID, item}, window)
