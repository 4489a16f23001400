#!lua flags=allow-oom
-- Forgets a narration that has ended. Allowed on a full server: it frees memory.
--
-- KEYS  the narration's keys (prelude.lua), then the index of all narrations, then (if it has one) its batch
-- ARGV  id
-- Returns 1 if nothing of it is left, 0 if it has not ended.

local NARRATIONS, BATCH = KEYS[NUM_KEYS + 1], KEYS[NUM_KEYS + 2]

if is_open() then return 0 end
redis.call('UNLINK', RECORD, LOG)
redis.call('ZREM', NARRATIONS, ARGV[1])
if BATCH then redis.call('ZREM', BATCH, ARGV[1]) end
return 1
