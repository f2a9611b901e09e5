-- KEYS: pace. Returns requests a second as text (a script's numbers lose their fraction) and milliseconds since it was
-- learned; nothing when nothing was.
local known = redis.call('HMGET', KEYS[1], 'per_second', 'at')
if not known[1] or not known[2] then
  return false
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { known[1], math.max(now - tonumber(known[2]), 0) }
