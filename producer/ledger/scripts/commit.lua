#!lua flags=allow-oom
-- Gives the narration its final state, once. Allowed on a full server, because it frees more than it takes.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  token of the assembly, final state, retention, reason code ('' for none), reason, then field,
--       value, ...
-- Returns 1 if it was this token that committed, else 0; -1 if segments are missing and the state is `succeeded`.

local token, final_state, retention, reason_code, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if ended_narration(token) then return 1 end
-- A token that gave segments back still stands beside the assembly, but ended its lease.
local is_held = holds(ASSEMBLE, token) and redis.call('ZSCORE', LEASES, ASSEMBLE)
if not is_open() or not is_held or not all_ended() then
  reject('commit', ASSEMBLE, token)
  return 0
end
if final_state == 'succeeded' and num_failed > 0 then return -1 end

if #ARGV > 5 then redis.call('HSET', RECORD, unpack(ARGV, 6)) end
end_narration(final_state, retention, reason_code, reason, token)
redis.call('UNLINK', LOG)
return 1
