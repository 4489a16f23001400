-- What every script of the ledger begins with; it is put between the script's first line and the rest of it.
--
-- A script is about one narration and gets that narration's keys in this order (see RedisKeys for what each holds).
-- Redis TIME is the only clock. Every script is O(window): nothing here walks all segments of a narration.
--
-- Segments of all narrations of one priority share a lane, and who may send the next one is decided there: `deal`. The
-- names of a lane's keys and of other narrations' keys are made here, as no caller can know whose turn it is.
--
-- An item is in exactly one place:
--   plan, assemble:  waiting | delayed | leases | nowhere (not due yet, or over)
--   segment i:       i >= cursor (not sent yet) | waiting | delayed | leases | done bit | failures
--                    | reopened (was done, is to be spoken again, not sent again yet)
-- tokens[item] is there while the item is leased, and stays after the token ended the item: so a repeated call is
-- told from a stale one. Whoever takes an item out of `leases` without ending it takes its token away too.

local RECORD, DONE, WAITING, DELAYED, LEASES, TOKENS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ATTEMPTS, TAKES, FAILURES, REOPENED, LOG, ACTIVE = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local SUSPECTS, LANES, WATCH = KEYS[13], KEYS[14], KEYS[15]
local NUM_KEYS = 15 -- a script's own keys follow

local TERMINAL = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}
local WANTED = {succeeded = true, cancelled = true}
local PLAN, ASSEMBLE = 'plan', 'assemble'
local LOG_MAX_ENTRIES = 100000
local ID = string.sub(RECORD, -26)
local NARRATION = string.sub(RECORD, 1, -27) -- what the keys of every narration begin with

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

-- While no script runs nobody can renew a lease. After a gap, as an outage of Redis leaves, leases that ran out are let be
-- until their holders have had the time to speak: else an outage would count as the end of every process.
local GAP_MS, MERCY_MS = 10000, 6000
local watch = redis.call('HMGET', WATCH, 'seen_ms', 'mercy_ms')
local seen_ms, mercy_ms = tonumber(watch[1] or NOW), tonumber(watch[2] or 0)
if NOW - seen_ms > GAP_MS then
  mercy_ms = NOW + MERCY_MS
  redis.call('HSET', WATCH, 'mercy_ms', mercy_ms)
end
if not watch[1] or NOW - seen_ms > 1000 then redis.call('HSET', WATCH, 'seen_ms', NOW) end

local head = redis.call('HMGET', RECORD, 'state', 'priority', 'num_segments', 'cursor', 'num_done', 'num_failed',
                        'deadline_ms')
local state = head[1]                       -- false if there is no record
local priority = head[2] or ''
local num_segments = tonumber(head[3] or 0) -- 0 until the plan was accepted
local cursor = tonumber(head[4] or 0)       -- segments below it have been sent at least once
local num_done = tonumber(head[5] or 0)
local num_failed = tonumber(head[6] or 0)
local deadline_ms = tonumber(head[7] or math.huge)

local function is_open()
  return state and not TERMINAL[state]
end

local function is_segment(item)
  return item ~= PLAN and item ~= ASSEMBLE
end

local function all_ended()
  return num_segments > 0 and num_done + num_failed >= num_segments
end

local function set_state(new_state)
  state = new_state
  redis.call('HSET', RECORD, 'state', new_state)
end

-- Adds one line to the narration's log, unless the log is full.
local function log(event, item, fields)
  local max_entries = math.min(LOG_MAX_ENTRIES, 1000 + 16 * num_segments)
  if redis.call('LLEN', LOG) >= max_entries then return end
  local entry = fields or {}
  entry.at_ms, entry.event, entry.item = NOW, event, item
  redis.call('RPUSH', LOG, cjson.encode(entry))
end

local function is_leased(item)
  local ends_ms = redis.call('ZSCORE', LEASES, item)
  return ends_ms and (tonumber(ends_ms) > NOW or NOW < mercy_ms)
end

-- A lane's keys: `out` says where each of its segments is that was sent and has not ended, rests left out (WAITS, HELD);
-- `turns` whose turn it is next (flow -> turn), and `turns:<flow>` which narration of that flow is the next. A flow is a
-- batch, or a narration without one.
local OUT, TURNS = LANES .. priority .. ':out', LANES .. priority .. ':turns'
local WAITS, HELD = 0, 1

local function flow()
  return redis.call('HGET', RECORD, 'batch_id') or ID
end

local function holds(item, token)
  return redis.call('HGET', TOKENS, item) == token
end

-- Takes an item from wherever it is. Its token stays: see above.
local function take_out(item)
  redis.call('ZREM', LEASES, item)
  redis.call('ZREM', WAITING, item)
  redis.call('ZREM', DELAYED, item)
  if is_segment(item) then redis.call('ZREM', OUT, ID .. ':' .. item) end
end

-- Puts an item somewhere else. An assembly that was stopped in the middle of reopening segments goes nowhere: they come
-- first, and the last of them asks for it again.
local function put(item, key, at_ms)
  take_out(item)
  if item == ASSEMBLE and not all_ended() then
    set_state('running')
  else
    redis.call('ZADD', key, at_ms, item)
    if is_segment(item) and key == WAITING then redis.call('ZADD', OUT, WAITS, ID .. ':' .. item) end
  end
end

-- Marks that the item's message is being sent now: whoever called the script sends it.
local function wait(item)
  put(item, WAITING, NOW)
end

-- Marks that the item's message is to be sent after a pause; the reconciler does that.
local function delay(item, delay_ms)
  put(item, DELAYED, NOW + delay_ms)
end

-- Adds a take to what the record says of all of them, or takes it away again (by = -1). Returns it.
local function count_take(take, by)
  local facts = cjson.decode(take)
  local audio_ms = math.floor(1000 * facts.num_samples / facts.sample_rate_hz + 0.5)
  num_done = redis.call('HINCRBY', RECORD, 'num_done', by)
  redis.call('HINCRBY', RECORD, 'num_reused', facts.is_reused and by or 0)
  redis.call('HINCRBY', RECORD, 'num_flagged', facts.flags and #facts.flags > 0 and by or 0)
  redis.call('HINCRBY', RECORD, 'audio_ms', by * audio_ms)
  redis.call('HINCRBY', RECORD, 'engine_ms', by * math.floor(1000 * (facts.synthesis_s or 0) + 0.5))
  return facts
end

-- In how many attempts at the item its process ended, or stood still: with any, it is a suspect.
local function ends_of(item)
  return tonumber(redis.call('HGET', SUSPECTS, item) or 0)
end

local function count_end(item)
  return redis.call('HINCRBY', SUSPECTS, item, 1)
end

-- Takes the token of a lease that ran out without a word. Its attempt stays counted, and an end of a process with it.
local function expire(item)
  local num_ends = count_end(item)
  log('expired', item, {attempt = tonumber(redis.call('HGET', ATTEMPTS, item) or 0), num_ends = num_ends})
  redis.call('HDEL', TOKENS, item)
end

local function set_reason(code, text)
  if code == '' then
    redis.call('HDEL', RECORD, 'reason_code', 'reason')
  else
    redis.call('HSET', RECORD, 'reason_code', code, 'reason', text)
  end
end

local function leave_line()
  local of_flow = TURNS .. ':' .. flow()
  redis.call('ZREM', of_flow, ID)
  if redis.call('EXISTS', of_flow) == 0 then redis.call('ZREM', TURNS, flow()) end
end

local function leave_lane()
  leave_line()
  for _, key in ipairs({WAITING, LEASES}) do
    for _, item in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZREM', OUT, ID .. ':' .. item) end
  end
end

-- Gives the narration its one final state. What only work in progress needs is dropped, the rest gets its time to live.
-- `token` is of whoever ends it by its work, '' if nobody does: so a repeated call is told from a stale one.
-- `retention` is two numbers of milliseconds: for what somebody wanted so, and for what somebody may want to look into.
local function end_narration(final_state, retention, reason_code, reason, token)
  local wanted_ms, other_ms = string.match(retention, '^(%d+) (%d+)$')
  local retention_ms = WANTED[final_state] and wanted_ms or other_ms
  set_state(final_state)
  set_reason(reason_code, reason)
  redis.call('HSET', RECORD, 'finished_ms', NOW, 'final_token', token)
  leave_lane()
  redis.call('UNLINK', DONE, WAITING, DELAYED, LEASES, TOKENS, ATTEMPTS, TAKES, FAILURES, REOPENED, SUSPECTS)
  redis.call('PEXPIRE', RECORD, retention_ms)
  redis.call('PEXPIRE', LOG, retention_ms)
  redis.call('ZREM', ACTIVE, redis.call('HGET', RECORD, 'id'))
end

-- Ends a narration whose deadline has passed: it is not begun, or not done, in the time that it was given. Returns
-- whether it was so. What it has finished stays in the segment cache.
local function end_if_late(retention)
  if not is_open() or NOW < deadline_ms then return false end
  local limits = redis.call('HMGET', RECORD, 'begun_ms', 'queue_timeout_ms', 'run_timeout_ms')
  local has_begun = limits[1]
  local limit_s = tonumber(limits[has_begun and 3 or 2]) / 1000
  local code = has_begun and 'run_timeout' or 'queue_timeout'
  local text = has_begun and 'it was not done %g s after its first segment was begun'
                         or 'none of its segments was begun %g s after it was submitted'
  log('overdue', nil, {code = code})
  end_narration('expired', retention, code, string.format(text, limit_s), '')
  return true
end

local function ended_narration(token)
  return state and redis.call('HGET', RECORD, 'final_token') == token
end

-- Segments that wait in a lane's queue: enough that no worker waits for the next, and a quarter of what workers hold, so
-- that whoever comes now is behind little. What a segment that ends makes room for is sent as the next is taken.
local MIN_AHEAD = 16
-- A narration of no more segments has its turns before those of long ones, and so do as many segments of a batch of
-- such narrations. Every fourth turn goes to a long one all the same.
local FIRST_TURNS = 64
-- Segments after which the next narration of a flow has its turn.
local TURN_SEGMENTS = 64

local function last_turn(key)
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  return tonumber(last[2] or 0)
end

-- Lines the narration up for its turns, if it has segments to send.
local function line_up()
  if state ~= 'running' or (cursor >= num_segments and redis.call('EXISTS', REOPENED) == 0) then return end
  local of_flow = TURNS .. ':' .. flow()
  redis.call('ZADD', of_flow, 'NX', last_turn(of_flow) + 1, ID)
  local is_short = cursor == 0 and num_segments <= FIRST_TURNS
  redis.call('ZADD', TURNS, 'NX', is_short and 0 or math.max(FIRST_TURNS, last_turn(TURNS) + 1), flow())
end

-- Whose turn it is: of the short ones that which had the fewest, then of the long ones that which waited longest.
local function next_flow()
  if redis.call('INCR', TURNS .. ':count') % 4 == 0 then
    local patient = redis.call('ZRANGEBYSCORE', TURNS, FIRST_TURNS, '+inf', 'LIMIT', 0, 1)
    if patient[1] then return patient[1] end
  end
  return redis.call('ZRANGE', TURNS, 0, 0)[1]
end

local function end_turn(of_lane)
  local turn = tonumber(redis.call('ZINCRBY', TURNS, 1, of_lane))
  if turn >= FIRST_TURNS then redis.call('ZADD', TURNS, math.max(turn, last_turn(TURNS) + 1), of_lane) end
end

-- Sends a narration's next segment: one that was reopened, else the first that was not sent yet. Returns it, or nil if
-- there is none, or if `window` of them are out.
local function send_next(id, window)
  local record = NARRATION .. id
  local known = redis.call('HMGET', record, 'state', 'cursor', 'num_segments')
  if known[1] ~= 'running' then return nil end
  local num_out = redis.call('ZCARD', record .. ':waiting') + redis.call('ZCARD', record .. ':delayed')
                  + redis.call('ZCARD', record .. ':leases')
  if num_out >= window then return nil end
  local item = redis.call('ZPOPMIN', record .. ':reopened')[1]
  if not item then
    local index = tonumber(known[2] or 0)
    if index >= tonumber(known[3]) then return nil end
    redis.call('HSET', record, 'cursor', index + 1)
    if id == ID then cursor = index + 1 end
    item = string.format('%d', index)
  end
  redis.call('ZADD', record .. ':waiting', NOW, item)
  redis.call('ZADD', OUT, WAITS, id .. ':' .. item)
  return item
end

-- Sends segments of the narrations whose turn it is, until enough of them wait. One narration has at most `window` out,
-- or twice what all workers hold: alone it keeps them busy. Returns id, item, id, item, ...
local function deal(window)
  local num_held = redis.call('ZCOUNT', OUT, HELD, HELD)
  local room = math.max(MIN_AHEAD, math.ceil(num_held / 4)) - (redis.call('ZCARD', OUT) - num_held)
  window = math.max(window, 2 * num_held)
  local sent = {}
  local patience = 100 -- narrations without anything to send that one call takes out of the line
  local turn_of = room > 0 and next_flow()
  while turn_of and room > 0 and patience > 0 do
    local of_flow = TURNS .. ':' .. turn_of
    local head = redis.call('ZRANGE', of_flow, 0, 0, 'WITHSCORES')
    local item = head[1] and send_next(head[1], window)
    if item then
      sent[#sent + 1], sent[#sent + 2] = head[1], item
      room = room - 1
      end_turn(turn_of)
      -- Narrations of one flow go one after the other, so that the first is ready first; a long one makes way at times.
      if (tonumber(item) + 1) % TURN_SEGMENTS == 0 then redis.call('ZADD', of_flow, last_turn(of_flow) + 1, head[1]) end
    else
      -- It has nothing to send, or no room; whatever makes room lines it up again.
      if head[1] then redis.call('ZREM', of_flow, head[1]) end
      if redis.call('EXISTS', of_flow) == 0 then redis.call('ZREM', TURNS, turn_of) end
      patience = patience - 1
    end
    turn_of = room > 0 and next_flow()
  end
  return sent
end

-- Sends again what was sent before and waits still: the answer to a repeated call, for the first may have been lost.
local function send_again(window)
  local items = {}
  for _, item in ipairs(redis.call('ZRANGE', WAITING, 0, window)) do
    if is_segment(item) then
      wait(item)
      items[#items + 1], items[#items + 2] = ID, item
    end
  end
  return items
end

-- Says whether the narration is to be assembled now, and if so marks that the message is being sent.
-- It depends on the state alone and not on "was I the last": a redelivered completion asks again.
local function ask_for_assembly()
  if not is_open() or not all_ended() then return 0 end
  if is_leased(ASSEMBLE) or redis.call('ZSCORE', DELAYED, ASSEMBLE) then return 0 end
  if not redis.call('ZSCORE', LEASES, ASSEMBLE) then redis.call('ZADD', WAITING, 'NX', NOW, ASSEMBLE) end
  return 1
end

-- What most scripts return: {is_accepted, sent_ms, priority, needs_assembly, id, segment to send now, id, segment ...}
-- The segments are those that the caller names (id, item, ...) and those whose turn it is, of any narration.
local function dispatch(is_accepted, items, window)
  local reply = {is_accepted and 1 or 0, NOW, priority, ask_for_assembly()}
  for _, part in ipairs(items) do reply[#reply + 1] = part end
  if state then
    line_up()
    for _, part in ipairs(deal(window)) do reply[#reply + 1] = part end
  end
  return reply
end

-- Refuses a token that is not (or no longer) the one that holds the item, and counts that.
local function reject(event, item, token)
  if state then redis.call('HINCRBY', RECORD, 'num_rejected', 1) end
  if is_open() then log('rejected', item, {token = token, tried = event}) end
  return {0, NOW, priority, 0}
end

-- Ends an item that cannot be done: a segment is marked as failed, the other two end the narration.
local function give_up(item, code, reason, retention, token)
  if not is_segment(item) then
    end_narration('failed', retention, code, reason, token)
    return
  end
  take_out(item)
  redis.call('HSET', FAILURES, item, cjson.encode({code = code, reason = reason}))
  num_failed = redis.call('HINCRBY', RECORD, 'num_failed', 1)
end
