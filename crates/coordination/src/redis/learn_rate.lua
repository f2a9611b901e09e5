-- A pace that a 429 taught: requests a second and, by the server's clock, since when.
-- KEYS: pace. ARGV: requests a second, time to live and for how long what was learned stands, both in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = redis.call('HGET', KEYS[1], 'at')
if at and now - tonumber(at) < tonumber(ARGV[3]) then
  return 0
end
-- Formatted by hand: Lua's own conversion writes a number of this size with an exponent.
redis.call('HSET', KEYS[1], 'per_second', ARGV[1], 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
