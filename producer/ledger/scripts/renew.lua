#!lua
-- Puts off the end of a lease. A lease that ran out is renewed too, as long as nobody else noticed.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  item, token, lease_ms
-- Returns 1 if the token still holds the item, else 0: then its work is of no use any more.

local item, token, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

if not is_open() or not holds(item, token) or not redis.call('ZSCORE', LEASES, item) then return 0 end
redis.call('ZADD', LEASES, 'XX', NOW + lease_ms, item)
return 1
