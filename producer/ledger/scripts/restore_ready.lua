#!lua
-- Lets a narration that was put back go on: its missing segments are sent, or its assembly.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  id, cursor (segments below it are done, or to be sent again), window
-- Returns a dispatch (prelude.lua). A repeated call gets the segments that still wait, for they may not have been sent.

local id, window = ARGV[1], tonumber(ARGV[3])

if not is_open() then return dispatch(false, {}) end
if redis.call('HDEL', RECORD, 'restoring') == 0 then return dispatch(true, send_again(window)) end

cursor = tonumber(ARGV[2])
redis.call('HSET', RECORD, 'cursor', cursor)
redis.call('ZADD', ACTIVE, redis.call('HGET', RECORD, 'created_ms'), id)
log('restored', PLAN, {num_segments = num_segments})
return dispatch(true, fill_window(window))
