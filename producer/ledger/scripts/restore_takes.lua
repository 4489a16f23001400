#!lua
-- Marks segments as done whose audio was found in S3, or as to be sent again. Those that are done already stay as they
-- are, so a repeated call changes nothing.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  segment index, its take's facts as JSON ('' if there is none and it was sent before), ...
-- Returns 1, or 0 if the narration is not being restored (any more).

if not is_open() or redis.call('HEXISTS', RECORD, 'restoring') == 0 then return 0 end

for at = 1, #ARGV, 2 do
  local item, take = ARGV[at], ARGV[at + 1]
  if redis.call('GETBIT', DONE, item) == 0 then
    if take == '' then
      redis.call('ZADD', REOPENED, item, item)
    else
      redis.call('SETBIT', DONE, item, 1)
      redis.call('HSET', TAKES, item, take)
      redis.call('ZREM', REOPENED, item)
      redis.call('HSET', ATTEMPTS, item, 1)
      redis.call('HINCRBY', RECORD, 'num_attempts', 1)
      count_take(take, 1)
      log('restored', item)
    end
  end
end
return 1
