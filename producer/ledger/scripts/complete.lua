#!lua
-- Accepts a take: the segment is done.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  segment index, token, the take's facts as JSON, window
-- Returns a dispatch (prelude.lua). A repeated call changes nothing but asks for the assembly again.

local item, token, take, window = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if not is_open() or not holds(item, token) then return reject('complete', item, token) end
if redis.call('GETBIT', DONE, item) == 1 then return dispatch(true, {}, window) end
if redis.call('HEXISTS', FAILURES, item) == 1 then return reject('complete', item, token) end

take_out(item)
redis.call('SETBIT', DONE, item, 1)
redis.call('HSET', TAKES, item, take)
redis.call('HDEL', SUSPECTS, item) -- whatever ended, it was not because of this
local facts = count_take(take, 1)
log('completed', item, {token = token, is_reused = facts.is_reused})
return dispatch(true, {}, window)
