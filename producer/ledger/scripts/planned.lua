#!lua
-- Accepts the plan: the narration runs and its first segments are sent.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  token, number of segments, window
-- Returns a dispatch (prelude.lua). A repeated call gets the segments that still wait, for they may not have been sent.

local token, total, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

if not is_open() or not holds(PLAN, token) then return reject('planned', PLAN, token) end
if state ~= 'queued' then
  if num_segments ~= total then return reject('planned', PLAN, token) end
  return dispatch(true, send_again(window), window)
end

take_out(PLAN)
num_segments = total
redis.call('HSET', RECORD, 'num_segments', total)
set_state('running')
log('planned', PLAN, {token = token, num_segments = total})
return dispatch(true, {}, window)
