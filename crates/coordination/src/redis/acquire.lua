-- One request's worth from an allowance, behind the provider's gate. The server's clock counts, so
-- that workers with different clocks share one limit.
-- KEYS: gate, theoretical arrival time. ARGV: interval and tolerance in microseconds; interval 0
-- asks for the gate only. Returns microseconds to wait, 0 to go ahead.
local gate = redis.call('PTTL', KEYS[1])
if gate >= 0 then
  return math.max(gate, 1) * 1000
end
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
if interval == 0 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), now)
local wait = arrival - tolerance - now
if wait > 0 then
  return math.ceil(wait)
end
arrival = arrival + interval
-- Formatted by hand: Lua's own conversion keeps 14 digits, and this has 16.
redis.call('SET', KEYS[2], string.format('%.2f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1)
return 0
