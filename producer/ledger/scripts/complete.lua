#!lua
-- Accepts a take: the segment is done and the next one is sent.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  segment index, token, the take's facts as JSON, milliseconds of audio, 1 if reused, window
-- Returns a dispatch (prelude.lua). A repeated call changes nothing but asks for the assembly again.

local item, token, take = ARGV[1], ARGV[2], ARGV[3]
local audio_ms, is_reused, window = ARGV[4], ARGV[5], tonumber(ARGV[6])

if not is_open() or not holds(item, token) then return reject('complete', item, token) end
if redis.call('GETBIT', DONE, item) == 1 then return dispatch(true, {}) end
if redis.call('HEXISTS', FAILURES, item) == 1 then return reject('complete', item, token) end

take_out(item)
redis.call('SETBIT', DONE, item, 1)
redis.call('HSET', TAKES, item, take)
num_done = redis.call('HINCRBY', RECORD, 'num_done', 1)
redis.call('HINCRBY', RECORD, 'num_reused', is_reused)
redis.call('HINCRBY', RECORD, 'audio_ms', audio_ms)
log('completed', item, {token = token, is_reused = is_reused == '1'})
return dispatch(true, fill_window(window))
