/**
 * Lua of the Redis presence registry. Every script works on one project; all its keys share one hash tag:
 * KEYS[1] entries (hash: session -> JSON), KEYS[2] live (sorted set: session by expiry), KEYS[3] left (sorted set:
 * session by end of grace), KEYS[4] users (hash: user -> number of entries). A session is in exactly one of live and
 * left. Time is the server's, because the clocks of nodes differ.
 */
const NOW = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function put(session, user, entry, ttl)
  local joined = 0
  if redis.call('HSET', KEYS[1], session, entry) == 1 and redis.call('HINCRBY', KEYS[4], user, 1) == 1 then
    joined = 1
  end
  redis.call('ZADD', KEYS[2], now() + ttl, session)
  return joined
end
`;

/** ARGV: session, user, entry, ttl. Answers 1 when the user had no entry. */
export const ENTER = `${NOW}
redis.call('ZREM', KEYS[3], ARGV[1])
return put(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
`;

/** ARGV: ttl, then session, user, entry of each connection. Those that left stay left. */
export const RENEW = `${NOW}
for i = 2, #ARGV, 3 do
  if not redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    put(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[1]))
  end
end
return 0
`;

/** ARGV: session, grace. */
export const LEAVE = `${NOW}
if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[3], now() + tonumber(ARGV[2]), ARGV[1])
end
return 0
`;

/** Answers the number of entries that remain, then the users of whom none does. */
export const SWEEP = `${NOW}
local time, gone = now(), {}
for key = 2, 3 do
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', KEYS[key], '-inf', time)) do
    redis.call('ZREM', KEYS[key], session)
    local entry = redis.call('HGET', KEYS[1], session)
    if entry then
      redis.call('HDEL', KEYS[1], session)
      local user = cjson.decode(entry).userId
      if redis.call('HINCRBY', KEYS[4], user, -1) <= 0 then
        redis.call('HDEL', KEYS[4], user)
        gone[#gone + 1] = user
      end
    end
  end
end
return {redis.call('HLEN', KEYS[1]), gone}
`;

/** Answers the entries that are live now. */
export const LIST = `${NOW}
local entries = {}
for _, session in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now()), '+inf')) do
  local entry = redis.call('HGET', KEYS[1], session)
  if entry then entries[#entries + 1] = entry end
end
return entries
`;
