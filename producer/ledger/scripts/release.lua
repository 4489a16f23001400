#!lua
-- Gives an item back untried: the attempt does not count.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  item, token, delay_ms (0: its message goes back into the queue now), reason code ('' for none), reason
-- Returns 1 if the token held the item, else 0.

local item, token, delay_ms, reason_code, reason = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

if not is_open() or not holds(item, token) or not redis.call('ZSCORE', LEASES, item) then
  reject('release', item, token)
  return 0
end

local attempt = redis.call('HINCRBY', ATTEMPTS, item, -1) + 1
if is_segment(item) then redis.call('HINCRBY', RECORD, 'num_attempts', -1) end
redis.call('HDEL', TOKENS, item)
if delay_ms > 0 then delay(item, delay_ms) else wait(item) end
if reason_code ~= '' then set_reason(reason_code, reason) end
log('released', item, {attempt = attempt, token = token, code = reason_code ~= '' and reason_code or nil})
return 1
