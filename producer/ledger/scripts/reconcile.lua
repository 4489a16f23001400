#!lua
-- Finds the items of a narration that nobody will work on unless their message is sent again, and marks them as sent:
-- leases that ran out, pauses that are over, messages that got lost, and what a crash left unsent.
--
-- A message is lost if it was sent more than the grace time ago and its queue is empty or begins with a message that
-- was sent later: queues are FIFO, so it would have been further ahead.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  grace_ms, window, id, retention, then lane, head, ... where a lane is `plan`, `assemble`, `suspect` or a
--       priority, and its head is the millisecond at which the oldest message of the lane's queue was sent, or `empty`; a
--       lane left out is not judged
-- Returns {sent_ms, id, item to send now, its lane, id, item, lane ...}; some may be another narration's, whose turn it is.

local grace_ms, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local heads = {}
for at = 5, #ARGV, 2 do heads[ARGV[at]] = ARGV[at + 1] end

local items = {}

-- A suspect goes before all others: it has waited for a lease to run out.
local function lane_of(item)
  if not is_segment(item) then return item end
  return ends_of(item) > 0 and 'suspect' or priority
end

local function send(id, item, lane)
  items[#items + 1], items[#items + 2], items[#items + 3] = id, item, lane
end

local function resend(item)
  wait(item)
  send(ID, item, lane_of(item))
end

-- O(window), for no more than that are out; the limit is a safety.
local function due(key, until_ms)
  return redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', until_ms), 'WITHSCORES', 'LIMIT', 0, 1000)
end

local function is_lost(item, sent_ms)
  local queue_head = heads[lane_of(item)]
  if not queue_head then return false end
  return queue_head == 'empty' or tonumber(queue_head) > sent_ms
end

local function is_nowhere(item)
  return not (redis.call('ZSCORE', WAITING, item) or redis.call('ZSCORE', DELAYED, item)
              or redis.call('ZSCORE', LEASES, item))
end

if end_if_late(ARGV[4]) or not is_open() then
  redis.call('ZREM', ACTIVE, ARGV[3])
  return {NOW}
end

local lost = due(WAITING, NOW - grace_ms)
for at = 1, #lost, 2 do
  if is_lost(lost[at], tonumber(lost[at + 1])) then resend(lost[at]) end
end
local expired = NOW < mercy_ms and {} or due(LEASES, NOW)
for at = 1, #expired, 2 do
  expire(expired[at])
  resend(expired[at])
end
local rested = due(DELAYED, NOW)
for at = 1, #rested, 2 do resend(rested[at]) end

if state == 'queued' and is_nowhere(PLAN) then resend(PLAN) end
if all_ended() and is_nowhere(ASSEMBLE) then resend(ASSEMBLE) end
line_up()
local dealt = deal(window)
for at = 1, #dealt, 2 do send(dealt[at], dealt[at + 1], priority) end

local reply = {NOW}
for _, part in ipairs(items) do reply[#reply + 1] = part end
return reply
