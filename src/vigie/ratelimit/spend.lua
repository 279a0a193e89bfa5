-- Admits and counts one call of a caller, or says which window it does not fit; then it is not counted.
-- The same arithmetic as quota_excess() in core/quotas.py, on the server's clock.
--
-- KEYS[1]  the caller's log: a list of the instants of its admitted calls, in microseconds, oldest first
-- KEYS[2]  with replicas only: what is known of the caller's changes, as read_your_writes.lua describes it
-- ARGV     for each window its calls and its length in microseconds; then, with KEYS[2], the name of the change
--          that begins with this call, empty for a read, and how many microseconds a change may be under way; an
--          odd one at the end is the time of day, which only tests hand in
-- returns  an empty list, or the number of the window that lets the call in last and the wait in microseconds;
--          to a read, with KEYS[2], 0 alone while a change is under way, or 0 and the position behind all that
--          the caller has changed; an empty list while that is not known

local log, changes = KEYS[1], KEYS[2]
local clock = redis.call('TIME')
local now = tonumber(ARGV[#ARGV])
if #ARGV % 2 == 0 then
  now = clock[1] * 1000000 + clock[2]
end

local windows, longest, calls_max = math.floor(#ARGV / 2) - (changes and 1 or 0), 0, 0
for window = 1, windows do
  calls_max = math.max(calls_max, tonumber(ARGV[2 * window - 1]))
  longest = math.max(longest, tonumber(ARGV[2 * window]))
end

-- Not a log: a value of another program under this key, or one of a clock that was set back by more than any window.
-- A caller must not be locked out until that time comes again.
local newest = redis.pcall('LINDEX', log, -1)
if type(newest) == 'table' or (newest and not (tonumber(newest) and newest - now <= longest)) then
  redis.call('DEL', log)
  newest = false
end
-- A clock that was set back by less stands still until it has caught up.
if newest then
  now = math.max(now, tonumber(newest))
end

local worst, wait = 0, 0
for window = 1, windows do
  local earlier = tonumber(redis.call('LINDEX', log, -ARGV[2 * window - 1]))
  if earlier and earlier + ARGV[2 * window] - now > wait then
    worst, wait = window, earlier + ARGV[2 * window] - now
  end
end
if worst > 0 then
  return { worst, wait }
end

-- In digits: Lua would write so large a number as 1.7e+15.
redis.call('RPUSH', log, string.format('%.0f', now))
redis.call('LTRIM', log, -calls_max, -1)
-- A second more than the longest window: the server's clock for expiry counts in milliseconds.
redis.call('PEXPIRE', log, math.floor(longest / 1000) + 1000)
if not changes then
  return {}
end

local change, change_max = ARGV[2 * windows + 1], tonumber(ARGV[2 * windows + 2])
if redis.call('TYPE', changes).ok ~= 'hash' then
  redis.call('DEL', changes)
end
local fields, is_under_way = redis.call('HGETALL', changes), false
for index = 1, #fields, 2 do
  if fields[index] ~= 'at' then
    local left = (tonumber(fields[index + 1]) or 0) - now
    if left > 0 and left <= change_max then
      is_under_way = true
    else
      -- Its server has died, or the clock was set back: the position behind it is not known.
      redis.call('HDEL', changes, fields[index], 'at')
    end
  end
end
if change ~= '' then
  redis.call('HSET', changes, change, string.format('%.0f', now + change_max))
  redis.call('PEXPIRE', changes, math.max(3600000, math.floor(change_max / 1000) + 1000))
  return {}
end
if is_under_way then
  return { 0 }
end
local at = redis.call('HGET', changes, 'at')
if not at or not string.find(at, '^%d+$') then
  return {}
end
return { 0, at }
