-- What every script of the ledger begins with; it is put between the script's first line and the rest of it.
--
-- A script is about one narration and gets that narration's keys in this order (see RedisKeys for what each holds).
-- Redis TIME is the only clock. Every script is O(window): nothing here walks all segments of a narration.
--
-- An item is in exactly one place:
--   plan, assemble:  waiting | delayed | leases | nowhere (not due yet, or over)
--   segment i:       i >= cursor (not sent yet) | waiting | delayed | leases | done bit | failures
--                    | reopened (was done, is to be spoken again, not sent again yet)
-- tokens[item] is there while the item is leased, and stays after the token ended the item: so a repeated call is
-- told from a stale one. Whoever takes an item out of `leases` without ending it takes its token away too.

local RECORD, DONE, WAITING, DELAYED, LEASES, TOKENS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ATTEMPTS, TAKES, FAILURES, REOPENED, LOG, ACTIVE = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local SUSPECTS = KEYS[13]
local NUM_KEYS = 13 -- a script's own keys follow

local TERMINAL = {succeeded = true, partial = true, failed = true, cancelled = true, expired = true}
local WANTED = {succeeded = true, cancelled = true}
local PLAN, ASSEMBLE = 'plan', 'assemble'
local LOG_MAX_ENTRIES = 100000

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

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
  return ends_ms and tonumber(ends_ms) > NOW
end

local function holds(item, token)
  return redis.call('HGET', TOKENS, item) == token
end

-- Takes an item from wherever it is. Its token stays: see above.
local function take_out(item)
  redis.call('ZREM', LEASES, item)
  redis.call('ZREM', WAITING, item)
  redis.call('ZREM', DELAYED, item)
end

-- Puts an item somewhere else. An assembly that was stopped in the middle of reopening segments goes nowhere: they come
-- first, and the last of them asks for it again.
local function put(item, key, at_ms)
  take_out(item)
  if item == ASSEMBLE and not all_ended() then
    set_state('running')
  else
    redis.call('ZADD', key, at_ms, item)
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

-- Gives the narration its one final state. What only work in progress needs is dropped, the rest gets its time to live.
-- `token` is of whoever ends it by its work, '' if nobody does: so a repeated call is told from a stale one.
-- `retention` is two numbers of milliseconds: for what somebody wanted so, and for what somebody may want to look into.
local function end_narration(final_state, retention, reason_code, reason, token)
  local wanted_ms, other_ms = string.match(retention, '^(%d+) (%d+)$')
  local retention_ms = WANTED[final_state] and wanted_ms or other_ms
  set_state(final_state)
  set_reason(reason_code, reason)
  redis.call('HSET', RECORD, 'finished_ms', NOW, 'final_token', token)
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
  log('expired', nil, {code = code})
  end_narration('expired', retention, code, string.format(text, limit_s), '')
  return true
end

local function ended_narration(token)
  return state and redis.call('HGET', RECORD, 'final_token') == token
end

-- Sends segments that were reopened or not sent yet, until `window` of them are waiting or being worked on. Returns
-- their items.
local function fill_window(window)
  local items = {}
  if state ~= 'running' then return items end
  local num_out = redis.call('ZCARD', WAITING) + redis.call('ZCARD', DELAYED) + redis.call('ZCARD', LEASES)
  if window <= num_out then return items end
  local reopened = redis.call('ZPOPMIN', REOPENED, window - num_out) -- item, score, item, score, ...
  for at = 1, #reopened, 2 do items[#items + 1] = reopened[at] end
  local num_new = math.min(window - num_out - #items, num_segments - cursor)
  for index = cursor, cursor + num_new - 1 do items[#items + 1] = string.format('%d', index) end
  if #items == 0 then return items end
  local scored = {}
  for _, item in ipairs(items) do
    scored[#scored + 1] = NOW
    scored[#scored + 1] = item
  end
  redis.call('ZADD', WAITING, unpack(scored))
  cursor = cursor + num_new
  redis.call('HSET', RECORD, 'cursor', cursor)
  return items
end

-- Sends again what was sent before and waits still: the answer to a repeated call, for the first may have been lost.
local function send_again(window)
  local items = {}
  for _, item in ipairs(redis.call('ZRANGE', WAITING, 0, window)) do
    if is_segment(item) then
      wait(item)
      items[#items + 1] = item
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

-- What most scripts return: {is_accepted, sent_ms, priority, needs_assembly, item to send now ...}
local function dispatch(is_accepted, items)
  local reply = {is_accepted and 1 or 0, NOW, priority, ask_for_assembly()}
  for _, item in ipairs(items) do reply[#reply + 1] = item end
  return reply
end

-- Refuses a token that is not (or no longer) the one that holds the item, and counts that.
local function reject(event, item, token)
  if state then redis.call('HINCRBY', RECORD, 'num_rejected', 1) end
  if is_open() then log('rejected', item, {token = token, tried = event}) end
  return {0, NOW, priority, 0}
end

-- Ends an item that cannot be done: a segment is marked as failed, the other two end the narration.
-- Returns the items to send now.
local function give_up(item, code, reason, window, retention, token)
  if not is_segment(item) then
    end_narration('failed', retention, code, reason, token)
    return {}
  end
  take_out(item)
  redis.call('HSET', FAILURES, item, cjson.encode({code = code, reason = reason}))
  num_failed = redis.call('HINCRBY', RECORD, 'num_failed', 1)
  return fill_window(window)
end
