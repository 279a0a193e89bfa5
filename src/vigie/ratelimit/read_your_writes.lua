-- Stores what is known of a caller's changes: the position of the database behind the last of them. spend.lua notes a
-- change that begins, and gives the position to readers.
--
-- KEYS[1]  a hash: `at`, the position; and for each change under way its name, with the moment in microseconds
--          until which it may be
-- ARGV[1]  a position behind all that the caller has changed, as digits of one length; empty if that is not known
-- ARGV[2]  the change that has ended, empty for none
-- returns  an empty list

local changes, position, ended = KEYS[1], ARGV[1], ARGV[2]

-- Another program has stored something under this key.
if redis.call('TYPE', changes).ok ~= 'hash' then
  redis.call('DEL', changes)
end
if ended ~= '' then
  redis.call('HDEL', changes, ended)
end
if position ~= '' then
  local at = redis.call('HGET', changes, 'at')
  if not at or at < position then
    redis.call('HSET', changes, 'at', position)
  end
  redis.call('PEXPIRE', changes, 3600000)
end
return {}
