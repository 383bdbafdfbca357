/**
 * Lua of the Redis event log. A stream is two keys with one hash tag: KEYS[1] state (hash: `epoch`, `seq`, `swept` and
 * one `=<id>` field per kept entry) and KEYS[2] entries (stream whose ids are `<seq>-0`). Time is the server's.
 *
 * Every script begins with ARGV: 1 epoch for a birth, 2 and 3 a position this node has seen, 4 maximal age in ms.
 * The stream is born anew, under the new epoch, when its state is missing, when its entries were evicted, or when it
 * stands behind what was seen: Redis then came back older than it was (a failover or a restored file), and going on
 * under the old epoch would give a number twice.
 */
const STAND = `
local max_age = tonumber(ARGV[4])
local ttl = math.ceil(max_age * 1.02) + 10
local function bear()
  redis.call('UNLINK', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', 0)
  redis.call('PEXPIRE', KEYS[1], ttl)
  return ARGV[1], 0, 0, false
end
local function stand(id)
  local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'swept', '=' .. id)
  local epoch, seq = state[1], tonumber(state[2])
  if not epoch or (seq > 0 and redis.call('EXISTS', KEYS[2]) == 0)
      or (epoch == ARGV[2] and seq < tonumber(ARGV[3])) then
    return bear()
  end
  return epoch, seq, tonumber(state[3] or 0), state[4]
end
`;

/**
 * ARGV from 5: id, its length in UTF-16 units, data, maximal entries, channel. Answers epoch, seq, 1 for a duplicate.
 *
 * The bound on entries is kept in steps of up to 16, and the bound on age about a hundred times per window, so that an
 * append rarely pays for either.
 */
export const APPEND = `${STAND}
local id, data, max_entries = ARGV[5], ARGV[7], tonumber(ARGV[8])
local epoch, seq, swept, known = stand(id)
if known then return {epoch, tonumber(known), 1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function forget(entries, n)
  local ids = {}
  for i = 1, n do ids[i] = '=' .. entries[i][2][2] end
  redis.call('HDEL', KEYS[1], unpack(ids))
  local last = tonumber(string.match(entries[n][1], '^%d+'))
  redis.call('XTRIM', KEYS[2], 'MINID', '=', string.format('%.0f-0', last + 1))
end

seq = seq + 1
local number = string.format('%.0f', seq)
redis.call('HSET', KEYS[1], 'seq', number, '=' .. id, number)
redis.call('XADD', KEYS[2], number .. '-0', 'i', id, 't', string.format('%.0f', now), 'd', data)

local over = redis.call('XLEN', KEYS[2]) - max_entries
if over > math.min(16, math.floor(max_entries / 100)) then
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', math.min(over, 128))
  forget(oldest, #oldest)
end

if math.abs(now - swept) >= max_age / 100 then
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
  local done = false
  for _ = 1, 40 do
    local oldest, n = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 16), 0
    while n < #oldest and tonumber(oldest[n + 1][2][4]) < now - max_age do n = n + 1 end
    if n > 0 then forget(oldest, n) end
    if n < 16 then
      done = true
      break
    end
  end
  -- What is left over is for the next append.
  if done then redis.call('HSET', KEYS[1], 'swept', string.format('%.0f', now)) end
end

redis.call('PUBLISH', ARGV[9], epoch .. ' ' .. number .. ' ' .. ARGV[6] .. ' ' .. id .. data)
return {epoch, seq, 0}
`;

/**
 * ARGV from 5: epoch and seq to read after, number of entries, id of the entry at that seq or ''. Answers epoch, seq, and
 * the entries as XRANGE gives them, which begin later when the window does not reach; no third member when the position is
 * not of this stream. With another entry where the id should be, or none yet, the stream is born anew.
 */
export const READ_AFTER = `${STAND}
local epoch, seq, _, known = stand(ARGV[8])
local from = tonumber(ARGV[6])
if ARGV[8] ~= '' and epoch == ARGV[5] and tonumber(known or -1) ~= from then
  local place = string.format('%.0f-0', from)
  if from > seq or #redis.call('XRANGE', KEYS[2], place, place) > 0 then
    epoch, seq = bear()
    return {epoch, seq}
  end
end
if epoch ~= ARGV[5] or from < 0 or from > seq then return {epoch, seq} end
if from == seq then return {epoch, seq, {}} end
return {epoch, seq, redis.call('XRANGE', KEYS[2], string.format('%.0f-0', from + 1), '+', 'COUNT', ARGV[7])}
`;

/** Answers epoch and seq. */
export const POSITION = `${STAND}
local epoch, seq = stand('')
return {epoch, seq}
`;
