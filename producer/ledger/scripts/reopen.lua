#!lua
-- Takes back segments that were done and whose audio is lost: they are spoken again, and the narration runs until then.
-- Many of them come in several calls. The assembly keeps its lease until the last, so nothing is sent in between.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  token of the assembly, window, max_attempts, 1 if these are the last, segment index, ...
-- Returns a dispatch (prelude.lua). A repeated call gets the segments that still wait, for they may not have been sent.
-- A segment whose attempts are used up has failed: audio that is lost each time must come to an end.

local token, window, max_attempts, is_last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'

if not is_open() or not holds(ASSEMBLE, token) then return reject('reopen', ASSEMBLE, token) end
if not redis.call('ZSCORE', LEASES, ASSEMBLE) then return dispatch(true, send_again(window), window) end

local function take_back(item)
  redis.call('SETBIT', DONE, item, 0)
  count_take(redis.call('HGET', TAKES, item), -1)
  redis.call('HDEL', TAKES, item)
  redis.call('HDEL', TOKENS, item)
  local num_attempts = tonumber(redis.call('HGET', ATTEMPTS, item) or 0)
  log('reopened', item, {attempt = num_attempts})
  if num_attempts < max_attempts then
    redis.call('ZADD', REOPENED, item, item)
  else
    local reason = string.format('its audio was lost when its %d attempts were used up', num_attempts)
    give_up(item, 'attempts_exhausted', reason)
  end
end

for at = 5, #ARGV do
  if redis.call('GETBIT', DONE, ARGV[at]) == 1 then take_back(ARGV[at]) end
end
if not is_last then return dispatch(true, {}, window) end

local attempt = redis.call('HINCRBY', ATTEMPTS, ASSEMBLE, -1) + 1
take_out(ASSEMBLE)
set_state('running')
log('released', ASSEMBLE, {attempt = attempt, token = token})
return dispatch(true, {}, window)
