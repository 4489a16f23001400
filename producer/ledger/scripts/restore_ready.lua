#!lua
-- Lets a narration that was put back go on. The reconciler sends its segments, or its assembly, with its next pass.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  id, cursor (segments below it are done, or to be sent again)
-- Returns 1, or 0 if it has ended meanwhile. A repeated call changes nothing.

local id, first_unsent = ARGV[1], ARGV[2]

if not is_open() then return 0 end
if redis.call('HDEL', RECORD, 'restoring') == 0 then return 1 end

set_state('running')
redis.call('HSET', RECORD, 'cursor', first_unsent)
redis.call('ZADD', ACTIVE, redis.call('HGET', RECORD, 'created_ms'), id)
log('restored', PLAN, {num_segments = num_segments})
return 1
