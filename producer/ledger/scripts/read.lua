#!lua flags=no-writes
-- Reads whole records, each as one JSON object: to a client in Python many small replies cost far more than one large.
-- It runs on a full server too. (A script that only reads is about many narrations and gets no prelude.)
--
-- KEYS  the records
-- Returns for each record its fields as JSON, all values as text, or false if there is no record.

local records = {}
for at, key in ipairs(KEYS) do
  local pairs_of = redis.call('HGETALL', key)
  local fields = {}
  for field = 1, #pairs_of, 2 do fields[pairs_of[field]] = pairs_of[field + 1] end
  records[at] = #pairs_of > 0 and cjson.encode(fields)
end
return records
